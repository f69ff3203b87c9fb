//! Attention over compressed keys and values: one short vector per token is cached for all heads (DeepSeek-V2,
//! section 2.1), and the heads' own projections are moved to the queries and to the results.

use super::{
    config::Latent,
    decoder::{Segment, asking, extend},
    project::Projection,
    turns::Turns,
};
use crate::kernels::{Attend, Linear, Rows, rms_norm};

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
    fn forward(&self, input: &Rows, epsilon: f32) -> Rows {
        match self {
            Self::Direct(direct) => direct.forward(input),
            Self::Compressed { down, norm, up } => up.forward(&rms_norm(&down.forward(input), norm, epsilon)),
        }
    }
}

impl LatentAttention {
    /// `input` holds the rows of all segments one after another.
    pub(super) fn forward(
        &self,
        layer: usize,
        input: &Rows,
        turns: &Turns,
        segments: &mut [Segment<'_>],
    ) -> Rows {
        let keys = self.keys(input, turns);
        let queries = self.queries(input, turns);
        let Latent { key_rank, value_width, .. } = self.widths;
        let (heads, shape) = (self.heads.len(), self.attend.shape);
        let values = columns(&keys, 0, key_rank);
        extend(segments, layer, shape, [&keys, &values]);
        let taken = self.attend.attend(&asking(segments, layer), queries.values());
        let mut out = Rows::stale(taken.count(), heads * value_width);
        for (at, head) in self.heads.iter().enumerate() {
            let values = head.value.product(columns(&taken, at * key_rank, key_rank).values());
            put_columns(&mut out, at * value_width, &values);
        }
        self.output.forward(&out)
    }

    /// What is cached of each row: the compressed vector, then the rotated part.
    fn keys(&self, input: &Rows, turns: &Turns) -> Rows {
        let Latent { key_rank, rotated_width, .. } = self.widths;
        let mut both = self.compress.forward(input);
        let compressed = rms_norm(&columns(&both, 0, key_rank), &self.compress_norm, self.epsilon);
        let mut rotated = columns(&both, key_rank, rotated_width);
        turns.apply(&mut rotated, None);
        put_columns(&mut both, 0, &compressed);
        put_columns(&mut both, key_rank, &rotated);
        both
    }

    /// Queries that fit what is cached, head after head.
    fn queries(&self, input: &Rows, turns: &Turns) -> Rows {
        let Latent { key_rank, plain_width, rotated_width, .. } = self.widths;
        let raw = self.query.forward(input, self.epsilon);
        let raw_width = plain_width + rotated_width;
        let mut out = Rows::stale(raw.count(), self.heads.len() * (key_rank + rotated_width));
        for (at, head) in self.heads.iter().enumerate() {
            let plain = columns(&raw, at * raw_width, plain_width);
            let start = at * (key_rank + rotated_width);
            put_columns(&mut out, start, &head.query.product(plain.values()));
            let mut rotated = columns(&raw, at * raw_width + plain_width, rotated_width);
            turns.apply(&mut rotated, None);
            put_columns(&mut out, start + key_rank, &rotated);
        }
        out
    }
}

/// Columns `start..start + count`.
fn columns(rows: &Rows, start: usize, count: usize) -> Rows {
    let mut out = Rows::stale(rows.count(), count);
    for (out, row) in out.values_mut().chunks_exact_mut(count.max(1)).zip(rows.each()) {
        out.copy_from_slice(&row[start..start + count]);
    }
    out
}

/// Writes columns from column `start` on.
fn put_columns(rows: &mut Rows, start: usize, columns: &Rows) {
    let (width, count) = (rows.width(), columns.width());
    for (row, columns) in rows.values_mut().chunks_exact_mut(width).zip(columns.each()) {
        row[start..start + count].copy_from_slice(columns);
    }
}
