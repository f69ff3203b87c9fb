//! Products with a bias, and the feed-forward blocks made of them.

use super::config::Activation;
use crate::kernels::{Linear, Rows, silu_product};

/// A product and what is added to it.
#[derive(Debug)]
pub(super) struct Projection<W = Linear> {
    pub(super) weight: W,
    pub(super) bias: Option<Vec<f32>>,
}

impl Projection {
    pub(super) fn forward(&self, input: &Rows) -> Rows {
        let [product] = Self::forward_all([self], input);
        product
    }

    /// Several projections of the same rows, shared out together.
    pub(super) fn forward_all<const N: usize>(all: [&Self; N], input: &Rows) -> [Rows; N] {
        let mut products = Linear::products_of(all.map(|one| &one.weight), input.values());
        for (product, one) in products.iter_mut().zip(all) {
            let Some(bias) = &one.bias else { continue };
            for row in product.values_mut().chunks_exact_mut(bias.len()) {
                row.iter_mut().zip(bias).for_each(|(value, bias)| *value += bias);
            }
        }
        products
    }
}

/// A feed-forward block with a gate; a dense layer's, or one expert's.
#[derive(Debug)]
pub(super) struct Gated<W = Linear> {
    pub(super) gate: Projection<W>,
    pub(super) up: Projection<W>,
    pub(super) down: Projection<W>,
    pub(super) activation: Activation,
}

impl Gated {
    /// Tells threads that wait that this comes next.
    pub(super) fn soon(&self) {
        Linear::soon_gated(&self.gate.weight, &self.up.weight);
    }

    pub(super) fn forward(&self, input: &Rows) -> Rows {
        Linear::soon([&self.down.weight]);
        if self.activation == Activation::Silu && self.gate.bias.is_none() && self.up.bias.is_none() {
            let hidden = Linear::gated_silu(&self.gate.weight, &self.up.weight, input.values());
            return self.down.forward(&hidden);
        }
        let [mut gates, ups] = Projection::forward_all([&self.gate, &self.up], input);
        match self.activation {
            Activation::Silu => silu_product(&mut gates, &ups),
            Activation::Gelu => each(&mut gates, &ups, |gate, up| gelu(gate) * up),
            Activation::Clamped { gain, limit } => each(&mut gates, &ups, |gate, up| {
                let (gate, up) = (gate.min(limit), up.clamp(-limit, limit));
                (up + 1.0) * gate / (1.0 + (-gain * gate).exp())
            }),
        }
        self.down.forward(&gates)
    }
}

/// The tanh form of GELU (Hendrycks and Gimpel 2016).
fn gelu(x: f32) -> f32 {
    let inner = std::f32::consts::FRAC_2_PI.sqrt() * (x + 0.044_715 * x * x * x);
    0.5 * x * (1.0 + inner.tanh())
}

fn each(gates: &mut Rows, ups: &Rows, f: impl Fn(f32, f32) -> f32) {
    gates.values_mut().iter_mut().zip(ups.values()).for_each(|(gate, up)| *gate = f(*gate, *up));
}
