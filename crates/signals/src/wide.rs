//! Compiles an inner loop twice, and runs it with the processor's wider instructions where it has them. What is compiled
//! so adds whole numbers only, or floats in one fixed order, so that the bits are the same either way.

macro_rules! wide {
    ($(#[$attribute:meta])* fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $result:ty $body:block) => {
        $(#[$attribute])*
        fn $name($($argument: $type),*) -> $result {
            #[inline(always)]
            fn plain($($argument: $type),*) -> $result $body

            #[cfg(target_arch = "x86_64")]
            if std::arch::is_x86_feature_detected!("avx2") {
                #[target_feature(enable = "avx2")]
                fn with_avx2($($argument: $type),*) -> $result {
                    plain($($argument),*)
                }
                // SAFETY: the processor has the feature that the function asks for, as was just seen.
                return unsafe { with_avx2($($argument),*) };
            }
            plain($($argument),*)
        }
    };
}

pub(crate) use wide;
