//! Keys and values of one sequence, for every layer.

use crate::{
    KvType,
    kernels::{KeyShape, Past},
};

/// A sequence's KV cache; it holds what was computed and grows with it.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    layers: Vec<Option<Past>>,
    kind: KvType,
    tokens: usize,
}

impl Cache {
    pub(crate) fn new(layers: usize, kind: KvType) -> Self {
        Self { layers: vec![None; layers], kind, tokens: 0 }
    }

    /// Tokens computed in earlier steps.
    pub(crate) fn tokens(&self) -> usize {
        self.tokens
    }

    /// Adds the rows of this step to one layer.
    pub(crate) fn extend(&mut self, layer: usize, shape: KeyShape, keys: &[f32], values: &[f32]) {
        self.layers[layer].get_or_insert_with(|| Past::new(shape, self.kind)).extend(keys, values);
    }

    /// What one layer holds, the rows of this step among it; nothing before the first rows.
    pub(crate) fn layer(&self, layer: usize) -> Option<&Past> {
        self.layers.get(layer)?.as_ref()
    }

    /// Ends a step in which every layer was extended by `tokens` rows.
    pub(crate) fn advance(&mut self, tokens: usize) {
        self.tokens += tokens;
    }
}
