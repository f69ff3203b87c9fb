//! Products with a bias, and the feed-forward blocks made of them.

use candle_core::{Device, Tensor};

use super::config::Activation;
use crate::{
    Error,
    kernels::{Linear, Rows, silu_product},
};

/// A product and what is added to it.
#[derive(Debug)]
pub(super) struct Projection {
    pub(super) weight: Linear,
    pub(super) bias: Option<Vec<f32>>,
}

impl Projection {
    pub(super) fn forward(&self, input: &Tensor) -> Result<Tensor, Error> {
        let [product] = Self::forward_all([self], input)?;
        Ok(product)
    }

    /// Several projections of the same rows, shared out together.
    pub(super) fn forward_all<const N: usize>(all: [&Self; N], input: &Tensor) -> Result<[Tensor; N], Error> {
        let rows = Rows::of(input)?;
        let count = rows.count();
        let mut products = Linear::products_of(all.map(|one| &one.weight), rows.as_slice()?);
        for (product, one) in products.iter_mut().zip(all) {
            let Some(bias) = &one.bias else { continue };
            for row in product.chunks_exact_mut(bias.len()) {
                row.iter_mut().zip(bias).for_each(|(value, bias)| *value += bias);
            }
        }
        let tensor = |product: Vec<f32>| {
            let width = product.len() / count.max(1);
            Tensor::from_vec(product, (count, width), &Device::Cpu)
        };
        let tensors = products.map(tensor).into_iter().collect::<Result<Vec<_>, _>>()?;
        tensors.try_into().map_err(|_| Error::Compute { problem: "projections give a tensor each".into() })
    }
}

/// A feed-forward block with a gate; a dense layer's, or one expert's.
#[derive(Debug)]
pub(super) struct Gated {
    pub(super) gate: Projection,
    pub(super) up: Projection,
    pub(super) down: Projection,
    pub(super) activation: Activation,
}

impl Gated {
    pub(super) fn forward(&self, input: &Tensor) -> Result<Tensor, Error> {
        if self.activation == Activation::Silu && self.gate.bias.is_none() && self.up.bias.is_none() {
            let rows = Rows::of(input)?;
            let hidden = Linear::gated_silu(&self.gate.weight, &self.up.weight, rows.as_slice()?);
            let width = hidden.len() / rows.count().max(1);
            return self.down.forward(&Tensor::from_vec(hidden, (rows.count(), width), &Device::Cpu)?);
        }
        let (gate, up) = (self.gate.forward(input)?, self.up.forward(input)?);
        let hidden = match self.activation {
            Activation::Silu => silu_product(&gate, &up)?,
            Activation::Gelu => zip(&gate, &up, |gate, up| gelu(gate) * up)?,
            Activation::Clamped { gain, limit } => zip(&gate, &up, |gate, up| {
                let (gate, up) = (gate.min(limit), up.clamp(-limit, limit));
                (up + 1.0) * gate / (1.0 + (-gain * gate).exp())
            })?,
        };
        self.down.forward(&hidden)
    }
}

/// The tanh form of GELU (Hendrycks and Gimpel 2016).
fn gelu(x: f32) -> f32 {
    let inner = std::f32::consts::FRAC_2_PI.sqrt() * (x + 0.044_715 * x * x * x);
    0.5 * x * (1.0 + inner.tanh())
}

fn zip(left: &Tensor, right: &Tensor, f: impl Fn(f32, f32) -> f32) -> Result<Tensor, Error> {
    let shape = left.dims2()?;
    let (left, right) = (Rows::of(left)?, Rows::of(right)?);
    let out: Vec<f32> = left.as_slice()?.iter().zip(right.as_slice()?).map(|(l, r)| f(*l, *r)).collect();
    Ok(Tensor::from_vec(out, shape, &Device::Cpu)?)
}
