//! Sums of float products, in one fixed order for every grouping of rows.

use half::bf16;

use super::Form;

/// Partial sums kept side by side; the width of one AVX-512 register.
const LANES: usize = 16;

/// A weight that widens to f32 exactly.
pub(crate) trait Widen: Copy + Send + Sync {
    fn widen(self) -> f32;

    /// Sixteen weights.
    ///
    /// # Safety
    ///
    /// The processor has AVX-512F and `from` points at 16 readable weights.
    #[cfg(target_arch = "x86_64")]
    unsafe fn load_avx512(from: *const Self) -> std::arch::x86_64::__m512;

    /// Eight weights.
    ///
    /// # Safety
    ///
    /// The processor has AVX2 and `from` points at 8 readable weights.
    #[cfg(target_arch = "x86_64")]
    unsafe fn load_avx2(from: *const Self) -> std::arch::x86_64::__m256;
}

impl Widen for f32 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn load_avx512(from: *const Self) -> std::arch::x86_64::__m512 {
        // SAFETY: the caller promises the feature and 16 readable values; the load needs no alignment.
        unsafe { std::arch::x86_64::_mm512_loadu_ps(from) }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn load_avx2(from: *const Self) -> std::arch::x86_64::__m256 {
        // SAFETY: the caller promises the feature and 8 readable values; the load needs no alignment.
        unsafe { std::arch::x86_64::_mm256_loadu_ps(from) }
    }
}

/// A bf16 is the upper half of the f32 of the same value.
impl Widen for bf16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn load_avx512(from: *const Self) -> std::arch::x86_64::__m512 {
        use std::arch::x86_64::{
            _mm256_loadu_si256, _mm512_castsi512_ps, _mm512_cvtepu16_epi32, _mm512_slli_epi32,
        };
        // SAFETY: the caller promises the feature and 16 readable values of 2 bytes; the load needs no alignment.
        unsafe {
            let halves = _mm256_loadu_si256(from.cast());
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(halves)))
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn load_avx2(from: *const Self) -> std::arch::x86_64::__m256 {
        use std::arch::x86_64::{
            _mm_loadu_si128, _mm256_castsi256_ps, _mm256_cvtepu16_epi32, _mm256_slli_epi32,
        };
        // SAFETY: the caller promises the feature and 8 readable values of 2 bytes; the load needs no alignment.
        unsafe {
            let halves = _mm_loadu_si128(from.cast());
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(halves)))
        }
    }
}

/// The forms that load it need F16C beside AVX2; AVX-512F has its own conversion.
impl Widen for half::f16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self.to_f32()
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn load_avx512(from: *const Self) -> std::arch::x86_64::__m512 {
        use std::arch::x86_64::{_mm256_loadu_si256, _mm512_cvtph_ps};
        // SAFETY: the caller promises the feature and 16 readable values of 2 bytes; the load needs no alignment.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn load_avx2(from: *const Self) -> std::arch::x86_64::__m256 {
        use std::arch::x86_64::{_mm_loadu_si128, _mm256_cvtph_ps};
        // SAFETY: the caller promises the features and 8 readable values of 2 bytes; the load needs no alignment.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) }
    }
}

/// Whole numbers, which an f32 holds exactly.
impl Widen for i8 {
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from(self)
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn load_avx512(from: *const Self) -> std::arch::x86_64::__m512 {
        use std::arch::x86_64::{_mm_loadu_si128, _mm512_cvtepi8_epi32, _mm512_cvtepi32_ps};
        // SAFETY: the caller promises the feature and 16 readable bytes; the load needs no alignment.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(from.cast()))) }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn load_avx2(from: *const Self) -> std::arch::x86_64::__m256 {
        use std::arch::x86_64::{_mm_loadl_epi64, _mm256_cvtepi8_epi32, _mm256_cvtepi32_ps};
        // SAFETY: the caller promises the feature and 8 readable bytes, which is what the load reads.
        unsafe { _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(from.cast()))) }
    }
}

/// The product of two vectors of equal length.
#[inline]
pub(crate) fn dot(left: &[f32], right: &[f32]) -> f32 {
    dots([left], [right])[0][0]
}

/// `to += scale × from`.
#[inline]
pub(crate) fn add_scaled(to: &mut [f32], scale: f32, from: &[f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += scale * from;
    }
}

/// The products of several weight rows with several inputs, each with the bits it would have alone. What exceeds the
/// shortest of all rows is left out.
#[inline]
pub(crate) fn dots<W: Widen, const R: usize, const N: usize>(
    weights: [&[W]; R],
    inputs: [&[f32]; N],
) -> [[f32; N]; R] {
    let lengths = weights.iter().map(|w| w.len()).chain(inputs.iter().map(|i| i.len()));
    let length = lengths.min().unwrap_or(0);
    let mut sums = [[0f32; N]; R];
    let whole = length / LANES * LANES;
    let lanes = lanes(weights, inputs, whole);
    for r in 0..R {
        for n in 0..N {
            let mut lanes = lanes[r][n];
            let mut width = LANES;
            while width > 1 {
                width /= 2;
                for lane in 0..width {
                    lanes[lane] += lanes[lane + width];
                }
            }
            sums[r][n] = lanes[0];
            for at in whole..length {
                sums[r][n] += weights[r][at].widen() * inputs[n][at];
            }
        }
    }
    sums
}

/// The partial sums over the first `whole` elements, a multiple of `LANES` that no row falls short of.
#[inline]
pub(super) fn lanes<W: Widen, const R: usize, const N: usize>(
    weights: [&[W]; R],
    inputs: [&[f32]; N],
    whole: usize,
) -> [[[f32; LANES]; N]; R] {
    #[cfg(target_arch = "x86_64")]
    {
        let form = Form::best();
        if form == Form::Avx512 {
            // SAFETY: the processor has what the form needs, and no row is shorter than `whole`.
            return unsafe { lanes_avx512(weights, inputs, whole) };
        }
        if form == Form::Avx2 {
            // SAFETY: the processor has what the form needs, and no row is shorter than `whole`.
            return unsafe { lanes_avx2(weights, inputs, whole) };
        }
    }
    lanes_plain(weights, inputs, whole)
}

/// # Safety
///
/// No row is shorter than `whole`, a multiple of `LANES`.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn lanes_avx512<W: Widen, const R: usize, const N: usize>(
    weights: [&[W]; R],
    inputs: [&[f32]; N],
    whole: usize,
) -> [[[f32; LANES]; N]; R] {
    use std::arch::x86_64::{_mm512_fmadd_ps, _mm512_loadu_ps, _mm512_setzero_ps, _mm512_storeu_ps};
    let mut sums = [[_mm512_setzero_ps(); N]; R];
    for at in (0..whole).step_by(LANES) {
        let mut wide = [_mm512_setzero_ps(); R];
        for r in 0..R {
            // SAFETY: `at + LANES <= whole`, which no row is shorter than.
            wide[r] = unsafe { W::load_avx512(weights[r].as_ptr().add(at)) };
        }
        for n in 0..N {
            // SAFETY: as above.
            let input = unsafe { _mm512_loadu_ps(inputs[n].as_ptr().add(at)) };
            for r in 0..R {
                sums[r][n] = _mm512_fmadd_ps(wide[r], input, sums[r][n]);
            }
        }
    }
    let mut out = [[[0f32; LANES]; N]; R];
    for r in 0..R {
        for n in 0..N {
            // SAFETY: the array holds exactly the 16 values stored.
            unsafe { _mm512_storeu_ps(out[r][n].as_mut_ptr(), sums[r][n]) };
        }
    }
    out
}

/// # Safety
///
/// No row is shorter than `whole`, a multiple of `LANES`.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn lanes_avx2<W: Widen, const R: usize, const N: usize>(
    weights: [&[W]; R],
    inputs: [&[f32]; N],
    whole: usize,
) -> [[[f32; LANES]; N]; R] {
    use std::arch::x86_64::{_mm256_fmadd_ps, _mm256_loadu_ps, _mm256_setzero_ps, _mm256_storeu_ps};
    const HALF: usize = LANES / 2;
    let mut sums = [[[_mm256_setzero_ps(); 2]; N]; R];
    for at in (0..whole).step_by(LANES) {
        for half in [0, 1] {
            let mut wide = [_mm256_setzero_ps(); R];
            for r in 0..R {
                // SAFETY: `at + LANES <= whole`, which no row is shorter than.
                wide[r] = unsafe { W::load_avx2(weights[r].as_ptr().add(at + half * HALF)) };
            }
            for n in 0..N {
                // SAFETY: as above.
                let input = unsafe { _mm256_loadu_ps(inputs[n].as_ptr().add(at + half * HALF)) };
                for r in 0..R {
                    sums[r][n][half] = _mm256_fmadd_ps(wide[r], input, sums[r][n][half]);
                }
            }
        }
    }
    let mut out = [[[0f32; LANES]; N]; R];
    for r in 0..R {
        for n in 0..N {
            for half in [0, 1] {
                // SAFETY: each half of the array holds exactly the 8 values stored.
                unsafe { _mm256_storeu_ps(out[r][n].as_mut_ptr().add(half * HALF), sums[r][n][half]) };
            }
        }
    }
    out
}

/// The reference of the forms above, and what other processors run. Fused only where the processor fuses, or each
/// addition would be a call.
pub(super) fn lanes_plain<W: Widen, const R: usize, const N: usize>(
    weights: [&[W]; R],
    inputs: [&[f32]; N],
    whole: usize,
) -> [[[f32; LANES]; N]; R] {
    let mut out = [[[0f32; LANES]; N]; R];
    for at in 0..whole {
        for r in 0..R {
            let weight = weights[r][at].widen();
            for n in 0..N {
                let sum = &mut out[r][n][at % LANES];
                let input = inputs[n][at];
                *sum = if cfg!(target_feature = "fma") || cfg!(target_arch = "aarch64") {
                    weight.mul_add(input, *sum)
                } else {
                    *sum + weight * input
                };
            }
        }
    }
    out
}
