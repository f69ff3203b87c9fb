//! Causal attention of ragged rows against blocks on a device, one group of like sequences after another.

use candle_core::{D, Device, Result, Tensor};

use super::{
    step::{Group, Step},
    turns::Turns,
    weights::{Product, vector},
};
use crate::{
    formats::RawTensor,
    kernels::{Attend, KeyShape},
    model::attention::Attention,
};

/// One layer's weights.
#[derive(Debug)]
pub(super) struct Heads {
    attend: Attend,
    query: Product,
    key: Product,
    value: Product,
    output: Product,
    norms: Option<[Tensor; 2]>,
    /// One score per query head that takes a share and gives nothing.
    sinks: Option<Tensor>,
    epsilon: f32,
}

impl Heads {
    pub(super) fn new(layer: Attention<RawTensor>, device: &Device) -> Result<Self> {
        let both = |(query, key): &(Vec<f32>, Vec<f32>)| -> Result<[Tensor; 2]> {
            Ok([vector(query, device)?, vector(key, device)?])
        };
        Ok(Self {
            query: Product::new(&layer.query, device)?,
            key: Product::new(&layer.key, device)?,
            value: Product::new(&layer.value, device)?,
            output: Product::new(&layer.output, device)?,
            norms: layer.norms.as_ref().map(both).transpose()?,
            sinks: layer.attend.sinks.as_deref().map(|sinks| vector(sinks, device)).transpose()?,
            attend: layer.attend,
            epsilon: layer.epsilon,
        })
    }

    /// `input` holds the rows of the step; `sight` is the layer's.
    pub(super) fn forward(
        &self,
        (layer, sight): (usize, usize),
        input: &Tensor,
        turns: &Turns,
        step: &Step,
    ) -> Result<Tensor> {
        let KeyShape { heads, key_width, .. } = self.attend.shape;
        let turned = |product: &Product, heads: usize, norm: usize| -> Result<Tensor> {
            let mut rows = product.forward(input)?.reshape((step.rows, heads, key_width))?;
            if let Some(norms) = &self.norms {
                rows = candle_nn::ops::rms_norm(&rows, &norms[norm], self.epsilon)?;
            }
            turns.apply(&rows)
        };
        let query = turned(&self.query, self.attend.heads, 0)?;
        let key = turned(&self.key, heads, 1)?;
        let value = self.value.forward(input)?;
        step.blocks.write(layer, &step.places, [&key, &value])?;
        self.output.forward(&self.taken((layer, sight), &query, step)?)
    }

    /// What every head of every row takes from the positions that it sees: `[row, head · number]`.
    fn taken(&self, (layer, sight): (usize, usize), query: &Tensor, step: &Step) -> Result<Tensor> {
        let sight = &step.sights[sight];
        let groups = sight.groups.iter().map(|group| self.of_group(layer, query, (group, step)));
        let groups = groups.collect::<Result<Vec<_>>>()?;
        let taken = if groups.len() == 1 { groups[0].clone() } else { Tensor::cat(&groups, 0)? };
        match &sight.order {
            Some(order) => taken.index_select(order, 0),
            None => Ok(taken),
        }
    }

    /// Query heads that share a head of keys stand beside each other, as rows of one product.
    fn of_group(&self, layer: usize, query: &Tensor, (group, step): (&Group, &Step)) -> Result<Tensor> {
        let KeyShape { heads, key_width, value_width } = self.attend.shape;
        let shared = self.attend.heads / heads;
        let Group { sequences, rows, positions, .. } = *group;
        let query = match &group.which {
            Some(which) => query.index_select(which, 0)?,
            None => query.clone(),
        };
        let query = (query * f64::from(self.attend.scale))?;
        let query = query.reshape((sequences, rows, heads, shared, key_width))?.permute((2, 0, 1, 3, 4))?;
        let query = query.contiguous()?.reshape((heads * sequences, rows * shared, key_width))?;
        let [keys, values] = step.blocks.read(layer, &group.slots)?;
        let keys = keys.reshape((heads * sequences, positions, key_width))?;
        let values = values.reshape((heads * sequences, positions, value_width))?;
        let scores = query.matmul(&keys.t()?)?.reshape((heads, sequences, rows, shared, positions))?;
        let scores = match &group.mask {
            Some(mask) => scores.broadcast_add(&mask.reshape((1, sequences, rows, 1, positions))?)?,
            None => scores,
        };
        let shares = self.shares(&scores)?.reshape((heads * sequences, rows * shared, positions))?;
        let taken = shares.matmul(&values)?.reshape((heads, sequences, rows, shared, value_width))?;
        let taken = taken.permute((1, 2, 0, 3, 4))?.contiguous()?;
        taken.reshape((sequences * rows, self.attend.heads * value_width))
    }

    /// Softmax over positions, and over the sink where there is one.
    fn shares(&self, scores: &Tensor) -> Result<Tensor> {
        let Some(sinks) = &self.sinks else { return candle_nn::ops::softmax_last_dim(scores) };
        let (heads, sequences, rows, shared, positions) = scores.dims5()?;
        let sinks = sinks.reshape((heads, 1, 1, shared, 1))?;
        let sinks = sinks.broadcast_as((heads, sequences, rows, shared, 1))?.contiguous()?;
        let shares = candle_nn::ops::softmax_last_dim(&Tensor::cat(&[scores, &sinks], D::Minus1)?)?;
        shares.narrow(D::Minus1, 0, positions)?.contiguous()
    }
}
