//! Causal attention of ragged rows, each sequence against its own cache.

use super::{
    decoder::{Segment, asking, extend},
    project::Projection,
    turns::Turns,
};
use crate::kernels::{Attend, Linear, Rows};

/// One layer's attention weights.
#[derive(Debug)]
pub(super) struct Attention<W = Linear> {
    pub(super) attend: Attend,
    pub(super) query: Projection<W>,
    pub(super) key: Projection<W>,
    pub(super) value: Projection<W>,
    pub(super) output: Projection<W>,
    /// Weights of the norms of each head's query and key, where the architecture has them.
    pub(super) norms: Option<(Vec<f32>, Vec<f32>)>,
    pub(super) epsilon: f32,
}

impl Attention {
    /// Tells threads that wait that this comes next.
    pub(super) fn soon(&self) {
        Linear::soon([&self.query.weight, &self.key.weight, &self.value.weight]);
    }

    /// `input` holds the rows of all segments one after another.
    pub(super) fn forward(
        &self,
        layer: usize,
        input: &Rows,
        turns: &Turns,
        segments: &mut [Segment<'_>],
    ) -> Rows {
        Linear::soon([&self.output.weight]);
        let norms = self.norms.as_ref();
        let [mut query, mut key, value] =
            Projection::forward_all([&self.query, &self.key, &self.value], input);
        turns.apply(&mut query, norms.map(|n| (n.0.as_slice(), self.epsilon)));
        turns.apply(&mut key, norms.map(|n| (n.1.as_slice(), self.epsilon)));
        let shape = self.attend.shape;
        extend(segments, layer, shape, [&key, &value]);
        let out = self.attend.attend(&asking(segments, layer), query.values());
        self.output.forward(&out)
    }
}
