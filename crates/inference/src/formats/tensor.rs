//! One tensor as it lies in a file, and its numbers.

use std::path::Path;

use candle_core::quantized::{GgmlDType, GgmlType, k_quants};
use half::{bf16, f16};

use super::{Blocks, Bytes, Plain};
use crate::Error;

/// One tensor's type, shape and bytes; the bytes are exactly as many as type and shape ask for.
#[derive(Debug, Clone)]
pub(crate) struct RawTensor {
    pub(crate) kind: GgmlDType,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: Bytes,
}

impl RawTensor {
    /// A tensor of f32 that is in no file. `values` are as many as `shape` asks for.
    pub(crate) fn of_floats(values: Vec<f32>, shape: &[usize]) -> Self {
        let bytes = values.into_iter().flat_map(f32::to_le_bytes).collect();
        Self { kind: GgmlDType::F32, shape: shape.to_vec(), bytes: Bytes::owned(bytes) }
    }

    /// Part `index` of the first dimension, as a tensor of one dimension less.
    pub(crate) fn part(&self, index: usize) -> Option<Self> {
        let (&parts, shape) = self.shape.split_first()?;
        if index >= parts || shape.is_empty() {
            return None;
        }
        let part_bytes = self.bytes.len() / parts;
        let bytes = self.bytes.part(index * part_bytes, part_bytes)?;
        Some(Self { kind: self.kind, shape: shape.to_vec(), bytes })
    }

    /// Rows `start..start + count` of the first dimension.
    pub(crate) fn rows(&self, start: usize, count: usize) -> Option<Self> {
        let (&rows, rest) = self.shape.split_first()?;
        if rows == 0 || start.checked_add(count)? > rows {
            return None;
        }
        let row_bytes = self.bytes.len() / rows;
        let bytes = self.bytes.part(start * row_bytes, count * row_bytes)?;
        let mut shape = vec![count];
        shape.extend_from_slice(rest);
        Some(Self { kind: self.kind, shape, bytes })
    }

    pub(crate) fn elements(&self) -> u64 {
        self.shape.iter().map(|&d| d as u64).product()
    }

    /// All numbers in f32, by the type's own rule.
    pub(crate) fn floats(&self, file: &Path, name: &str) -> Result<Vec<f32>, Error> {
        let bytes = self.bytes.clone();
        Ok(match self.kind {
            GgmlDType::F32 => Blocks::<f32>::new(bytes).as_slice().to_vec(),
            GgmlDType::F16 => Blocks::<f16>::new(bytes).as_slice().iter().map(|v| v.to_f32()).collect(),
            GgmlDType::BF16 => Blocks::<bf16>::new(bytes).as_slice().iter().map(|v| v.to_f32()).collect(),
            GgmlDType::Q4_0 => widened::<k_quants::BlockQ4_0>(bytes),
            GgmlDType::Q4_1 => widened::<k_quants::BlockQ4_1>(bytes),
            GgmlDType::Q5_0 => widened::<k_quants::BlockQ5_0>(bytes),
            GgmlDType::Q5_1 => widened::<k_quants::BlockQ5_1>(bytes),
            GgmlDType::Q8_0 => widened::<k_quants::BlockQ8_0>(bytes),
            GgmlDType::Q2K => widened::<k_quants::BlockQ2K>(bytes),
            GgmlDType::Q3K => widened::<k_quants::BlockQ3K>(bytes),
            GgmlDType::Q4K => widened::<k_quants::BlockQ4K>(bytes),
            GgmlDType::Q5K => widened::<k_quants::BlockQ5K>(bytes),
            GgmlDType::Q6K => widened::<k_quants::BlockQ6K>(bytes),
            other => {
                let problem = format!("has type {other:?}, which is not supported");
                return Err(Error::model(file, name, problem));
            }
        })
    }

    /// The first row with a number that is not finite: of blocks, one whose scale is not.
    pub(crate) fn first_broken(&self) -> Option<usize> {
        let bytes = self.bytes.as_slice();
        let at = match self.kind {
            GgmlDType::F32 => {
                let exponent = |b: &[u8]| b[3] & 0x7f == 0x7f && b[2] & 0x80 != 0;
                bytes.chunks_exact(4).position(exponent)?
            }
            GgmlDType::BF16 => bytes.chunks_exact(2).position(|b| b[1] & 0x7f == 0x7f && b[0] & 0x80 != 0)?,
            GgmlDType::F16 => bytes.chunks_exact(2).position(is_broken_half)?,
            kind => {
                let scales: &[usize] = match kind {
                    GgmlDType::Q4_1 | GgmlDType::Q5_1 | GgmlDType::Q4K | GgmlDType::Q5K => &[0, 2],
                    GgmlDType::Q2K => &[80, 82],
                    GgmlDType::Q3K => &[108],
                    GgmlDType::Q6K => &[208],
                    _ => &[0],
                };
                let broken = |block: &[u8]| scales.iter().any(|at| is_broken_half(&block[*at..*at + 2]));
                bytes.chunks_exact(kind.type_size()).position(broken)? * kind.block_size()
            }
        };
        Some(at / self.shape.last().copied().unwrap_or(1).max(1))
    }
}

fn is_broken_half(bytes: &[u8]) -> bool {
    bytes[1] & 0x7c == 0x7c
}

fn widened<T: GgmlType + Plain>(bytes: Bytes) -> Vec<f32> {
    let blocks = Blocks::<T>::new(bytes);
    let mut out = vec![0f32; blocks.as_slice().len() * T::BLCK_SIZE];
    T::to_float(blocks.as_slice(), &mut out);
    out
}

/// Bytes that a tensor of this type and shape takes, or what is wrong with them.
pub(super) fn size_of(kind: GgmlDType, shape: &[usize]) -> Result<usize, String> {
    size_in_blocks([kind.block_size(), kind.type_size()], &format!("{kind:?}"), shape)
}

/// The same for blocks of `block` numbers in `bytes` bytes.
pub(super) fn size_in_blocks(
    [block, bytes]: [usize; 2],
    name: &str,
    shape: &[usize],
) -> Result<usize, String> {
    let elements = shape
        .iter()
        .try_fold(1usize, |product, &dimension| product.checked_mul(dimension))
        .ok_or_else(|| format!("shape {shape:?} has more elements than can be counted"))?;
    let columns = shape.last().copied().unwrap_or(1);
    if elements == 0 {
        return Err(format!("shape {shape:?} is empty"));
    }
    if !columns.is_multiple_of(block) {
        return Err(format!("rows of {columns} are not a multiple of {name}'s blocks of {block}"));
    }
    (elements / block)
        .checked_mul(bytes)
        .ok_or_else(|| format!("shape {shape:?} has more bytes than can be counted"))
}
