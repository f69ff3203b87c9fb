//! Experts of a folder in 4-bit floats: blocks of 32 in one tensor, their exponents in another (OCP MX, section 5).

use super::{Loader, Making};
use crate::{
    Error,
    formats::{FOUR_BIT_BLOCK, four_bit_values},
};

impl<M: Making> Loader<'_, M> {
    /// Stacked matrices in f32, the outputs first.
    pub(super) fn four_bit(
        &self,
        name: &str,
        [count, outputs, inputs]: [usize; 3],
    ) -> Result<Vec<f32>, Error> {
        let (blocks, scales) = (format!("{name}_blocks"), format!("{name}_scales"));
        let per_row = inputs / FOUR_BIT_BLOCK;
        if !inputs.is_multiple_of(FOUR_BIT_BLOCK) {
            return self
                .refused(&blocks, format!("rows of {inputs} are not whole blocks of {FOUR_BIT_BLOCK}"));
        }
        let nibbles = self.file.bytes_of(&blocks, &[count, outputs, per_row, FOUR_BIT_BLOCK / 2])?;
        let exponents = self.file.bytes_of(&scales, &[count, outputs, per_row])?;
        let pairs = nibbles.as_slice().chunks_exact(FOUR_BIT_BLOCK / 2).zip(exponents.as_slice());
        let mut out = Vec::with_capacity(count * outputs * inputs);
        for (nibbles, exponent) in pairs {
            // A byte holds two neighbours, the lower half first.
            for byte in nibbles {
                out.extend(four_bit_values(*byte, *exponent));
            }
        }
        if out.iter().any(|value| !value.is_finite()) {
            return self.refused(&scales, "holds an exponent that is not a number");
        }
        Ok(out)
    }
}
