//! The tensors of attention: plain or fused, or with compressed keys and values.

use super::{Loader, Making};
use crate::{
    Error,
    formats::RawTensor,
    kernels::{Attend, KeyShape},
    model::{
        attention::Attention,
        config::{Config, Latent},
        latent::{Head, LatentAttention, Query},
        project::Projection,
    },
};

/// The epsilon of the norms of compressed vectors, which no configuration names.
const COMPRESSED_EPSILON: f32 = 1e-6;

impl<M: Making> Loader<'_, M> {
    pub(in crate::model) fn attention(&self, layer: usize) -> Result<Attention<M::Matrix>, Error> {
        let Config { architecture, heads, hidden, biases, .. } = *self.config;
        let [query, key, value] = self.query_key_value(layer)?;
        let output = self.at(layer, "attn_output", "self_attn.o_proj");
        let norm = |gguf, hf| {
            let name = format!("{}.weight", self.at(layer, gguf, hf));
            self.norm_weight(&name, heads.width)
        };
        let norms = if architecture.norms_heads() {
            Some((norm("attn_q_norm", "self_attn.q_norm")?, norm("attn_k_norm", "self_attn.k_norm")?))
        } else {
            None
        };
        let sinks = if architecture.has_sinks() {
            let ending = if self.gguf { ".weight" } else { "" };
            let name = format!("{}{ending}", self.at(layer, "attn_sinks", "self_attn.sinks"));
            Some(self.vector(&name, heads.query)?)
        } else {
            None
        };
        Ok(Attention {
            attend: Attend {
                heads: heads.query,
                shape: KeyShape { heads: heads.key, key_width: heads.width, value_width: heads.width },
                scale: self.config.attention_scale,
                window: self.config.layer_kinds[layer].window,
                sinks,
            },
            query,
            key,
            value,
            output: self.projection(&output, [hidden, heads.query_width()], biases.output)?,
            norms,
            epsilon: self.config.norm_epsilon,
        })
    }

    /// From three matrices or from one that holds all three.
    fn query_key_value(&self, layer: usize) -> Result<[Projection<M::Matrix>; 3], Error> {
        let Config { heads, hidden, biases, .. } = *self.config;
        let (queries, keys) = (heads.query_width(), heads.key_width());
        let fused = self.at(layer, "attn_qkv", "self_attn.qkv_proj");
        if self.has(&format!("{fused}.weight")) {
            let cut =
                |start, count| self.rows(&fused, [queries + 2 * keys, hidden], [start, count], biases.qkv);
            return Ok([cut(0, queries)?, cut(queries, keys)?, cut(queries + keys, keys)?]);
        }
        let one =
            |gguf, hf, outputs| self.projection(&self.at(layer, gguf, hf), [outputs, hidden], biases.qkv);
        Ok([
            one("attn_q", "self_attn.q_proj", queries)?,
            one("attn_k", "self_attn.k_proj", keys)?,
            one("attn_v", "self_attn.v_proj", keys)?,
        ])
    }
}

impl Loader<'_> {
    pub(in crate::model) fn latent_attention(
        &self,
        layer: usize,
        widths: Latent,
    ) -> Result<LatentAttention, Error> {
        let Config { heads, hidden, biases, .. } = *self.config;
        let Latent { key_rank, rotated_width, value_width, .. } = widths;
        let compress = self.at(layer, "attn_kv_a_mqa", "self_attn.kv_a_proj_with_mqa");
        let norm = format!("{}.weight", self.at(layer, "attn_kv_a_norm", "self_attn.kv_a_layernorm"));
        let output = self.at(layer, "attn_output", "self_attn.o_proj");
        Ok(LatentAttention {
            widths,
            attend: Attend {
                heads: heads.query,
                shape: KeyShape { heads: 1, key_width: key_rank + rotated_width, value_width: key_rank },
                scale: self.config.attention_scale,
                window: None,
                sinks: None,
            },
            query: self.latent_query(layer, widths)?,
            compress: self.projection(&compress, [key_rank + rotated_width, hidden], biases.qkv)?,
            compress_norm: self.vector(&norm, key_rank)?,
            heads: self.latent_heads(layer, widths)?,
            output: self.projection(&output, [hidden, heads.query * value_width], biases.output)?,
            epsilon: COMPRESSED_EPSILON,
        })
    }

    fn latent_query(&self, layer: usize, widths: Latent) -> Result<Query, Error> {
        let Config { heads, hidden, biases, .. } = *self.config;
        let Some(rank) = widths.query_rank else {
            let direct = self.at(layer, "attn_q", "self_attn.q_proj");
            return self.projection(&direct, [heads.query_width(), hidden], false).map(Query::Direct);
        };
        let down = self.at(layer, "attn_q_a", "self_attn.q_a_proj");
        let norm = format!("{}.weight", self.at(layer, "attn_q_a_norm", "self_attn.q_a_layernorm"));
        let up = self.at(layer, "attn_q_b", "self_attn.q_b_proj");
        Ok(Query::Compressed {
            down: self.projection(&down, [rank, hidden], biases.qkv)?,
            norm: self.vector(&norm, rank)?,
            up: self.projection(&up, [heads.query_width(), rank], false)?,
        })
    }

    /// The heads' own projections: two tensors in newer GGUF files, else one whose key part is turned over.
    fn latent_heads(&self, layer: usize, widths: Latent) -> Result<Vec<Head>, Error> {
        let Latent { key_rank, plain_width, value_width, .. } = widths;
        let count = self.config.heads.query;
        let names = ["attn_k_b", "attn_v_b"].map(|name| format!("blk.{layer}.{name}.weight"));
        if self.gguf && self.has(&names[0]) {
            let queries = self.tensor(&names[0], &[count, key_rank, plain_width])?;
            let values = self.tensor(&names[1], &[count, value_width, key_rank])?;
            let head = |at| {
                let query = self.part(&names[0], queries.part(at))?;
                Ok(Head { query, value: self.part(&names[1], values.part(at))? })
            };
            return (0..count).map(head).collect();
        }
        let name = format!("{}.weight", self.at(layer, "attn_kv_b", "self_attn.kv_b_proj"));
        let both = self.tensor(&name, &[count * (plain_width + value_width), key_rank])?;
        let head = |at: usize| {
            let start = at * (plain_width + value_width);
            let keys = both.rows(start, plain_width);
            let Some(keys) = keys else { return self.refused(&name, "a head's part is missing") };
            let keys = turned_over(&keys.floats(&self.file.path, &name)?, key_rank);
            let query = self.linear(&name, RawTensor::of_floats(keys, &[key_rank, plain_width]))?;
            let value = self.part(&name, both.rows(start + plain_width, value_width))?;
            Ok(Head { query, value })
        };
        (0..count).map(head).collect()
    }
}

/// Rows of `columns` as columns.
pub(super) fn turned_over(values: &[f32], columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| values.iter().skip(column).step_by(columns)).copied().collect()
}
