//! Which of the processor's instructions the kernels use: the best that it has, unless held below.

use std::sync::atomic::{AtomicU8, Ordering};

/// A form of the kernels; all give the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Form {
    /// No instructions beyond the target's own.
    Plain,
    /// AVX2 with FMA and F16C.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 F, BW, VL, DQ and VNNI.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// NEON with dot products.
    #[cfg(target_arch = "aarch64")]
    Neon,
}

/// One more than the greatest form in use; 0 means that nobody looked yet.
static GREATEST: AtomicU8 = AtomicU8::new(0);

impl Form {
    /// What the processor has, from the plainest on.
    pub(crate) fn all() -> Vec<Self> {
        let mut forms = vec![Self::Plain];
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c");
            if avx2 {
                forms.push(Self::Avx2);
            }
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vnni");
            if avx2 && avx512 {
                forms.push(Self::Avx512);
            }
        }
        #[cfg(target_arch = "aarch64")]
        {
            use std::arch::is_aarch64_feature_detected as detected;
            if detected!("neon") && detected!("dotprod") {
                forms.push(Self::Neon);
            }
        }
        forms
    }

    /// The one to use.
    pub(crate) fn best() -> Self {
        let forms = match GREATEST.load(Ordering::Relaxed) {
            0 => {
                let forms = Self::all();
                GREATEST.store(forms.len() as u8, Ordering::Relaxed);
                return forms.last().copied().unwrap_or(Self::Plain);
            }
            count => usize::from(count),
        };
        #[cfg(target_arch = "x86_64")]
        return [Self::Plain, Self::Avx2, Self::Avx512][forms.min(3) - 1];
        #[cfg(target_arch = "aarch64")]
        return [Self::Plain, Self::Neon][forms.min(2) - 1];
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        return [Self::Plain][forms.min(1) - 1];
    }

    /// Holds the whole process to forms up to the `count`-th that the processor has; for measurements, since the bits
    /// are the same.
    pub(crate) fn hold(count: usize) {
        let count = count.clamp(1, Self::all().len());
        GREATEST.store(count as u8, Ordering::Relaxed);
    }
}

/// Compiles `$plain` for each of the processors' widths, and calls the widest that the processor has.
macro_rules! wide {
    ($(#[$doc:meta])* $name:ident, $plain:ident, ($($argument:ident: $kind:ty),*)) => {
        $(#[$doc])*
        #[inline]
        pub(crate) fn $name($($argument: $kind),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")]
                unsafe fn avx512($($argument: $kind),*) {
                    $plain($($argument),*);
                }
                #[target_feature(enable = "avx2,fma")]
                unsafe fn avx2($($argument: $kind),*) {
                    $plain($($argument),*);
                }
                if crate::kernels::Form::best() == crate::kernels::Form::Avx512 {
                    // SAFETY: the processor has the features.
                    return unsafe { avx512($($argument),*) };
                }
                if crate::kernels::Form::best() >= crate::kernels::Form::Avx2 {
                    // SAFETY: the processor has the features.
                    return unsafe { avx2($($argument),*) };
                }
            }
            $plain($($argument),*);
        }
    };
}
pub(in crate::kernels) use wide;
