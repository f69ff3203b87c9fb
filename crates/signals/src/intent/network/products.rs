//! Sums of products of whole numbers, by the processor's widest instruction for them where it has it: exact either way.

/// For each row of weights the sum of products with each input, inputs side by side. All inputs have one length, and the
/// rows have it too.
pub(super) fn products(weights: &[i8], inputs: &[&[i16]]) -> Vec<i32> {
    let width = inputs.first().map_or(0, |input| input.len());
    if width == 0 {
        return Vec::new();
    }
    let mut sums = vec![0; weights.len() / width * inputs.len()];
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has the feature that the function asks for, as was just seen.
        unsafe { avx2::products(weights, inputs, &mut sums) };
        return sums;
    }
    for (row, sums) in weights.chunks_exact(width).zip(sums.chunks_exact_mut(inputs.len())) {
        sums.iter_mut().zip(inputs).for_each(|(sum, input)| *sum = product(row, input));
    }
    sums
}

fn product(row: &[i8], input: &[i16]) -> i32 {
    row.iter().zip(input).map(|(weight, value)| i32::from(*weight) * i32::from(*value)).sum()
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m256i, _mm_add_epi32, _mm_loadu_si128, _mm_storeu_si128, _mm256_add_epi32, _mm256_castsi256_si128,
        _mm256_cvtepi8_epi16, _mm256_extracti128_si256, _mm256_hadd_epi32, _mm256_loadu_si256,
        _mm256_madd_epi16, _mm256_setzero_si256,
    };

    /// Numbers that one instruction multiplies.
    const LANES: usize = 16;
    /// Inputs for which a row of weights is read once.
    const TOGETHER: usize = 4;

    // Loops here and below, and no adapters: a closure has the feature of the function that it stands in, and is not
    // compiled into the library's functions, which have it not.
    #[target_feature(enable = "avx2")]
    pub(super) fn products(weights: &[i8], inputs: &[&[i16]], sums: &mut [i32]) {
        let width = inputs.first().map_or(1, |input| input.len());
        let (groups, rest) = inputs.as_chunks::<TOGETHER>();
        for (row, sums) in weights.chunks_exact(width).zip(sums.chunks_exact_mut(inputs.len())) {
            let (together, alone) = sums.as_chunks_mut::<TOGETHER>();
            for (sums, group) in together.iter_mut().zip(groups) {
                several(row, group, sums);
            }
            for (sum, input) in alone.iter_mut().zip(rest) {
                several(row, &[input], std::array::from_mut(sum));
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn several<const COUNT: usize>(row: &[i8], inputs: &[&[i16]; COUNT], sums: &mut [i32; COUNT]) {
        let (blocks, rest) = row.as_chunks::<LANES>();
        let mut wide = [_mm256_setzero_si256(); TOGETHER];
        for input in inputs {
            if input.len() != row.len() {
                return;
            }
        }
        for (at, block) in blocks.iter().enumerate() {
            // SAFETY: a block is 16 bytes, and the load needs no alignment.
            let weights = _mm256_cvtepi8_epi16(unsafe { _mm_loadu_si128(block.as_ptr().cast()) });
            for (sum, input) in wide.iter_mut().zip(inputs) {
                // SAFETY: the input is as long as all blocks together, as was just seen, and the load of 16 of its
                // numbers needs no alignment.
                let values = unsafe { _mm256_loadu_si256(input.as_ptr().add(at * LANES).cast()) };
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(values, weights));
            }
        }
        for ((sum, whole), input) in sums.iter_mut().zip(across(wide)).zip(inputs) {
            *sum = whole;
            if !rest.is_empty() {
                *sum += super::product(rest, &input[row.len() - rest.len()..]);
            }
        }
    }

    /// The sum of the numbers in each.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn across([a, b, c, d]: [__m256i; TOGETHER]) -> [i32; TOGETHER] {
        let halves = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
        let whole = _mm_add_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256::<1>(halves));
        let mut sums = [0; TOGETHER];
        // SAFETY: the array is as long as what is stored, and the store needs no alignment.
        unsafe { _mm_storeu_si128(sums.as_mut_ptr().cast(), whole) };
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_and_narrow_sums_are_the_same() {
        for (width, count) in [(1, 1), (16, 4), (37, 3), (48, 5), (192, 9)] {
            let weights: Vec<i8> = (0..width * 6).map(|at| (at * 7919 % 256) as u8 as i8).collect();
            let values: Vec<i16> = (0..width * count).map(|at| (at * 4001 % 8191) as i16 - 4095).collect();
            let inputs: Vec<&[i16]> = values.chunks_exact(width).collect();
            let rows = weights.chunks_exact(width);
            let narrow: Vec<i32> =
                rows.flat_map(|row| inputs.iter().map(move |input| product(row, input))).collect();
            assert_eq!(products(&weights, &inputs), narrow);
        }
        assert!(products(&[1, 2], &[]).is_empty());
    }
}
