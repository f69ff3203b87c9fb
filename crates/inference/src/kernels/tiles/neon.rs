//! The product of a tile and a panel with NEON's dot products: four outputs at a time, the rows one after another.
//!
//! Weights are taken as signed bytes, which holds half-bytes and 6-bit weights with their offset, and 8-bit ones without.
//! Every pointer comes from slices whose lengths `super::product` has checked.

use std::arch::aarch64::{
    float32x4_t, int8x16_t, int32x4_t, vaddq_s32, vandq_u8, vcvtq_f32_s32, vdupq_n_f32, vdupq_n_s32,
    vdupq_n_u8, veorq_u8, vfmaq_f32, vfmsq_f32, vld1q_f32, vld1q_s32, vld1q_u8, vmlaq_s32, vmulq_f32,
    vorrq_u8, vreinterpretq_s8_s32, vreinterpretq_s8_u8, vshlq_n_u8, vshrq_n_u8, vst1q_f32, vtstq_u8,
};

use super::{
    input::Panel,
    layout::{Format, LANES, LINE, minimum_at, scale_at},
    pack::half_at,
};

/// Outputs of one register.
const QUARTER: usize = 4;

/// One segment of a quarter of a tile, and of one row of a panel.
struct At<'a> {
    body: &'a [u8],
    head: &'a [u8],
    values: &'a [i32],
    sums: &'a [i32],
    rows: usize,
    row: usize,
    quarter: usize,
}

/// Writes the products of the tile's outputs with the panel's rows.
///
/// # Safety
///
/// The processor has NEON with dot products; the panel has as many segments as the tile holds.
#[target_feature(enable = "neon,dotprod")]
pub(super) unsafe fn product(format: Format, tile: &[u8], panel: Panel<'_>, out: &mut [[f32; LANES]]) {
    let rows = panel.rows;
    let segments = panel.scales.len() / rows;
    let (bodies, heads) = tile.split_at(segments * format.body());
    for (row, out) in out.iter_mut().enumerate() {
        for quarter in 0..LANES / QUARTER {
            let mut sum = vdupq_n_f32(0.0);
            for segment in 0..segments {
                let at = At {
                    body: &bodies[segment * format.body()..(segment + 1) * format.body()],
                    head: &heads[segment * format.head()..(segment + 1) * format.head()],
                    values: &panel.values[segment * format.segment() / 4 * rows..],
                    sums: &panel.sums[segment * format.sums() * rows..],
                    rows,
                    row,
                    quarter,
                };
                let scale = vdupq_n_f32(panel.scales[segment * rows + row]);
                let total = vcvtq_f32_s32(at.total(format));
                sum = vfmaq_f32(sum, total, vmulq_f32(at.halves(0), scale));
                if format.has_base() {
                    let whole = vcvtq_f32_s32(vdupq_n_s32(at.sums[row]));
                    sum = vfmaq_f32(sum, whole, vmulq_f32(at.halves(LANES), scale));
                }
                if format.has_minima() {
                    let minima = vcvtq_f32_s32(at.minima(format));
                    sum = vfmsq_f32(sum, minima, vmulq_f32(at.halves(LANES), scale));
                }
            }
            // SAFETY: a quarter of a row of `out` is exactly the 4 values stored.
            unsafe { vst1q_f32(out[quarter * QUARTER..].as_mut_ptr(), sum) };
        }
    }
}

/// Adds to each lane the products of its four bytes; the intrinsic for it is not stable.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn dot(mut sum: int32x4_t, weights: int8x16_t, values: int8x16_t) -> int32x4_t {
    // SAFETY: the function's features include the instruction, which reads and writes the three registers only.
    unsafe {
        std::arch::asm!(
            "sdot {sum:v}.4s, {weights:v}.16b, {values:v}.16b",
            sum = inout(vreg) sum,
            weights = in(vreg) weights,
            values = in(vreg) values,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sum
}

impl At<'_> {
    /// The quarter's f16 from the one at `first` on, as f32.
    #[target_feature(enable = "neon,dotprod")]
    fn halves(&self, first: usize) -> float32x4_t {
        let values: [f32; 4] =
            std::array::from_fn(|lane| half_at(self.head, first + self.quarter * QUARTER + lane));
        // SAFETY: the array holds the 4 values loaded.
        unsafe { vld1q_f32(values.as_ptr()) }
    }

    /// Sixteen bytes of line `line`: the quarter's words.
    #[target_feature(enable = "neon,dotprod")]
    fn line(&self, line: usize) -> std::arch::aarch64::uint8x16_t {
        let start = line * LINE + self.quarter * 16;
        // SAFETY: the slice holds the 16 bytes loaded, or taking it would have panicked.
        unsafe { vld1q_u8(self.body[start..start + 16].as_ptr()) }
    }

    /// Adds the products of four outputs' words with the row's word `word`.
    #[target_feature(enable = "neon,dotprod")]
    fn add(&self, sum: int32x4_t, weights: int8x16_t, word: usize) -> int32x4_t {
        let value = vreinterpretq_s8_s32(vdupq_n_s32(self.values[word * self.rows + self.row]));
        dot(sum, weights, value)
    }

    /// Four bytes widened by `widen`.
    #[target_feature(enable = "neon,dotprod")]
    fn four(&self, at: impl Fn(usize) -> usize, widen: impl Fn(u8) -> i32) -> int32x4_t {
        let values: [i32; 4] =
            std::array::from_fn(|lane| widen(self.body[at(self.quarter * QUARTER + lane)]));
        // SAFETY: the array holds the 4 values loaded.
        unsafe { vld1q_s32(values.as_ptr()) }
    }

    /// The products of 32 columns in half-bytes, with a line of fifth bits after them where the format has one.
    #[target_feature(enable = "neon,dotprod")]
    fn part(&self, format: Format, part: usize, mut sum: int32x4_t) -> int32x4_t {
        let first = part * if format.has_fifth_bits() { 5 } else { 4 };
        let fifths = if format.has_fifth_bits() { self.line(first + 4) } else { vdupq_n_u8(0) };
        let joined = |halves, word: usize| {
            let fifth = vandq_u8(vtstq_u8(fifths, vdupq_n_u8(1 << word)), vdupq_n_u8(16));
            vreinterpretq_s8_u8(vorrq_u8(halves, fifth))
        };
        for word in 0..4 {
            let pairs = self.line(first + word);
            let (low, high) = (vandq_u8(pairs, vdupq_n_u8(15)), vshrq_n_u8::<4>(pairs));
            sum = self.add(sum, joined(low, word), part * 8 + word);
            sum = self.add(sum, joined(high, word + 4), part * 8 + word + 4);
        }
        sum
    }

    /// The sum of weights, times their integer scales, times activations.
    #[target_feature(enable = "neon,dotprod")]
    fn total(&self, format: Format) -> int32x4_t {
        let zero = vdupq_n_s32(0);
        match format {
            Format::Q4_0 | Format::Q5_0 => self.part(format, 0, vdupq_n_s32(self.sums[self.row])),
            Format::Q4_1 | Format::Q5_1 => self.part(format, 0, zero),
            Format::Q8_0 => (0..8).fold(zero, |sum, word| {
                let weights = veorq_u8(self.line(word), vdupq_n_u8(0x80));
                self.add(sum, vreinterpretq_s8_u8(weights), word)
            }),
            Format::Q4K | Format::Q5K => (0..8).fold(zero, |total, part| {
                let scale = self.four(|lane| scale_at(format, part, lane), i32::from);
                vmlaq_s32(total, self.part(format, part, zero), scale)
            }),
            Format::Q6K => (0..16).fold(zero, |total, part| {
                let scale = self.four(|lane| scale_at(format, part, lane), |s| i32::from(s.cast_signed()));
                vmlaq_s32(total, self.sixes(part), scale)
            }),
        }
    }

    #[target_feature(enable = "neon,dotprod")]
    fn sixes(&self, part: usize) -> int32x4_t {
        let (first, second, upper) = (self.line(part * 3), self.line(part * 3 + 1), self.line(part * 3 + 2));
        let (low, high) = (vdupq_n_u8(15), vdupq_n_u8(48));
        let words = [
            vorrq_u8(vandq_u8(first, low), vandq_u8(vshlq_n_u8::<4>(upper), high)),
            vorrq_u8(vandq_u8(second, low), vandq_u8(vshlq_n_u8::<2>(upper), high)),
            vorrq_u8(vshrq_n_u8::<4>(first), vandq_u8(upper, high)),
            vorrq_u8(vshrq_n_u8::<4>(second), vandq_u8(vshrq_n_u8::<2>(upper), high)),
        ];
        let start = vdupq_n_s32(self.sums[part * self.rows + self.row]);
        words
            .into_iter()
            .enumerate()
            .fold(start, |sum, (word, weights)| self.add(sum, vreinterpretq_s8_u8(weights), part * 4 + word))
    }

    /// The sum of minima times the sums of activations.
    #[target_feature(enable = "neon,dotprod")]
    fn minima(&self, format: Format) -> int32x4_t {
        (0..8).fold(vdupq_n_s32(0), |total, part| {
            let pair = self.sums[part / 2 * self.rows + self.row];
            let sum = if part % 2 == 0 { pair << 16 >> 16 } else { pair >> 16 };
            let minimum = self.four(|lane| minimum_at(format, part, lane), i32::from);
            let product = vmlaq_s32(vdupq_n_s32(0), minimum, vdupq_n_s32(sum));
            vaddq_s32(total, product)
        })
    }
}
