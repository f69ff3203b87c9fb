//! Attention over compressed keys and values: one short vector per token is cached for all heads (DeepSeek-V2,
//! section 2.1), and the heads' own projections are moved to the queries and to the results.

use candle_core::{Device, Tensor};

use super::{
    config::Latent,
    decoder::{Segment, asking},
    project::Projection,
    turns::Turns,
};
use crate::{
    Error,
    kernels::{Attend, Linear, Rows, rms_norm},
};

/// One layer's weights.
#[derive(Debug)]
pub(super) struct LatentAttention {
    pub(super) widths: Latent,
    /// Heads share one key: the compressed vector and its rotated part.
    pub(super) attend: Attend,
    pub(super) query: Query,
    /// Compresses keys and values and gives the rotated part of the keys.
    pub(super) compress: Projection,
    pub(super) compress_norm: Vec<f32>,
    /// Per head: from the unrotated query to a query for compressed keys, and from compressed values to values.
    pub(super) heads: Vec<Head>,
    pub(super) output: Projection,
    pub(super) epsilon: f32,
}

/// One head's projections.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) query: Linear,
    pub(super) value: Linear,
}

/// How queries are made.
#[derive(Debug)]
pub(super) enum Query {
    Direct(Projection),
    Compressed { down: Projection, norm: Vec<f32>, up: Projection },
}

impl Query {
    fn forward(&self, input: &Tensor, epsilon: f32) -> Result<Tensor, Error> {
        match self {
            Self::Direct(direct) => direct.forward(input),
            Self::Compressed { down, norm, up } => {
                up.forward(&rms_norm(&down.forward(input)?, norm, epsilon)?)
            }
        }
    }
}

impl LatentAttention {
    /// `input` holds the rows of all segments one after another.
    pub(super) fn forward(
        &self,
        layer: usize,
        input: &Tensor,
        turns: &Turns,
        segments: &mut [Segment<'_>],
    ) -> Result<Tensor, Error> {
        let count = input.dims2()?.0;
        let keys = self.keys(input, turns)?;
        let queries = self.queries(input, turns)?;
        let Latent { key_rank, value_width, .. } = self.widths;
        let (heads, shape) = (self.heads.len(), self.attend.shape);
        let values = columns(&keys, shape.key_width, 0, key_rank);
        let mut row = 0;
        for segment in segments.iter_mut() {
            let rows = row..row + segment.tokens.len();
            let of = |width: usize| rows.start * width..rows.end * width;
            segment.cache.extend(layer, shape, &keys[of(shape.key_width)], &values[of(key_rank)]);
            row = rows.end;
        }
        let taken = self.attend.attend(&asking(segments, layer), &queries);
        let mut out = vec![0f32; count * heads * value_width];
        for (at, head) in self.heads.iter().enumerate() {
            let values = head.value.product(&columns(&taken, heads * key_rank, at * key_rank, key_rank));
            put_columns(&mut out, heads * value_width, at * value_width, (&values, value_width));
        }
        let out = Tensor::from_vec(out, (count, heads * value_width), &Device::Cpu)?;
        self.output.forward(&out)
    }

    /// What is cached of each row: the compressed vector, then the rotated part.
    fn keys(&self, input: &Tensor, turns: &Turns) -> Result<Vec<f32>, Error> {
        let Latent { key_rank, rotated_width, .. } = self.widths;
        let both = self.compress.forward(input)?;
        let count = both.dims2()?.0;
        let rows = Rows::of(&both)?;
        let rows = rows.as_slice()?;
        let width = key_rank + rotated_width;
        let part = |start, width_of| {
            let values = columns(rows, width, start, width_of);
            Tensor::from_vec(values, (count, width_of), &Device::Cpu)
        };
        let compressed = rms_norm(&part(0, key_rank)?, &self.compress_norm, self.epsilon)?;
        let rotated = turns.apply(&part(key_rank, rotated_width)?, None)?;
        let mut out = vec![0f32; count * width];
        put_columns(&mut out, width, 0, (Rows::of(&compressed)?.as_slice()?, key_rank));
        put_columns(&mut out, width, key_rank, (Rows::of(&rotated)?.as_slice()?, rotated_width));
        Ok(out)
    }

    /// Queries that fit what is cached, head after head.
    fn queries(&self, input: &Tensor, turns: &Turns) -> Result<Vec<f32>, Error> {
        let Latent { key_rank, plain_width, rotated_width, .. } = self.widths;
        let raw = self.query.forward(input, self.epsilon)?;
        let count = raw.dims2()?.0;
        let raw = Rows::of(&raw)?;
        let raw = raw.as_slice()?;
        let (heads, raw_width) = (self.heads.len(), plain_width + rotated_width);
        let width = heads * (key_rank + rotated_width);
        let mut out = vec![0f32; count * width];
        for (at, head) in self.heads.iter().enumerate() {
            let plain = columns(raw, heads * raw_width, at * raw_width, plain_width);
            let start = at * (key_rank + rotated_width);
            put_columns(&mut out, width, start, (&head.query.product(&plain), key_rank));
            let rotated = columns(raw, heads * raw_width, at * raw_width + plain_width, rotated_width);
            let rotated =
                turns.apply(&Tensor::from_vec(rotated, (count, rotated_width), &Device::Cpu)?, None)?;
            put_columns(&mut out, width, start + key_rank, (Rows::of(&rotated)?.as_slice()?, rotated_width));
        }
        Ok(out)
    }
}

/// Columns `start..start + count` of rows of `width`.
fn columns(rows: &[f32], width: usize, start: usize, count: usize) -> Vec<f32> {
    rows.chunks_exact(width).flat_map(|row| &row[start..start + count]).copied().collect()
}

/// Writes rows of columns into rows of `width` from column `start` on.
fn put_columns(rows: &mut [f32], width: usize, start: usize, (values, count): (&[f32], usize)) {
    for (row, values) in rows.chunks_exact_mut(width).zip(values.chunks_exact(count)) {
        row[start..start + count].copy_from_slice(values);
    }
}
