//! The products in AVX2: sixteen weights of an output at once, for up to four inputs.

use std::arch::x86_64::{
    __m256i, _mm_add_epi32, _mm_loadu_si128, _mm_storeu_si128, _mm256_add_epi32, _mm256_castsi256_si128,
    _mm256_cvtepi8_epi16, _mm256_extracti128_si256, _mm256_hadd_epi32, _mm256_loadu_si256, _mm256_madd_epi16,
    _mm256_setzero_si256,
};

/// Numbers that one instruction multiplies.
const LANES: usize = 16;
/// Inputs for which the weights of an output are read once.
const TOGETHER: usize = 4;

// Loops and indices here and below, and no adapters: a closure has the feature of the function that it stands in, and is
// not compiled into the library's functions, which have it not; and vectors go in and out of those through memory.
#[target_feature(enable = "avx2")]
pub(super) fn products(rows: &[i8], inputs: &[&[i16]], sums: &mut [i32]) {
    let width = inputs.first().map_or(1, |input| input.len());
    let outputs = rows.len() / width;
    let (groups, rest) = inputs.as_chunks::<TOGETHER>();
    for (output, row) in rows.chunks_exact(width).enumerate() {
        let mut at = output;
        for group in groups {
            for sum in several(row, group) {
                sums[at] = sum;
                at += outputs;
            }
        }
        for input in rest {
            [sums[at]] = several(row, &[input]);
            at += outputs;
        }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn several<const COUNT: usize>(row: &[i8], inputs: &[&[i16]; COUNT]) -> [i32; COUNT] {
    let (blocks, rest) = row.as_chunks::<LANES>();
    let mut wide = [_mm256_setzero_si256(); TOGETHER];
    let mut sums = [0; COUNT];
    for input in inputs {
        if input.len() != row.len() {
            return sums;
        }
    }
    for (at, block) in blocks.iter().enumerate() {
        // SAFETY: a block is 16 bytes, and the load needs no alignment.
        let weights = _mm256_cvtepi8_epi16(unsafe { _mm_loadu_si128(block.as_ptr().cast()) });
        for place in 0..COUNT {
            // SAFETY: the input is as long as all blocks together, as was just seen, and the load of 16 of its
            // numbers needs no alignment.
            let values = unsafe { _mm256_loadu_si256(inputs[place].as_ptr().add(at * LANES).cast()) };
            wide[place] = _mm256_add_epi32(wide[place], _mm256_madd_epi16(values, weights));
        }
    }
    let across = across(wide);
    for place in 0..COUNT {
        sums[place] = across[place];
        if !rest.is_empty() {
            sums[place] += super::product(rest, &inputs[place][row.len() - rest.len()..]);
        }
    }
    sums
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
