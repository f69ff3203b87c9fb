//! The product of a tile and a panel with AVX-512 VNNI: an output per lane, the panel's rows in registers.
//!
//! `M` is the number of the panel's rows. Every pointer below comes from slices whose lengths `super::product` has
//! checked against the number of segments; what is read beyond a segment's own numbers is only prefetched.

use std::arch::x86_64::{
    __m512, __m512i, _MM_HINT_T0, _mm_loadu_si128, _mm_prefetch, _mm256_loadu_si256, _mm512_add_epi32,
    _mm512_and_si512, _mm512_cvtepi8_epi32, _mm512_cvtepi32_ps, _mm512_cvtepu8_epi16, _mm512_cvtepu8_epi32,
    _mm512_cvtph_ps, _mm512_dpbusd_epi32, _mm512_dpwssd_epi32, _mm512_fmadd_ps, _mm512_fnmadd_ps,
    _mm512_loadu_si512, _mm512_mask_add_epi8, _mm512_mul_ps, _mm512_mullo_epi32, _mm512_or_si512,
    _mm512_set1_epi8, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps, _mm512_setzero_si512,
    _mm512_slli_epi16, _mm512_srli_epi16, _mm512_storeu_ps, _mm512_test_epi8_mask,
};

use super::{
    input::Panel,
    layout::{Format, LANES, LINE},
};

/// How far ahead of its use a line is asked for, in bytes: of 2 to 16 KiB this was the quickest, at any number of rows.
const AHEAD: usize = 8192;

/// What is left of a tile and a panel.
#[derive(Clone, Copy)]
struct At {
    body: *const u8,
    head: *const u8,
    values: *const i32,
    scales: *const f32,
    sums: *const i32,
}

impl At {
    /// # Safety
    ///
    /// The slices behind the pointers hold one more segment.
    #[inline]
    unsafe fn next(self, format: Format, rows: usize) -> Self {
        // SAFETY: each pointer moves by one segment's length, so that it stays within its slice or at its end.
        unsafe {
            Self {
                body: self.body.add(format.body()),
                head: self.head.add(format.head()),
                values: self.values.add(format.segment() / 4 * rows),
                scales: self.scales.add(rows),
                sums: self.sums.add(format.sums() * rows),
            }
        }
    }
}

/// Writes the products of the tile's outputs with the panel's rows.
///
/// # Safety
///
/// The processor has AVX-512 F, BW and VNNI; the panel has `M` rows and as many segments as the tile holds; `out` has
/// `M` rows.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) unsafe fn product<const M: usize>(
    format: Format,
    tile: &[u8],
    panel: Panel<'_>,
    out: &mut [[f32; LANES]],
) {
    let segments = panel.scales.len() / M;
    let at = At {
        body: tile.as_ptr(),
        // SAFETY: the heads follow the bodies within the tile.
        head: unsafe { tile.as_ptr().add(segments * format.body()) },
        values: panel.values.as_ptr(),
        scales: panel.scales.as_ptr(),
        sums: panel.sums.as_ptr(),
    };
    // SAFETY: the caller's promise is that of each of them; the f16 of the next tile, far from the lines that are asked
    // for on the way, may be asked for wherever they are.
    let sums = unsafe {
        for line in (segments * format.body()..tile.len()).step_by(LINE) {
            _mm_prefetch::<_MM_HINT_T0>(tile.as_ptr().wrapping_add(tile.len() + line).cast());
        }
        match format {
            Format::Q4_0 => blocks::<M, false, false>(format, at, segments),
            Format::Q4_1 => blocks::<M, false, true>(format, at, segments),
            Format::Q5_0 => blocks::<M, true, false>(format, at, segments),
            Format::Q5_1 => blocks::<M, true, true>(format, at, segments),
            Format::Q8_0 => q8_0::<M>(at, segments),
            Format::Q4K => with_minima::<M, false>(format, at, segments),
            Format::Q5K => with_minima::<M, true>(format, at, segments),
            // More rows than that do not fit the registers together with their scaled sums; the short parts of Q6_K have
            // no time to wait for memory.
            Format::Q6K if M > 12 => q6k::<M, 2>(at, segments),
            Format::Q6K => q6k::<M, M>(at, segments),
        }
    };
    for (out, sums) in out.iter_mut().zip(sums) {
        // SAFETY: a row of `out` is exactly the 16 values stored.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr(), sums) };
    }
}

/// Asks for lines that are needed soon.
#[inline]
fn ask(from: *const u8, lines: usize) {
    for line in 0..lines {
        // SAFETY: a prefetch may ask for any address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(line * LINE + AHEAD).cast()) };
    }
}

/// Adds the products of sixteen outputs' words of four weights with each row's word of four activations.
///
/// # Safety
///
/// `values` points at `M` words.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn add_words<const M: usize>(sums: &mut [__m512i; M], weights: __m512i, values: *const i32) {
    for (row, sum) in sums.iter_mut().enumerate() {
        // SAFETY: `row` is below `M`.
        let word = _mm512_set1_epi32(unsafe { *values.add(row) });
        *sum = _mm512_dpbusd_epi32(*sum, weights, word);
    }
}

/// Adds the products of 32 columns in half-bytes, and with `FIVE` a line of fifth bits after them.
///
/// # Safety
///
/// `lines` points at 4 lines, or 5, and `values` at 8 words of each of `M` rows.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn add_part<const M: usize, const FIVE: bool>(
    sums: &mut [__m512i; M],
    lines: *const u8,
    values: *const i32,
) {
    let low = _mm512_set1_epi8(15);
    let mut fifths = low;
    if FIVE {
        // SAFETY: the fifth line can be read.
        fifths = unsafe { _mm512_loadu_si512(lines.add(4 * LINE).cast()) };
        ask(lines.wrapping_add(4 * LINE), 1);
    }
    let joined = |halves, word: usize| {
        if !FIVE {
            return halves;
        }
        let has = _mm512_test_epi8_mask(fifths, _mm512_set1_epi8((1u8 << word).cast_signed()));
        _mm512_mask_add_epi8(halves, has, halves, _mm512_set1_epi8(16))
    };
    for word in 0..4 {
        // SAFETY: line `word` is below 4, words `word` and `word + 4` below 8.
        unsafe {
            let pairs = _mm512_loadu_si512(lines.add(word * LINE).cast());
            ask(lines.wrapping_add(word * LINE), 1);
            add_words(sums, joined(_mm512_and_si512(pairs, low), word), values.add(word * M));
            let high = _mm512_and_si512(_mm512_srli_epi16::<4>(pairs), low);
            add_words(sums, joined(high, word + 4), values.add((word + 4) * M));
        }
    }
}

/// `M` words, each in all lanes.
///
/// # Safety
///
/// `words` points at `M` words.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn spread<const M: usize>(words: *const i32) -> [__m512i; M] {
    let mut spread = [_mm512_setzero_si512(); M];
    for (row, to) in spread.iter_mut().enumerate() {
        // SAFETY: `row` is below `M`.
        *to = _mm512_set1_epi32(unsafe { *words.add(row) });
    }
    spread
}

/// Sixteen f16 from `head` as f32.
///
/// # Safety
///
/// `head` points at 32 readable bytes.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn halves(head: *const u8) -> __m512 {
    // SAFETY: the caller's promise; the load needs no alignment.
    _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(head.cast()) })
}

/// Adds integer sums, scaled by weights and activations, to float sums.
///
/// # Safety
///
/// `scales` points at `M` values.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn add_scaled<const M: usize>(
    to: &mut [__m512; M],
    sums: &[__m512i; M],
    d: __m512,
    scales: *const f32,
) {
    for row in 0..M {
        // SAFETY: `row` is below `M`.
        let scale = _mm512_mul_ps(d, _mm512_set1_ps(unsafe { *scales.add(row) }));
        to[row] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[row]), scale, to[row]);
    }
}

/// # Safety
///
/// `at` stands at `segments` segments of a tile of `format`, which is Q4_0, Q4_1, Q5_0 or Q5_1 as `FIVE` and `BASE` say,
/// and of a panel of `M` rows.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn blocks<const M: usize, const FIVE: bool, const BASE: bool>(
    format: Format,
    mut at: At,
    segments: usize,
) -> [__m512; M] {
    let mut out = [_mm512_setzero_ps(); M];
    for _ in 0..segments {
        // SAFETY: by the contract a whole segment of each lies ahead.
        unsafe {
            let wholes = spread::<M>(at.sums);
            let mut sums = if BASE { [_mm512_setzero_si512(); M] } else { wholes };
            add_part::<M, FIVE>(&mut sums, at.body, at.values);
            add_scaled(&mut out, &sums, halves(at.head), at.scales);
            if BASE {
                add_scaled(&mut out, &wholes, halves(at.head.add(2 * LANES)), at.scales);
            }
            at = at.next(format, M);
        }
    }
    out
}

/// # Safety
///
/// `at` stands at `segments` segments of a Q8_0 tile and of a panel of `M` rows.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn q8_0<const M: usize>(mut at: At, segments: usize) -> [__m512; M] {
    let mut out = [_mm512_setzero_ps(); M];
    for _ in 0..segments {
        // SAFETY: by the contract a whole segment of each lies ahead: 8 lines, 8 words of each row.
        unsafe {
            let mut sums = spread::<M>(at.sums);
            for word in 0..8 {
                let weights = _mm512_loadu_si512(at.body.add(word * LINE).cast());
                ask(at.body.wrapping_add(word * LINE), 1);
                add_words(&mut sums, weights, at.values.add(word * M));
            }
            add_scaled(&mut out, &sums, halves(at.head), at.scales);
            at = at.next(Format::Q8_0, M);
        }
    }
    out
}

/// # Safety
///
/// `at` stands at `segments` segments of a tile of `format`, which is Q4_K, or Q5_K with `FIVE`, and of a panel of `M`
/// rows.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn with_minima<const M: usize, const FIVE: bool>(
    format: Format,
    mut at: At,
    segments: usize,
) -> [__m512; M] {
    let lines = if FIVE { 5 } else { 4 };
    let mut out = [_mm512_setzero_ps(); M];
    for _ in 0..segments {
        let mut totals = [_mm512_setzero_si512(); M];
        ask(at.body.wrapping_add(format.weights()), 4);
        for part in 0..8 {
            // SAFETY: parts are 4 or 5 lines of weights and 8 words of each row; their 16 scales follow the last part.
            unsafe {
                let mut sums = [_mm512_setzero_si512(); M];
                let part_lines = at.body.add(part * lines * LINE);
                add_part::<M, FIVE>(&mut sums, part_lines, at.values.add(part * 8 * M));
                let scale = _mm_loadu_si128(at.body.add(format.weights() + part * LANES).cast());
                let scale = _mm512_cvtepu8_epi32(scale);
                for row in 0..M {
                    totals[row] = _mm512_add_epi32(totals[row], _mm512_mullo_epi32(sums[row], scale));
                }
            }
        }
        // SAFETY: 4 lines of scales and minima follow the weights, of which the minima are the last two; a segment has
        // 4 words of sums of each row and 64 bytes of f16.
        unsafe {
            add_scaled(&mut out, &totals, halves(at.head), at.scales);
            let mut minima = [_mm512_setzero_si512(); M];
            for pair in 0..4 {
                let from = at.body.add(format.weights() + 2 * LINE + pair * 2 * LANES);
                let pairs = _mm512_cvtepu8_epi16(_mm256_loadu_si256(from.cast()));
                for (row, sum) in spread::<M>(at.sums.add(pair * M)).into_iter().enumerate() {
                    minima[row] = _mm512_dpwssd_epi32(minima[row], pairs, sum);
                }
            }
            let dmin = halves(at.head.add(2 * LANES));
            for row in 0..M {
                let scale = _mm512_mul_ps(dmin, _mm512_set1_ps(*at.scales.add(row)));
                out[row] = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(minima[row]), scale, out[row]);
            }
            at = at.next(format, M);
        }
    }
    out
}

/// `TOGETHER` rows, which divide `M`, are summed side by side.
///
/// # Safety
///
/// `at` stands at `segments` segments of a Q6_K tile and of a panel of `M` rows.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn q6k<const M: usize, const TOGETHER: usize>(mut at: At, segments: usize) -> [__m512; M] {
    let mut out = [_mm512_setzero_ps(); M];
    for _ in 0..segments {
        let mut totals = [_mm512_setzero_si512(); M];
        ask(at.body.wrapping_add(Format::Q6K.weights()), 4);
        for part in 0..16 {
            // SAFETY: parts are 3 lines of weights, 4 words and 1 sum of each row; their 16 scales follow the 48 lines.
            // Rows from `row` on are `TOGETHER` or more.
            unsafe {
                let weights = q6k_part(at.body.add(part * 3 * LINE));
                let scale = _mm_loadu_si128(at.body.add(Format::Q6K.weights() + part * LANES).cast());
                let scale = _mm512_cvtepi8_epi32(scale);
                for row in (0..M).step_by(TOGETHER) {
                    let mut sums = spread::<TOGETHER>(at.sums.add(part * M + row));
                    for (word, weights) in weights.into_iter().enumerate() {
                        add_words(&mut sums, weights, at.values.add((part * 4 + word) * M + row));
                    }
                    for (total, sum) in totals[row..].iter_mut().zip(sums) {
                        *total = _mm512_add_epi32(*total, _mm512_mullo_epi32(sum, scale));
                    }
                }
            }
        }
        // SAFETY: a segment has 32 bytes of f16 and a scale of each row.
        unsafe {
            add_scaled(&mut out, &totals, halves(at.head), at.scales);
            at = at.next(Format::Q6K, M);
        }
    }
    out
}

/// The four registers of weights of 16 columns.
///
/// # Safety
///
/// `lines` points at 3 lines.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn q6k_part(lines: *const u8) -> [__m512i; 4] {
    let (low, high) = (_mm512_set1_epi8(15), _mm512_set1_epi8(48));
    ask(lines, 3);
    // SAFETY: 3 lines can be read.
    let [first, second, upper] =
        unsafe { [0, 1, 2].map(|line| _mm512_loadu_si512(lines.add(line * LINE).cast())) };
    let join = |nibbles, bits| _mm512_or_si512(_mm512_and_si512(nibbles, low), _mm512_and_si512(bits, high));
    [
        join(first, _mm512_slli_epi16::<4>(upper)),
        join(second, _mm512_slli_epi16::<2>(upper)),
        join(_mm512_srli_epi16::<4>(first), upper),
        join(_mm512_srli_epi16::<4>(second), _mm512_srli_epi16::<2>(upper)),
    ]
}
