//! The numbers that shape a model, read from either format and held to what can be computed.

mod folder;
mod gguf;
mod layers;
mod scaling;
#[cfg(test)]
mod tests;

use std::path::Path;

pub(crate) use scaling::{Rope, Scaling};

use crate::{
    Error,
    formats::{Description, ModelFile},
};

/// Architectures that can be computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Architecture {
    Llama,
    Qwen2,
    Qwen3,
    Gemma3,
    Phi3,
    Mixtral,
    Qwen2Moe,
    Qwen3Moe,
    DeepSeek2,
    DeepSeek3,
    GptOss,
}

/// Attention heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heads {
    /// Query heads; a multiple of `key`.
    pub(crate) query: usize,
    /// Key and value heads.
    pub(crate) key: usize,
    /// Numbers per head; even.
    pub(crate) width: usize,
}

/// Attention whose keys and values are kept as one short vector per token (DeepSeek-V2, section 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Latent {
    /// Width of the compressed query; none where queries are not compressed.
    pub(crate) query_rank: Option<usize>,
    /// Width of the compressed keys and values.
    pub(crate) key_rank: usize,
    /// Numbers of a head that are not rotated.
    pub(crate) plain_width: usize,
    /// Numbers of a head that are rotated; keys share them among all heads.
    pub(crate) rotated_width: usize,
    /// Numbers of a head's values.
    pub(crate) value_width: usize,
}

/// The mixture of experts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Experts {
    pub(crate) count: usize,
    pub(crate) top_k: usize,
    /// Width of one expert.
    pub(crate) feed_forward: usize,
    pub(crate) scoring: Scoring,
    /// The chosen experts' weights are scaled to the sum of 1.
    pub(crate) normalised: bool,
    /// What the weights are multiplied with in the end.
    pub(crate) scale: f32,
    pub(crate) groups: Option<Groups>,
    /// A learned correction is added to the scores for the choice only.
    pub(crate) corrected: bool,
    pub(crate) shared: Option<Shared>,
}

/// How router scores become weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scoring {
    Softmax,
    Sigmoid,
    /// Softmax over the chosen experts only.
    SoftmaxOfChosen,
}

/// Experts in equal groups, of which only the best are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Groups {
    pub(crate) count: usize,
    pub(crate) kept: usize,
    /// A group is as good as its best two experts together; otherwise as its best.
    pub(crate) by_two: bool,
}

/// Experts that every row goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shared {
    pub(crate) feed_forward: usize,
    /// Weighted by a sigmoid of the row.
    pub(crate) gated: bool,
}

/// What a feed-forward block does between its products.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Activation {
    Silu,
    /// The tanh form of GELU.
    Gelu,
    /// `(up + 1) · gate · sigmoid(gain · gate)`, both held to `limit` (GPT-OSS).
    Clamped {
        gain: f32,
        limit: f32,
    },
}

/// Which products have a bias. GGUF shows it by its tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Biases {
    pub(crate) qkv: bool,
    pub(crate) output: bool,
    /// Dense feed-forward blocks.
    pub(crate) mix: bool,
}

/// What sets one layer's attention apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LayerKind {
    /// Positions that a row sees, its own among them; none where it sees all.
    pub(crate) window: Option<usize>,
    /// Index into the configuration's ropes.
    pub(crate) rope: usize,
}

/// All of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    pub(crate) architecture: Architecture,
    pub(crate) hidden: usize,
    pub(crate) layers: usize,
    pub(crate) heads: Heads,
    pub(crate) latent: Option<Latent>,
    pub(crate) attention_scale: f32,
    pub(crate) layer_kinds: Vec<LayerKind>,
    pub(crate) ropes: Vec<Rope>,
    pub(crate) biases: Biases,
    /// Width of a dense layer; 0 where there is none.
    pub(crate) feed_forward: usize,
    pub(crate) activation: Activation,
    pub(crate) experts: Option<Experts>,
    /// Layers without experts in a model that has them.
    pub(crate) dense_layers: Vec<usize>,
    pub(crate) vocabulary: usize,
    pub(crate) context_tokens_max: usize,
    pub(crate) norm_epsilon: f32,
    /// What a norm's weight in the file lacks to the weight that is multiplied with.
    pub(crate) norm_offset: f32,
    pub(crate) embedding_scale: f32,
    /// Scores are `cap · tanh(score / cap)`.
    pub(crate) score_cap: Option<f32>,
    /// The embedding is also the head.
    pub(crate) tied: bool,
}

impl Heads {
    pub(crate) fn query_width(self) -> usize {
        self.query * self.width
    }

    pub(crate) fn key_width(self) -> usize {
        self.key * self.width
    }
}

impl Architecture {
    /// Every architecture, in the order of the documentation's table.
    pub(crate) const ALL: [Self; 11] = [
        Self::Llama,
        Self::Qwen2,
        Self::Qwen3,
        Self::Gemma3,
        Self::Phi3,
        Self::Mixtral,
        Self::Qwen2Moe,
        Self::Qwen3Moe,
        Self::DeepSeek2,
        Self::DeepSeek3,
        Self::GptOss,
    ];

    /// Queries and keys are normed per head.
    pub(crate) fn norms_heads(self) -> bool {
        matches!(self, Self::Qwen3 | Self::Qwen3Moe | Self::Gemma3)
    }

    /// What attention and the block after it give is normed before it is added.
    pub(crate) fn norms_results(self) -> bool {
        self == Self::Gemma3
    }

    /// Scores of attention compete with one learned score per head.
    pub(crate) fn has_sinks(self) -> bool {
        self == Self::GptOss
    }

    pub(crate) fn has_experts(self) -> bool {
        matches!(
            self,
            Self::Mixtral
                | Self::Qwen2Moe
                | Self::Qwen3Moe
                | Self::DeepSeek2
                | Self::DeepSeek3
                | Self::GptOss
        )
    }

    pub(crate) fn is_latent(self) -> bool {
        matches!(self, Self::DeepSeek2 | Self::DeepSeek3)
    }

    /// The name that GGUF gives it; Mixtral and DeepSeek-V3 have none of their own there.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::Gemma3 => "gemma3",
            Self::Phi3 => "phi3",
            Self::Mixtral => "mixtral",
            Self::Qwen2Moe => "qwen2moe",
            Self::Qwen3Moe => "qwen3moe",
            Self::DeepSeek2 => "deepseek2",
            Self::DeepSeek3 => "deepseek3",
            Self::GptOss => "gpt-oss",
        }
    }
}

// Bounds far above any known model: sizes come from a file and must not become an allocation.
const LAYERS_MAX: u64 = 1_024;
const WIDTH_MAX: u64 = 1 << 20;
const HEADS_MAX: u64 = 4_096;
const EXPERTS_MAX: u64 = 4_096;
const VOCABULARY_MAX: u64 = 1 << 24;
const CONTEXT_MAX: u64 = 1 << 24;

impl Config {
    pub(crate) fn read(file: &ModelFile) -> Result<Self, Error> {
        let config = match &file.description {
            Description::Gguf(metadata) => gguf::read(file, metadata)?,
            Description::HuggingFace { config, .. } => folder::read(file, config)?,
        };
        config.check(&file.path)?;
        Ok(config)
    }

    /// The same model for a context of at most `tokens`: some rotations are made for short or for long contexts.
    pub(crate) fn for_context(mut self, tokens: usize) -> Self {
        self.context_tokens_max = self.context_tokens_max.min(tokens);
        for rope in &mut self.ropes {
            rope.choose(self.context_tokens_max);
        }
        self
    }

    /// Relations between the numbers.
    fn check(&self, file: &Path) -> Result<(), Error> {
        let refused = |part: &str, problem: String| Err(Error::model(file, part, problem));
        let Heads { query, key, width } = self.heads;
        if !query.is_multiple_of(key) {
            return refused("heads", format!("{query} query heads do not share {key} key heads"));
        }
        let rotated = self.ropes.iter().map(|rope| rope.width);
        if let Some(odd) = rotated.chain([width]).find(|width| !width.is_multiple_of(2)) {
            return refused("head width", format!("is {odd}; an even number can be rotated"));
        }
        if let Some(experts) = self.experts {
            experts.check(file)?;
        }
        let positive = |value: f32| value.is_finite() && value > 0.0;
        if !positive(self.norm_epsilon) || !self.ropes.iter().all(|rope| positive(rope.base)) {
            return refused("norm epsilon or rotation base", "is not a positive number".into());
        }
        if !positive(self.attention_scale) || !positive(self.embedding_scale) {
            return refused("attention or embedding scale", "is not a positive number".into());
        }
        if let Activation::Clamped { gain, limit } = self.activation
            && !(positive(gain) && positive(limit))
        {
            return refused("swiglu_alpha or swiglu_limit", "is not a positive number".into());
        }
        self.ropes.iter().try_for_each(|rope| rope.check(file))
    }
}

impl Experts {
    fn check(self, file: &Path) -> Result<(), Error> {
        if self.top_k > self.count {
            let problem = format!("{} of {} experts cannot be chosen", self.top_k, self.count);
            return Err(Error::model(file, "experts per token", problem));
        }
        let Some(Groups { count, kept, by_two }) = self.groups else { return Ok(()) };
        let size = self.count.checked_div(count).unwrap_or(0);
        let fits = count > 0 && self.count.is_multiple_of(count) && (1..=count).contains(&kept);
        if !fits || kept * size < self.top_k || (by_two && size < 2) {
            let problem =
                format!("{kept} of {count} groups of {} experts do not hold {}", self.count, self.top_k);
            return Err(Error::model(file, "expert groups", problem));
        }
        Ok(())
    }
}

fn number(path: &Path, part: &str, value: Option<u64>, max: u64) -> Result<usize, Error> {
    match value {
        Some(value) if (1..=max).contains(&value) => Ok(value as usize),
        Some(value) => Err(Error::model(path, part, format!("is {value}; 1 to {max} is allowed"))),
        None => Err(Error::model(path, part, "is missing or not a whole number")),
    }
}

fn unsupported(path: &Path, part: &str, what: &str, known: &str) -> Error {
    Error::model(path, part, format!("{what} is not supported; {known}"))
}

/// The architectures as a sentence's end.
fn known_architectures() -> String {
    let names: Vec<&str> = Architecture::ALL.iter().map(|architecture| architecture.name()).collect();
    format!("{} are", names.join(", "))
}
