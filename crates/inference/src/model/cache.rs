//! Keys and values of one sequence, for every layer.

/// A sequence's KV cache; it holds what was computed and grows with it.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    layers: Vec<Layer>,
    tokens: usize,
}

/// Keys and values of one layer, a row per token.
#[derive(Debug, Default, Clone)]
pub(crate) struct Layer {
    pub(crate) keys: Vec<f32>,
    pub(crate) values: Vec<f32>,
}

impl Cache {
    pub(crate) fn new(layers: usize) -> Self {
        Self { layers: vec![Layer::default(); layers], tokens: 0 }
    }

    /// Tokens computed in earlier steps.
    pub(crate) fn tokens(&self) -> usize {
        self.tokens
    }

    /// Adds the rows of this step to one layer and returns all of them.
    pub(crate) fn extend(&mut self, layer: usize, keys: &[f32], values: &[f32]) -> &Layer {
        let layer = &mut self.layers[layer];
        layer.keys.extend_from_slice(keys);
        layer.values.extend_from_slice(values);
        layer
    }

    /// Ends a step in which every layer was extended by `tokens` rows.
    pub(crate) fn advance(&mut self, tokens: usize) {
        self.tokens += tokens;
    }
}
