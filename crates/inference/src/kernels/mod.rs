//! The arithmetic that candle lacks on a CPU: products, norms and rotations whose rows never depend on each other.
//!
//! candle's own products go through one process-wide pool that spins at a barrier, which collapses when another
//! process takes a core, and some of them give a row other bits when it stands beside others. Here every row of a
//! result is computed by the same operations in the same order in any batch, chunk or number of threads.
//!
//! | | forms, which give the same bits | checked by |
//! |---|---|---|
//! | products of Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K (`tiles`) | plain, AVX2, AVX-512 VNNI, NEON | random shapes, extreme bytes |
//! | attention in blocks (`attention`) | plain, AVX2, AVX-512 | its definition, random shapes, windows, chunks |
//! | exponential, SiLU, softmax shares (`exponent`) | plain, AVX2, AVX-512, all from one source | the true values |
//! | products of F32, F16, BF16 (`floats`) | plain, AVX2, AVX-512; sums may differ between them | the plain form |
//!
//! Q2_K and Q3_K go through the tensor library's product of two rows.

mod form;
mod arena;
pub(crate) mod team;
mod floats;
mod exponent;
mod tiles;
mod attention;
mod linear;
mod mixture;
mod rows;
#[cfg(test)]
mod tests;

pub(crate) use arena::Buffer;
pub(crate) use attention::{Asking, Attend, Block, KeyShape, Layout, Past, SPAN, WHOLE};
pub(crate) use exponent::{greatest, silu_times, total};
pub(crate) use floats::{add_scaled, dot};
pub(crate) use form::Form;
pub(crate) use linear::Linear;
pub(crate) use mixture::{Expert, mixture};
pub(crate) use rows::{Angles, Rotation, Rows, add, add_then_norm, rms_norm, rotate, silu_product, softmax};
pub(crate) use team::{Team, share};
pub(crate) use tiles::{Tiles, VERSION as TILES_VERSION};

/// Makes glibc keep the memory of large vectors that were dropped, so that each step does not have it cleared anew: its
/// threshold between kept and returned memory follows the largest block that was ever returned, up to 32 MiB. Elsewhere
/// it does nothing but allocate once.
pub(crate) fn keep_freed_memory() {
    const ALMOST_32_MIB: usize = (32 << 20) - (64 << 10);
    drop(std::hint::black_box(vec![0u8; ALMOST_32_MIB]));
}
