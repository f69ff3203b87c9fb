//! Which tensor is which: the names of both formats, and the shapes that the configuration asks for.

use candle_core::Tensor;

use super::{
    attention::Attention,
    config::{Config, Experts as ExpertConfig},
    experts::{ExpertLoad, Experts},
};
use crate::{
    Error,
    formats::{Description, ModelFile, RawTensor},
    kernels::{Linear, silu_product},
};

/// A feed-forward block with a gate; a dense layer's, or one expert's.
#[derive(Debug)]
pub(super) struct Gated {
    gate: Linear,
    up: Linear,
    down: Linear,
}

impl Gated {
    pub(super) fn forward(&self, input: &Tensor) -> Result<Tensor, Error> {
        let hidden = silu_product(&self.gate.forward(input)?, &self.up.forward(input)?)?;
        self.down.forward(&hidden)
    }
}

/// Takes tensors out of a file by what they are for.
pub(super) struct Loader<'a> {
    file: &'a ModelFile,
    config: &'a Config,
    gguf: bool,
}

impl<'a> Loader<'a> {
    pub(super) fn new(file: &'a ModelFile, config: &'a Config) -> Self {
        Self { file, config, gguf: matches!(file.description, Description::Gguf(_)) }
    }

    fn matrix(&self, name: &str, outputs: usize, inputs: usize) -> Result<Linear, Error> {
        self.linear(name, self.file.tensor(name, &[outputs, inputs])?)
    }

    fn linear(&self, name: &str, tensor: RawTensor) -> Result<Linear, Error> {
        Linear::new(tensor).map_err(|problem| Error::model(&self.file.path, name, problem))
    }

    fn vector(&self, name: &str, length: usize) -> Result<Vec<f32>, Error> {
        let mut tensor = self.file.tensor(name, &[length])?;
        tensor.shape = vec![1, length];
        let row = self.linear(name, tensor)?.lookup([0].into_iter())?;
        Ok(row.flatten_all()?.to_vec1()?)
    }

    /// `gguf` or `hf` of a layer, by the file's format.
    fn name(&self, layer: usize, gguf: &str, hf: &str) -> String {
        if self.gguf {
            format!("blk.{layer}.{gguf}.weight")
        } else {
            format!("model.layers.{layer}.{hf}.weight")
        }
    }

    fn top_name(&self, gguf: &'static str, hf: &'static str) -> &'static str {
        if self.gguf { gguf } else { hf }
    }

    pub(super) fn embedding(&self) -> Result<Linear, Error> {
        let name = self.top_name("token_embd.weight", "model.embed_tokens.weight");
        self.matrix(name, self.config.vocabulary, self.config.hidden)
    }

    pub(super) fn norm(&self) -> Result<Vec<f32>, Error> {
        self.vector(self.top_name("output_norm.weight", "model.norm.weight"), self.config.hidden)
    }

    pub(super) fn head(&self) -> Result<Option<Linear>, Error> {
        let name = self.top_name("output.weight", "lm_head.weight");
        // A GGUF file says that the head is tied by having none; a folder says it in its configuration.
        let tied = if self.gguf { !self.file.has(name) } else { self.config.tied };
        if tied {
            return Ok(None);
        }
        self.matrix(name, self.config.vocabulary, self.config.hidden).map(Some)
    }

    pub(super) fn attention_norm(&self, layer: usize) -> Result<Vec<f32>, Error> {
        self.vector(&self.name(layer, "attn_norm", "input_layernorm"), self.config.hidden)
    }

    pub(super) fn mix_norm(&self, layer: usize) -> Result<Vec<f32>, Error> {
        self.vector(&self.name(layer, "ffn_norm", "post_attention_layernorm"), self.config.hidden)
    }

    pub(super) fn attention(&self, layer: usize) -> Result<Attention, Error> {
        let Config { heads, hidden, .. } = *self.config;
        let (queries, keys) = (heads.query_width(), heads.key_width());
        let matrix = |gguf, hf, outputs, inputs| self.matrix(&self.name(layer, gguf, hf), outputs, inputs);
        let norm = |gguf, hf| self.vector(&self.name(layer, gguf, hf), heads.width);
        let norms = if self.config.architecture.norms_heads() {
            Some((norm("attn_q_norm", "self_attn.q_norm")?, norm("attn_k_norm", "self_attn.k_norm")?))
        } else {
            None
        };
        Ok(Attention {
            heads,
            query: matrix("attn_q", "self_attn.q_proj", queries, hidden)?,
            key: matrix("attn_k", "self_attn.k_proj", keys, hidden)?,
            value: matrix("attn_v", "self_attn.v_proj", keys, hidden)?,
            output: matrix("attn_output", "self_attn.o_proj", hidden, queries)?,
            norms,
            epsilon: self.config.norm_epsilon,
        })
    }

    pub(super) fn dense(&self, layer: usize) -> Result<Gated, Error> {
        let Config { hidden, feed_forward, .. } = *self.config;
        let matrix = |gguf, hf, outputs, inputs| self.matrix(&self.name(layer, gguf, hf), outputs, inputs);
        Ok(Gated {
            gate: matrix("ffn_gate", "mlp.gate_proj", feed_forward, hidden)?,
            up: matrix("ffn_up", "mlp.up_proj", feed_forward, hidden)?,
            down: matrix("ffn_down", "mlp.down_proj", hidden, feed_forward)?,
        })
    }

    pub(super) fn experts(&self, layer: usize, load: ExpertLoad) -> Result<Experts, Error> {
        let hidden = self.config.hidden;
        let Some(config) = self.config.experts else {
            return Err(Error::model(&self.file.path, "experts", "the configuration names none"));
        };
        let router = self.matrix(&self.name(layer, "ffn_gate_inp", "mlp.gate"), config.count, hidden)?;
        let fused = format!("model.layers.{layer}.mlp.experts.gate_up_proj");
        let experts = if self.gguf {
            self.stacked_experts(layer, config)?
        } else if self.file.has(&fused) {
            self.fused_experts(layer, config)?
        } else {
            (0..config.count).map(|expert| self.expert(layer, expert, config)).collect::<Result<_, _>>()?
        };
        Ok(Experts { router, experts, top_k: config.top_k, normalised: config.normalised, load })
    }

    /// One expert with tensors of its own.
    fn expert(&self, layer: usize, expert: usize, config: ExpertConfig) -> Result<Gated, Error> {
        let (hidden, width) = (self.config.hidden, config.feed_forward);
        let matrix = |part: &str, outputs, inputs| {
            let name = format!("model.layers.{layer}.mlp.experts.{expert}.{part}_proj.weight");
            self.matrix(&name, outputs, inputs)
        };
        Ok(Gated {
            gate: matrix("gate", width, hidden)?,
            up: matrix("up", width, hidden)?,
            down: matrix("down", hidden, width)?,
        })
    }

    /// All experts of a GGUF layer, stacked in three tensors.
    fn stacked_experts(&self, layer: usize, config: ExpertConfig) -> Result<Vec<Gated>, Error> {
        let (hidden, width, count) = (self.config.hidden, config.feed_forward, config.count);
        let names =
            ["ffn_gate_exps", "ffn_up_exps", "ffn_down_exps"].map(|n| format!("blk.{layer}.{n}.weight"));
        let gate = self.file.tensor(&names[0], &[count, width, hidden])?;
        let up = self.file.tensor(&names[1], &[count, width, hidden])?;
        let down = self.file.tensor(&names[2], &[count, hidden, width])?;
        let part = |tensor: &RawTensor, name: &str, expert| self.part(name, tensor.part(expert));
        (0..count)
            .map(|expert| {
                Ok(Gated {
                    gate: part(&gate, &names[0], expert)?,
                    up: part(&up, &names[1], expert)?,
                    down: part(&down, &names[2], expert)?,
                })
            })
            .collect()
    }

    /// All experts of a folder's layer, gate and up in one tensor.
    fn fused_experts(&self, layer: usize, config: ExpertConfig) -> Result<Vec<Gated>, Error> {
        let (hidden, width, count) = (self.config.hidden, config.feed_forward, config.count);
        let names = ["gate_up_proj", "down_proj"].map(|n| format!("model.layers.{layer}.mlp.experts.{n}"));
        let gate_up = self.file.tensor(&names[0], &[count, 2 * width, hidden])?;
        let down = self.file.tensor(&names[1], &[count, hidden, width])?;
        let half = |expert, start| gate_up.part(expert).and_then(|both| both.rows(start, width));
        (0..count)
            .map(|expert| {
                Ok(Gated {
                    gate: self.part(&names[0], half(expert, 0))?,
                    up: self.part(&names[0], half(expert, width))?,
                    down: self.part(&names[1], down.part(expert))?,
                })
            })
            .collect()
    }

    fn part(&self, name: &str, part: Option<RawTensor>) -> Result<Linear, Error> {
        let part = part.ok_or_else(|| Error::model(&self.file.path, name, "an expert's part is missing"))?;
        self.linear(name, part)
    }
}
