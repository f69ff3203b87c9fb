//! Weights on a device: matrices in the form that the tensor library multiplies there, and what is made of them.

use std::{borrow::Cow, sync::Arc};

use candle_core::{
    DType, Device, Module, Result, Tensor,
    quantized::{GgmlDType, QMatMul, QStorage, QTensor},
};

use crate::{
    formats::RawTensor,
    model::{
        config::Activation,
        project::{Gated, Projection},
        weights::Making,
    },
};

/// Bytes that every type's blocks are aligned to.
const ALIGNED: usize = 16;

/// Leaves matrices as they are in the file; a layer is moved to the device as a whole.
#[derive(Debug)]
pub(super) struct AsRead;

impl Making for AsRead {
    type Matrix = RawTensor;

    fn matrix(&self, _name: &str, tensor: RawTensor) -> std::result::Result<RawTensor, String> {
        Ok(tensor)
    }

    fn table(&self, tensor: RawTensor) -> std::result::Result<RawTensor, String> {
        Ok(tensor)
    }

    fn is_checked(&self) -> bool {
        false
    }
}

/// `outputs × inputs` weights.
#[derive(Debug, Clone)]
pub(super) enum Matrix {
    /// In blocks; activations are rounded to 8 bits for the product.
    Blocks(QMatMul),
    /// In floats; activations take their type for the product.
    Floats(Tensor),
}

/// A product and what is added to it.
#[derive(Debug, Clone)]
pub(super) struct Product {
    pub(super) weight: Matrix,
    pub(super) bias: Option<Tensor>,
}

/// A feed-forward block with a gate.
#[derive(Debug)]
pub(super) struct Feed {
    pub(super) gate: Product,
    pub(super) up: Product,
    pub(super) down: Product,
    pub(super) activation: Activation,
}

/// Bytes that go to a device: copied to where every type's blocks may lie.
pub(super) struct Aligned {
    held: Vec<u8>,
    start: usize,
}

impl Aligned {
    /// All parts, one after another.
    pub(super) fn of<'a>(parts: impl Iterator<Item = &'a [u8]> + Clone) -> Self {
        let length: usize = parts.clone().map(<[u8]>::len).sum();
        let mut held = vec![0; length + ALIGNED];
        let start = held.as_ptr().align_offset(ALIGNED).min(ALIGNED);
        let mut at = start;
        for part in parts {
            held[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        held.truncate(at);
        Self { held, start }
    }

    /// As blocks of a type that is not a float's.
    pub(super) fn blocks(&self, kind: GgmlDType, shape: &[usize], device: &Device) -> Result<QTensor> {
        QTensor::new(QStorage::from_data(Cow::Borrowed(&self.held[self.start..]), device, kind)?, shape)
    }
}

/// The type of floats in the tensor library; none for blocks.
fn float_type(kind: GgmlDType) -> Option<DType> {
    match kind {
        GgmlDType::F32 => Some(DType::F32),
        GgmlDType::F16 => Some(DType::F16),
        GgmlDType::BF16 => Some(DType::BF16),
        _ => None,
    }
}

/// A vector of f32.
pub(super) fn vector(values: &[f32], device: &Device) -> Result<Tensor> {
    Tensor::from_slice(values, values.len(), device)
}

impl Matrix {
    pub(super) fn new(tensor: &RawTensor, device: &Device) -> Result<Self> {
        let bytes = tensor.bytes.as_slice();
        let Some(kind) = float_type(tensor.kind) else {
            let blocks = Aligned::of([bytes].into_iter()).blocks(tensor.kind, &tensor.shape, device)?;
            return Ok(Self::Blocks(QMatMul::QTensor(Arc::new(blocks))));
        };
        let floats = Tensor::from_raw_buffer(bytes, kind, &tensor.shape, device)?;
        // The library's processor does not multiply all of the short types.
        Ok(Self::Floats(if device.is_cpu() { floats.to_dtype(DType::F32)? } else { floats }))
    }

    /// The product with rows of f32, in f32.
    pub(super) fn product(&self, rows: &Tensor) -> Result<Tensor> {
        match self {
            Self::Blocks(blocks) => blocks.forward(rows),
            Self::Floats(floats) => rows.to_dtype(floats.dtype())?.matmul(&floats.t()?)?.to_dtype(DType::F32),
        }
    }

    /// Rows of the matrix itself, in f32.
    pub(super) fn rows(&self, ids: &Tensor) -> Result<Tensor> {
        match self {
            Self::Blocks(blocks) => blocks.embedding(ids),
            Self::Floats(floats) => floats.index_select(ids, 0)?.to_dtype(DType::F32),
        }
    }
}

impl Product {
    pub(super) fn new(projection: &Projection<RawTensor>, device: &Device) -> Result<Self> {
        let bias = projection.bias.as_ref().map(|bias| vector(bias, device)).transpose()?;
        Ok(Self { weight: Matrix::new(&projection.weight, device)?, bias })
    }

    pub(super) fn forward(&self, rows: &Tensor) -> Result<Tensor> {
        let product = self.weight.product(rows)?;
        match &self.bias {
            Some(bias) => product.broadcast_add(bias),
            None => Ok(product),
        }
    }
}

impl Feed {
    pub(super) fn new(gated: &Gated<RawTensor>, device: &Device) -> Result<Self> {
        Ok(Self {
            gate: Product::new(&gated.gate, device)?,
            up: Product::new(&gated.up, device)?,
            down: Product::new(&gated.down, device)?,
            activation: gated.activation,
        })
    }

    pub(super) fn forward(&self, rows: &Tensor) -> Result<Tensor> {
        let hidden = activate(self.activation, &self.gate.forward(rows)?, &self.up.forward(rows)?)?;
        self.down.forward(&hidden)
    }
}

/// What a block does between its products.
pub(super) fn activate(activation: Activation, gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    match activation {
        Activation::Silu => gate.silu()? * up,
        // The library's `gelu` is the tanh form.
        Activation::Gelu => gate.gelu()? * up,
        Activation::Clamped { gain, limit } => {
            let gate = gate.minimum(f64::from(limit))?;
            let up = up.clamp(-limit, limit)?;
            let share = candle_nn::ops::sigmoid(&(&gate * f64::from(gain))?)?;
            (up + 1.0)? * (gate * share)?
        }
    }
}
