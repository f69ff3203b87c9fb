//! Sums of float products, in one fixed order for every form of the code.

use half::bf16;

/// Partial sums kept side by side; the width of one AVX-512 register.
const LANES: usize = 16;

/// A weight that widens to f32 exactly.
pub(super) trait Widen: Copy + Send + Sync {
    fn widen(self) -> f32;
}

impl Widen for f32 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }
}

impl Widen for bf16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
}

/// The product of two vectors of equal length.
#[inline]
pub(crate) fn dot(left: &[f32], right: &[f32]) -> f32 {
    dots(left, [right])[0]
}

/// `to += scale × from`.
#[inline]
pub(crate) fn add_scaled(to: &mut [f32], scale: f32, from: &[f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += scale * from;
    }
}

/// The products of one weight row with several vectors of its length; each as if it were alone.
#[inline]
pub(super) fn dots<W: Widen, const N: usize>(weight: &[W], inputs: [&[f32]; N]) -> [f32; N] {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has the feature.
            return unsafe { dots_avx512(weight, inputs) };
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: the processor has the features.
            return unsafe { dots_avx2(weight, inputs) };
        }
    }
    dots_in_lanes::<W, N, { cfg!(target_arch = "aarch64") }>(weight, inputs)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn dots_avx512<W: Widen, const N: usize>(weight: &[W], inputs: [&[f32]; N]) -> [f32; N] {
    dots_in_lanes::<W, N, true>(weight, inputs)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn dots_avx2<W: Widen, const N: usize>(weight: &[W], inputs: [&[f32]; N]) -> [f32; N] {
    dots_in_lanes::<W, N, true>(weight, inputs)
}

/// The form that the compiler vectorises. Fused only where the processor fuses, or it would be a call.
#[inline(always)]
fn dots_in_lanes<W: Widen, const N: usize, const FUSED: bool>(weight: &[W], inputs: [&[f32]; N]) -> [f32; N] {
    let length = inputs.iter().fold(weight.len(), |length, input| length.min(input.len()));
    let whole = length / LANES * LANES;
    let mut lanes = [[0f32; LANES]; N];
    for at in (0..whole).step_by(LANES) {
        let weights: [f32; LANES] = std::array::from_fn(|lane| weight[at + lane].widen());
        for (lanes, input) in lanes.iter_mut().zip(&inputs) {
            let input = &input[at..at + LANES];
            for lane in 0..LANES {
                lanes[lane] = if FUSED {
                    weights[lane].mul_add(input[lane], lanes[lane])
                } else {
                    lanes[lane] + weights[lane] * input[lane]
                };
            }
        }
    }
    std::array::from_fn(|n| {
        let mut width = LANES;
        let mut sums = lanes[n];
        while width > 1 {
            width /= 2;
            for lane in 0..width {
                sums[lane] += sums[lane + width];
            }
        }
        (whole..length).fold(sums[0], |sum, at| sum + weight[at].widen() * inputs[n][at])
    })
}
