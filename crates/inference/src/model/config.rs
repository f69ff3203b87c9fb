//! The numbers that shape a model, read from either format and held to what can be computed.

use std::path::Path;

use serde_json::Value;

use crate::{
    Error,
    formats::{Description, Metadata, ModelFile},
};

/// Architectures that can be computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Architecture {
    Llama,
    Qwen3,
    Qwen3Moe,
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

/// The mixture of experts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Experts {
    pub(crate) count: usize,
    pub(crate) top_k: usize,
    /// Width of one expert.
    pub(crate) feed_forward: usize,
    pub(crate) normalised: bool,
}

/// All of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    pub(crate) architecture: Architecture,
    pub(crate) hidden: usize,
    pub(crate) layers: usize,
    pub(crate) heads: Heads,
    /// Width of a dense layer; 0 where there is none.
    pub(crate) feed_forward: usize,
    pub(crate) experts: Option<Experts>,
    /// Layers without experts in a model that has them.
    pub(crate) dense_layers: Vec<usize>,
    pub(crate) vocabulary: usize,
    pub(crate) context_tokens_max: usize,
    pub(crate) norm_epsilon: f32,
    pub(crate) rotation_base: f32,
    pub(crate) rotation_interleaved: bool,
    /// The embedding is also the head (folders; GGUF files show it by their tensors).
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
    /// Queries and keys are normed per head.
    pub(crate) fn norms_heads(self) -> bool {
        self != Self::Llama
    }

    /// The name that GGUF gives it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen3 => "qwen3",
            Self::Qwen3Moe => "qwen3moe",
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
            Description::Gguf(metadata) => from_gguf(file, metadata)?,
            Description::HuggingFace { config, .. } => from_folder(&file.path.join("config.json"), config)?,
        };
        config.check(&file.path)?;
        Ok(config)
    }

    /// Relations between the numbers.
    fn check(&self, file: &Path) -> Result<(), Error> {
        let Heads { query, key, width } = self.heads;
        if !query.is_multiple_of(key) {
            return Err(Error::model(
                file,
                "heads",
                format!("{query} query heads do not share {key} key heads"),
            ));
        }
        if !width.is_multiple_of(2) {
            return Err(Error::model(
                file,
                "head width",
                format!("is {width}; an even number can be rotated"),
            ));
        }
        if let Some(experts) = self.experts
            && experts.top_k > experts.count
        {
            let problem = format!("{} of {} experts cannot be chosen", experts.top_k, experts.count);
            return Err(Error::model(file, "experts per token", problem));
        }
        let positive = |value: f32| value.is_finite() && value > 0.0;
        if !positive(self.norm_epsilon) || !positive(self.rotation_base) {
            return Err(Error::model(file, "norm epsilon or rotation base", "is not a positive number"));
        }
        Ok(())
    }
}

fn from_gguf(file: &ModelFile, metadata: &Metadata) -> Result<Config, Error> {
    let path = &file.path;
    let architecture = match metadata.text("general.architecture") {
        Some("llama") => Architecture::Llama,
        Some("qwen3") => Architecture::Qwen3,
        Some("qwen3moe") => Architecture::Qwen3Moe,
        Some(other) => return Err(unsupported(path, "general.architecture", other)),
        None => return Err(Error::model(path, "general.architecture", "is missing")),
    };
    let prefix = architecture.name();
    let key = |name: &str| format!("{prefix}.{name}");
    if metadata.has(&key("rope.scaling.type")) && metadata.text(&key("rope.scaling.type")) != Some("none") {
        let kind = metadata.text(&key("rope.scaling.type")).unwrap_or("of unknown type");
        return Err(unsupported(path, "rotation scaling", kind));
    }
    let find = |name: &str| metadata.unsigned(&key(name));
    let read = |name: &str, max: u64| number(path, &key(name), find(name), max);
    let hidden = read("embedding_length", WIDTH_MAX)?;
    let query = read("attention.head_count", HEADS_MAX)?;
    let key_heads =
        find("attention.head_count_kv").map_or(Ok(query), |_| read("attention.head_count_kv", HEADS_MAX))?;
    let width = find("attention.key_length")
        .map_or(Ok(hidden / query), |_| read("attention.key_length", WIDTH_MAX))?;
    let experts = if architecture == Architecture::Qwen3Moe {
        Some(Experts {
            count: read("expert_count", EXPERTS_MAX)?,
            top_k: read("expert_used_count", EXPERTS_MAX)?,
            feed_forward: read("expert_feed_forward_length", WIDTH_MAX)?,
            normalised: true,
        })
    } else {
        if find("expert_count").is_some_and(|count| count > 0) {
            return Err(unsupported(path, "general.architecture", &format!("{prefix} with experts")));
        }
        None
    };
    let vocabulary = metadata.texts("tokenizer.ggml.tokens").map(|tokens| tokens.len() as u64);
    Ok(Config {
        architecture,
        hidden,
        layers: read("block_count", LAYERS_MAX)?,
        heads: Heads { query, key: key_heads, width },
        feed_forward: if experts.is_some() { 0 } else { read("feed_forward_length", WIDTH_MAX)? },
        experts,
        dense_layers: Vec::new(),
        vocabulary: number(path, "tokenizer.ggml.tokens", vocabulary, VOCABULARY_MAX)?,
        context_tokens_max: read("context_length", CONTEXT_MAX)?,
        norm_epsilon: metadata
            .float(&key("attention.layer_norm_rms_epsilon"))
            .ok_or_else(|| Error::model(path, key("attention.layer_norm_rms_epsilon"), "is missing"))?
            as f32,
        rotation_base: metadata.float(&key("rope.freq_base")).unwrap_or(10_000.0) as f32,
        // GGUF files of Llama have their query and key rows permuted so that pairs are neighbours.
        rotation_interleaved: architecture == Architecture::Llama,
        tied: !file.has("output.weight"),
    })
}

fn from_folder(path: &Path, config: &Value) -> Result<Config, Error> {
    let architecture = match config.get("model_type").and_then(Value::as_str) {
        Some("llama") => Architecture::Llama,
        Some("qwen3") => Architecture::Qwen3,
        Some("qwen3_moe") => Architecture::Qwen3Moe,
        Some(other) => return Err(unsupported(path, "model_type", other)),
        None => return Err(Error::model(path, "model_type", "is missing")),
    };
    refuse_variants(path, config)?;
    let find = |name: &str| config.get(name).and_then(Value::as_u64);
    let read = |name: &str, max: u64| number(path, name, find(name), max);
    let layers = read("num_hidden_layers", LAYERS_MAX)?;
    let hidden = read("hidden_size", WIDTH_MAX)?;
    let query = read("num_attention_heads", HEADS_MAX)?;
    let key = find("num_key_value_heads").map_or(Ok(query), |_| read("num_key_value_heads", HEADS_MAX))?;
    let width = find("head_dim").map_or(Ok(hidden / query), |_| read("head_dim", WIDTH_MAX))?;
    let mut dense_layers = Vec::new();
    let experts = if architecture == Architecture::Qwen3Moe {
        dense_layers = dense_layers_of(path, config, layers)?;
        // Newer files say num_local_experts.
        let count = find("num_experts").or_else(|| find("num_local_experts"));
        Some(Experts {
            count: number(path, "num_experts", count, EXPERTS_MAX)?,
            top_k: read("num_experts_per_tok", EXPERTS_MAX)?,
            feed_forward: read("moe_intermediate_size", WIDTH_MAX)?,
            normalised: config.get("norm_topk_prob").and_then(Value::as_bool).unwrap_or(false),
        })
    } else {
        None
    };
    let needs_dense = experts.is_none() || !dense_layers.is_empty();
    let float = |name: &str| config.get(name).and_then(Value::as_f64);
    // Since version 5 the base stands in `rope_parameters`.
    let nested = config.get("rope_parameters").and_then(|p| p.get("rope_theta")).and_then(Value::as_f64);
    Ok(Config {
        architecture,
        hidden,
        layers,
        heads: Heads { query, key, width },
        feed_forward: if needs_dense { read("intermediate_size", WIDTH_MAX)? } else { 0 },
        experts,
        dense_layers,
        vocabulary: read("vocab_size", VOCABULARY_MAX)?,
        context_tokens_max: read("max_position_embeddings", CONTEXT_MAX)?,
        norm_epsilon: float("rms_norm_eps").unwrap_or(1e-6) as f32,
        rotation_base: float("rope_theta").or(nested).unwrap_or(10_000.0) as f32,
        rotation_interleaved: false,
        tied: config.get("tie_word_embeddings").and_then(Value::as_bool).unwrap_or(false),
    })
}

/// Settings that change the arithmetic in ways that are not computed here.
fn refuse_variants(path: &Path, config: &Value) -> Result<(), Error> {
    for flag in ["attention_bias", "mlp_bias", "use_sliding_window"] {
        if config.get(flag).and_then(Value::as_bool) == Some(true) {
            return Err(unsupported(path, flag, "true"));
        }
    }
    for name in ["rope_scaling", "rope_parameters"] {
        let kind = config.get(name).and_then(|s| s.get("rope_type").or_else(|| s.get("type")));
        if let Some(kind) = kind.and_then(Value::as_str)
            && kind != "default"
        {
            return Err(unsupported(path, name, kind));
        }
    }
    match config.get("hidden_act").and_then(Value::as_str) {
        None | Some("silu") => Ok(()),
        Some(other) => Err(unsupported(path, "hidden_act", other)),
    }
}

fn dense_layers_of(path: &Path, config: &Value, layers: usize) -> Result<Vec<usize>, Error> {
    let step = config.get("decoder_sparse_step").and_then(Value::as_u64).unwrap_or(1);
    let step = number(path, "decoder_sparse_step", Some(step), LAYERS_MAX)?;
    let listed: Vec<u64> = match config.get("mlp_only_layers") {
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_u64).collect(),
        _ => Vec::new(),
    };
    Ok((0..layers).filter(|&l| listed.contains(&(l as u64)) || !(l + 1).is_multiple_of(step)).collect())
}

fn number(path: &Path, part: &str, value: Option<u64>, max: u64) -> Result<usize, Error> {
    match value {
        Some(value) if (1..=max).contains(&value) => Ok(value as usize),
        Some(value) => Err(Error::model(path, part, format!("is {value}; 1 to {max} is allowed"))),
        None => Err(Error::model(path, part, "is missing or not a whole number")),
    }
}

fn unsupported(path: &Path, part: &str, what: &str) -> Error {
    Error::model(
        path,
        part,
        format!("{what} is not supported; llama, qwen3 and qwen3moe in their plain forms are"),
    )
}
