//! The arithmetic that candle lacks on a CPU: products, norms and rotations whose rows never depend on each other.
//!
//! candle's own products go through one process-wide pool that spins at a barrier, which collapses when another
//! process takes a core, and some of them give a row other bits when it stands beside others. Here every row of a
//! result is computed by the same operations in the same order in any batch, chunk or number of threads.

mod floats;
mod linear;
mod rows;
#[cfg(test)]
mod tests;

pub(crate) use floats::{add_scaled, dot, dots};
pub(crate) use linear::Linear;
pub(crate) use rows::{Angles, Rotation, Rows, add, rms_norm, rotate, silu_product, softmax};
