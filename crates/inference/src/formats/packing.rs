//! Types that the tensor library does not know, rewritten as ones of the same numbers when a file is opened.

use candle_core::quantized::GgmlDType;
use half::f16;

use super::{Bytes, RawTensor};

/// Numbers of a block of 4-bit floats.
pub(crate) const FOUR_BIT_BLOCK: usize = 32;

/// A type of blocks of 32 numbers in half bytes, each the index of one of sixteen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// A half-precision scale, then sixteen fixed numbers that lie closer near zero.
    Iq4Nl,
    /// An exponent, then 4-bit floats (OCP Microscaling, section 5).
    Mxfp4,
}

const IQ4_NL: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
/// Twice the numbers of a 4-bit float.
const FOUR_BIT_FLOATS: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];
/// What the halves of the doubled numbers are multiplied with is `2^(exponent - 128)`.
const EXPONENT_BIAS: i32 = 128;
/// Exponents that half precision can hold.
const HALF_EXPONENTS: std::ops::RangeInclusive<i32> = -24..=15;

impl Packing {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Iq4Nl => "IQ4_NL",
            Self::Mxfp4 => "MXFP4",
        }
    }

    /// Numbers and bytes of a block.
    pub(super) fn block(self) -> [usize; 2] {
        match self {
            Self::Iq4Nl => [32, 18],
            Self::Mxfp4 => [32, 17],
        }
    }

    /// The same numbers as 8-bit blocks, whose scale and steps hold them exactly, or as f32 where an exponent is too
    /// far from zero for the scale.
    pub(super) fn unpacked(self, bytes: &Bytes, shape: Vec<usize>) -> RawTensor {
        let bytes = bytes.as_slice();
        let [numbers, size] = self.block();
        let mut out = Vec::with_capacity(bytes.len() / size * (numbers + 2));
        for block in bytes.chunks_exact(size) {
            let (scale, table) = match self {
                Self::Iq4Nl => ([block[0], block[1]], &IQ4_NL),
                Self::Mxfp4 => {
                    let exponent = i32::from(block[0]) - EXPONENT_BIAS;
                    if !HALF_EXPONENTS.contains(&exponent) {
                        return RawTensor::of_floats(four_bit_floats(bytes), &shape);
                    }
                    (f16::from_f32((exponent as f32).exp2()).to_le_bytes(), &FOUR_BIT_FLOATS)
                }
            };
            let halves = &block[size - numbers / 2..];
            out.extend(scale);
            out.extend(halves.iter().map(|byte| table[usize::from(byte & 15)].cast_unsigned()));
            out.extend(halves.iter().map(|byte| table[usize::from(byte >> 4)].cast_unsigned()));
        }
        RawTensor { kind: GgmlDType::Q8_0, shape, bytes: Bytes::owned(out) }
    }
}

/// Blocks of 4-bit floats in f32.
fn four_bit_floats(bytes: &[u8]) -> Vec<f32> {
    let [_, size] = Packing::Mxfp4.block();
    let block = |block: &[u8]| {
        let pairs: Vec<[f32; 2]> = block[1..].iter().map(|byte| four_bit_values(*byte, block[0])).collect();
        pairs.iter().map(|p| p[0]).chain(pairs.iter().map(|p| p[1])).collect::<Vec<f32>>()
    };
    bytes.chunks_exact(size).flat_map(block).collect()
}

/// The two numbers of a byte, the lower half first. An exponent of all ones gives NaN.
pub(crate) fn four_bit_values(byte: u8, exponent: u8) -> [f32; 2] {
    if exponent == u8::MAX {
        return [f32::NAN; 2];
    }
    let scale = f64::from(i32::from(exponent) - EXPONENT_BIAS).exp2();
    [byte & 15, byte >> 4].map(|half| (f64::from(FOUR_BIT_FLOATS[usize::from(half)]) * scale) as f32)
}
