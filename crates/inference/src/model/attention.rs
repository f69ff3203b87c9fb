//! Causal attention of ragged rows, each sequence against its own cache.

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::{cache::Layer, config::Heads, decoder::Segment};
use crate::{
    Error,
    kernels::{Angles, Linear, Rows, add_scaled, dot, dots, rotate, softmax},
};

/// Below so many multiplications attention is not worth sharing among threads.
const PARALLEL_WORK_MIN: usize = 1 << 16;

/// Keys that are multiplied together.
const QUAD: usize = 4;

/// One layer's attention weights.
#[derive(Debug)]
pub(super) struct Attention {
    pub(super) heads: Heads,
    pub(super) query: Linear,
    pub(super) key: Linear,
    pub(super) value: Linear,
    pub(super) output: Linear,
    /// Weights of the norms of each head's query and key, where the architecture has them.
    pub(super) norms: Option<(Vec<f32>, Vec<f32>)>,
    pub(super) epsilon: f32,
}

impl Attention {
    /// `input` holds the rows of all segments one after another.
    pub(super) fn forward(
        &self,
        layer: usize,
        input: &Tensor,
        angles: &Angles,
        segments: &mut [Segment<'_>],
    ) -> Result<Tensor, Error> {
        let norms = self.norms.as_ref();
        let query =
            rotate(&self.query.forward(input)?, norms.map(|n| (n.0.as_slice(), self.epsilon)), angles)?;
        let key = rotate(&self.key.forward(input)?, norms.map(|n| (n.1.as_slice(), self.epsilon)), angles)?;
        let value = self.value.forward(input)?;
        let (query, key, value) = (Rows::of(&query)?, Rows::of(&key)?, Rows::of(&value)?);
        let (query, key, value) = (query.as_slice()?, key.as_slice()?, value.as_slice()?);
        let (query_width, key_width) = (self.heads.query_width(), self.heads.key_width());
        let mut out = vec![0f32; query.len()];
        let mut row = 0;
        for segment in segments {
            let rows = segment.tokens.len();
            let keys = row * key_width..(row + rows) * key_width;
            let queries = row * query_width..(row + rows) * query_width;
            let seen = segment.cache.tokens();
            let cached = segment.cache.extend(layer, &key[keys.clone()], &value[keys]);
            self.attend(cached, seen, &query[queries.clone()], &mut out[queries]);
            row += rows;
        }
        let out = Tensor::from_vec(out, (row, query_width), &Device::Cpu)?;
        self.output.forward(&out)
    }

    /// Every head of every row of one sequence; the first row stands at position `seen`.
    fn attend(&self, cached: &Layer, seen: usize, query: &[f32], out: &mut [f32]) {
        let Heads { query: heads, key: key_heads, width } = self.heads;
        let stride = self.heads.key_width();
        let one = |(at, out): (usize, &mut [f32])| {
            let (row, head) = (at / heads, at % heads);
            let offset = head / (heads / key_heads) * width;
            let past = Past { cached, stride, offset, positions: seen + row + 1 };
            past.attend(&query[at * width..(at + 1) * width], out);
        };
        let positions = cached.keys.len() / stride;
        if query.len() * positions < PARALLEL_WORK_MIN || rayon::current_num_threads() == 1 {
            out.chunks_exact_mut(width).enumerate().for_each(one);
        } else {
            out.par_chunks_exact_mut(width).enumerate().for_each(one);
        }
    }
}

/// What one head of one row may look at.
#[derive(Debug, Clone, Copy)]
struct Past<'a> {
    cached: &'a Layer,
    /// Numbers per position.
    stride: usize,
    /// Where the head's numbers start within a position.
    offset: usize,
    positions: usize,
}

impl Past<'_> {
    /// Adds to `out` the values, weighted by how well their keys fit the query.
    fn attend(self, query: &[f32], out: &mut [f32]) {
        let own = self.offset..self.offset + query.len();
        let scale = 1.0 / (query.len() as f32).sqrt();
        let mut scores = vec![0f32; self.positions];
        let mut quads = scores.chunks_exact_mut(QUAD);
        let mut keys = self.cached.keys.chunks_exact(self.stride).map(|keys| &keys[own.clone()]);
        for quad in &mut quads {
            let keys: [&[f32]; QUAD] = std::array::from_fn(|_| keys.next().unwrap_or_default());
            quad.copy_from_slice(dots(keys, [query]).as_flattened());
        }
        for (score, keys) in quads.into_remainder().iter_mut().zip(keys) {
            *score = dot(keys, query);
        }
        scores.iter_mut().for_each(|score| *score *= scale);
        softmax(&mut scores);
        for (score, values) in scores.iter().zip(self.cached.values.chunks_exact(self.stride)) {
            add_scaled(out, *score, &values[own.clone()]);
        }
    }
}
