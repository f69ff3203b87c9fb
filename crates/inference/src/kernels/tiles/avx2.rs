//! The product of a tile and a panel with AVX2: weights in registers, eight outputs at a time, the rows one after another.
//!
//! `ROWS` is the number of the panel's rows. Pairs of products are summed in 16 bits where no values can exceed them:
//! the comments say why. Every pointer comes from slices whose lengths `super::product` has checked.

use std::arch::x86_64::{
    __m256, __m256i, _mm_loadl_epi64, _mm_loadu_si128, _mm256_abs_epi8, _mm256_add_epi16, _mm256_add_epi32,
    _mm256_and_si256, _mm256_cmpeq_epi8, _mm256_cvtepi8_epi32, _mm256_cvtepi32_ps, _mm256_cvtepu8_epi16,
    _mm256_cvtepu8_epi32, _mm256_cvtph_ps, _mm256_fmadd_ps, _mm256_fnmadd_ps, _mm256_loadu_si256,
    _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_mul_ps, _mm256_mullo_epi32, _mm256_or_si256,
    _mm256_set1_epi8, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_ps, _mm256_setzero_ps,
    _mm256_setzero_si256, _mm256_sign_epi8, _mm256_slli_epi16, _mm256_slli_epi32, _mm256_srli_epi16,
    _mm256_storeu_ps, _mm256_xor_si256,
};

use super::{
    input::Panel,
    layout::{Format, LANES, LINE},
};

/// Outputs of one register.
const HALF: usize = LANES / 2;

/// One segment of one half of a tile, and of a panel.
#[derive(Clone, Copy)]
struct At {
    /// Already at the half's bytes of the first line.
    lines: *const u8,
    /// The segment's body, at its start.
    body: *const u8,
    head: *const u8,
    values: *const i32,
    scales: *const f32,
    sums: *const i32,
    half: usize,
}

/// Writes the products of the tile's outputs with the panel's rows.
///
/// # Safety
///
/// The processor has AVX2, FMA and F16C; the panel has `ROWS` rows and as many segments as the tile holds; `out` has
/// `ROWS` rows.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn product<const ROWS: usize>(
    format: Format,
    tile: &[u8],
    panel: Panel<'_>,
    out: &mut [[f32; LANES]],
) {
    let segments = panel.scales.len() / ROWS;
    for half in 0..2 {
        let mut sums = [_mm256_setzero_ps(); ROWS];
        for segment in 0..segments {
            // SAFETY: `segment` is below the number that tile and panel hold; the heads follow the bodies.
            unsafe {
                let body = tile.as_ptr().add(segment * format.body());
                let heads = segments * format.body() + segment * format.head();
                let at = At {
                    lines: body.add(half * LINE / 2),
                    body,
                    head: tile.as_ptr().add(heads + 2 * HALF * half),
                    values: panel.values.as_ptr().add(segment * format.segment() / 4 * ROWS),
                    scales: panel.scales.as_ptr().add(segment * ROWS),
                    sums: panel.sums.as_ptr().add(segment * format.sums() * ROWS),
                    half,
                };
                match format {
                    Format::Q4_0 => blocks::<ROWS, false, false>(&mut sums, at),
                    Format::Q4_1 => blocks::<ROWS, false, true>(&mut sums, at),
                    Format::Q5_0 => blocks::<ROWS, true, false>(&mut sums, at),
                    Format::Q5_1 => blocks::<ROWS, true, true>(&mut sums, at),
                    Format::Q8_0 => q8_0(&mut sums, at),
                    Format::Q4K => with_minima::<ROWS, false>(&mut sums, format, at),
                    Format::Q5K => with_minima::<ROWS, true>(&mut sums, format, at),
                    Format::Q6K => q6k(&mut sums, at),
                }
            }
        }
        for (out, sums) in out.iter_mut().zip(sums) {
            // SAFETY: each half of a row of `out` is exactly the 8 values stored.
            unsafe { _mm256_storeu_ps(out.as_mut_ptr().add(half * HALF), sums) };
        }
    }
}

/// Eight f16 from `head` as f32.
///
/// # Safety
///
/// `head` points at 16 readable bytes.
#[inline]
#[target_feature(enable = "avx2,f16c")]
unsafe fn halves(head: *const u8) -> __m256 {
    // SAFETY: the caller's promise; the load needs no alignment.
    _mm256_cvtph_ps(unsafe { _mm_loadu_si128(head.cast()) })
}

/// The eight registers of weights of 32 columns in half-bytes, with `FIVE` and a line of fifth bits after them.
///
/// # Safety
///
/// `lines` points at the half's bytes of 4 lines, or 5.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn part<const FIVE: bool>(lines: *const u8) -> [__m256i; 8] {
    let low = _mm256_set1_epi8(15);
    let mut weights = [low; 8];
    for word in 0..4 {
        // SAFETY: line `word` is below 4.
        let pairs = unsafe { _mm256_loadu_si256(lines.add(word * LINE).cast()) };
        weights[word] = _mm256_and_si256(pairs, low);
        weights[word + 4] = _mm256_and_si256(_mm256_srli_epi16::<4>(pairs), low);
    }
    if FIVE {
        // SAFETY: the fifth line can be read.
        let fifths = unsafe { _mm256_loadu_si256(lines.add(4 * LINE).cast()) };
        for (word, weight) in weights.iter_mut().enumerate() {
            let bit = _mm256_set1_epi8((1u8 << word).cast_signed());
            let has = _mm256_cmpeq_epi8(_mm256_and_si256(fifths, bit), bit);
            *weight = _mm256_or_si256(*weight, _mm256_and_si256(has, _mm256_set1_epi8(16)));
        }
    }
    weights
}

/// The sums of products of 32 columns, each pair of neighbours times its 16 bits of `factors`. A pair of products of
/// half-bytes is at most 2 · 15 · 127, so that 8 of them fit 16 bits; of 5 bits 4 do, 2 · 31 · 127 each.
///
/// # Safety
///
/// `values` points at 8 words, each `rows` words after the one before.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn dot<const FIVE: bool>(
    weights: &[__m256i; 8],
    values: *const i32,
    rows: usize,
    factors: __m256i,
) -> __m256i {
    let mut sums = [_mm256_setzero_si256(); 2];
    for (word, weights) in weights.iter().enumerate() {
        // SAFETY: `word` is below 8.
        let value = _mm256_set1_epi32(unsafe { *values.add(word * rows) });
        let sum = &mut sums[if FIVE { word / 4 } else { 0 }];
        *sum = _mm256_add_epi16(*sum, _mm256_maddubs_epi16(*weights, value));
    }
    let first = _mm256_madd_epi16(sums[0], factors);
    if FIVE { _mm256_add_epi32(first, _mm256_madd_epi16(sums[1], factors)) } else { first }
}

/// # Safety
///
/// `at` stands at a segment of a tile of Q4_0, Q4_1, Q5_0 or Q5_1, as `FIVE` and `BASE` say, and of a panel of `ROWS`
/// rows.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn blocks<const ROWS: usize, const FIVE: bool, const BASE: bool>(out: &mut [__m256; ROWS], at: At) {
    // SAFETY: by the contract 4 or 5 lines, 8 words of each row, and its scale and sum can be read.
    unsafe {
        let weights = part::<FIVE>(at.lines);
        let d = halves(at.head);
        let ones = _mm256_set1_epi16(1);
        for (row, out) in out.iter_mut().enumerate() {
            let mut sum = dot::<FIVE>(&weights, at.values.add(row), ROWS, ones);
            let whole = _mm256_set1_epi32(*at.sums.add(row));
            if !BASE {
                sum = _mm256_add_epi32(sum, whole);
            }
            let scale = _mm256_set1_ps(*at.scales.add(row));
            *out = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), _mm256_mul_ps(d, scale), *out);
            if BASE {
                let base = _mm256_mul_ps(halves(at.head.add(2 * LANES)), scale);
                *out = _mm256_fmadd_ps(_mm256_cvtepi32_ps(whole), base, *out);
            }
        }
    }
}

/// Without the weights' offset, so that a pair of products, at most 2 · 128 · 127, fits 16 bits.
///
/// # Safety
///
/// `at` stands at a segment of a Q8_0 tile and of a panel of `ROWS` rows.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn q8_0<const ROWS: usize>(out: &mut [__m256; ROWS], at: At) {
    // SAFETY: by the contract 8 lines, 8 words of each row, and its scale can be read.
    unsafe {
        let offset = _mm256_set1_epi8(i8::MIN);
        let mut weights = [offset; 8];
        for (word, weight) in weights.iter_mut().enumerate() {
            *weight = _mm256_xor_si256(_mm256_loadu_si256(at.lines.add(word * LINE).cast()), offset);
        }
        let d = halves(at.head);
        let ones = _mm256_set1_epi16(1);
        for (row, out) in out.iter_mut().enumerate() {
            let mut sum = _mm256_setzero_si256();
            for (word, weight) in weights.iter().enumerate() {
                let value = _mm256_set1_epi32(*at.values.add(word * ROWS + row));
                let signed = _mm256_sign_epi8(value, *weight);
                let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(*weight), signed);
                sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, ones));
            }
            let scale = _mm256_mul_ps(d, _mm256_set1_ps(*at.scales.add(row)));
            *out = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), scale, *out);
        }
    }
}

/// # Safety
///
/// `at` stands at a segment of a tile of `format`, which is Q4_K, or Q5_K with `FIVE`, and of a panel of `ROWS` rows.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn with_minima<const ROWS: usize, const FIVE: bool>(out: &mut [__m256; ROWS], format: Format, at: At) {
    let lines = if FIVE { 5 } else { 4 };
    let mut totals = [_mm256_setzero_si256(); ROWS];
    let mut minima = [_mm256_setzero_si256(); ROWS];
    // SAFETY: by the contract a segment can be read: 8 parts of 4 or 5 lines and of 8 words of each row, 16 scales
    // of each part after the last one, then 32 minima of each pair of parts, and 4 words of sums of each row.
    unsafe {
        let scales = at.body.add(format.weights() + at.half * HALF);
        for part in 0..8 {
            let weights = self::part::<FIVE>(at.lines.add(part * lines * LINE));
            let scale = _mm256_cvtepu8_epi32(_mm_loadl_epi64(scales.add(part * LANES).cast()));
            // The scale in both halves of a lane: the sum of a pair of pairs is scaled as it is made.
            let scale = _mm256_or_si256(scale, _mm256_slli_epi32::<16>(scale));
            for (row, total) in totals.iter_mut().enumerate() {
                let sum = dot::<FIVE>(&weights, at.values.add(part * 8 * ROWS + row), ROWS, scale);
                *total = _mm256_add_epi32(*total, sum);
            }
        }
        let from = at.body.add(format.weights() + 2 * LINE + at.half * LANES);
        for pair in 0..4 {
            let pairs = _mm256_cvtepu8_epi16(_mm_loadu_si128(from.add(pair * 2 * LANES).cast()));
            for (row, sum) in minima.iter_mut().enumerate() {
                let value = _mm256_set1_epi32(*at.sums.add(pair * ROWS + row));
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pairs, value));
            }
        }
        let (d, dmin) = (halves(at.head), halves(at.head.add(2 * LANES)));
        for (row, out) in out.iter_mut().enumerate() {
            let scale = _mm256_set1_ps(*at.scales.add(row));
            let sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(totals[row]), _mm256_mul_ps(d, scale), *out);
            *out = _mm256_fnmadd_ps(_mm256_cvtepi32_ps(minima[row]), _mm256_mul_ps(dmin, scale), sum);
        }
    }
}

/// # Safety
///
/// `at` stands at a segment of a Q6_K tile and of a panel of `ROWS` rows.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn q6k<const ROWS: usize>(out: &mut [__m256; ROWS], at: At) {
    let mut totals = [_mm256_setzero_si256(); ROWS];
    // SAFETY: by the contract a segment can be read: 16 parts of 3 lines, of 4 words and 1 sum of each row, and 16
    // scales of each part after the 48 lines.
    unsafe {
        let scales = at.body.add(Format::Q6K.weights() + at.half * HALF);
        for part in 0..16 {
            let weights = sixes(at.lines.add(part * 3 * LINE));
            let whole = _mm256_cvtepi8_epi32(_mm_loadl_epi64(scales.add(part * LANES).cast()));
            let low = _mm256_and_si256(whole, _mm256_set1_epi32(0xffff));
            let scale = _mm256_or_si256(low, _mm256_slli_epi32::<16>(whole));
            for (row, total) in totals.iter_mut().enumerate() {
                let value = |word: usize| _mm256_set1_epi32(*at.values.add((part * 4 + word) * ROWS + row));
                // A pair of products is at most 2 · 63 · 127, so that two of them fit 16 bits.
                let sum = |a: usize, b: usize| {
                    let first = _mm256_maddubs_epi16(weights[a], value(a));
                    let second = _mm256_maddubs_epi16(weights[b], value(b));
                    _mm256_madd_epi16(_mm256_add_epi16(first, second), scale)
                };
                let start = _mm256_set1_epi32(*at.sums.add(part * ROWS + row));
                let start = _mm256_mullo_epi32(start, whole);
                let sum = _mm256_add_epi32(sum(0, 1), sum(2, 3));
                *total = _mm256_add_epi32(*total, _mm256_add_epi32(start, sum));
            }
        }
        let d = halves(at.head);
        for (row, out) in out.iter_mut().enumerate() {
            let scale = _mm256_mul_ps(d, _mm256_set1_ps(*at.scales.add(row)));
            *out = _mm256_fmadd_ps(_mm256_cvtepi32_ps(totals[row]), scale, *out);
        }
    }
}

/// The four registers of weights of 16 columns in 6 bits.
///
/// # Safety
///
/// `lines` points at the half's bytes of 3 lines.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn sixes(lines: *const u8) -> [__m256i; 4] {
    let (low, high) = (_mm256_set1_epi8(15), _mm256_set1_epi8(48));
    // SAFETY: the caller's promise; the loads need no alignment.
    let [first, second, upper] = unsafe {
        [
            _mm256_loadu_si256(lines.cast()),
            _mm256_loadu_si256(lines.add(LINE).cast()),
            _mm256_loadu_si256(lines.add(2 * LINE).cast()),
        ]
    };
    let join = |nibbles, bits| _mm256_or_si256(_mm256_and_si256(nibbles, low), _mm256_and_si256(bits, high));
    [
        join(first, _mm256_slli_epi16::<4>(upper)),
        join(second, _mm256_slli_epi16::<2>(upper)),
        join(_mm256_srli_epi16::<4>(first), upper),
        join(_mm256_srli_epi16::<4>(second), _mm256_srli_epi16::<2>(upper)),
    ]
}
