//! The configuration of a Hugging Face folder.

use std::path::Path;

use serde_json::Value;

use super::{
    Activation, Architecture, Biases, CONTEXT_MAX, Config, EXPERTS_MAX, Experts, Groups, HEADS_MAX, Heads,
    LAYERS_MAX, Latent, Scoring, Shared, VOCABULARY_MAX, WIDTH_MAX, known_architectures, layers, number,
    scaling, unsupported,
};
use crate::{Error, formats::ModelFile};

/// `config.json` and where it lies.
pub(super) struct Json<'a> {
    pub(super) path: &'a Path,
    config: &'a Value,
}

impl<'a> Json<'a> {
    pub(super) fn value(&self, name: &str) -> Option<&'a Value> {
        self.config.get(name)
    }

    pub(super) fn find(&self, name: &str) -> Option<u64> {
        self.value(name).and_then(Value::as_u64)
    }

    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        self.value(name).and_then(Value::as_bool)
    }

    pub(super) fn float(&self, name: &str) -> Option<f64> {
        self.value(name).and_then(Value::as_f64)
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        self.value(name).and_then(Value::as_str)
    }

    fn read(&self, name: &str, max: u64) -> Result<usize, Error> {
        number(self.path, name, self.find(name), max)
    }

    /// `default` where the field is missing or null.
    fn read_or(&self, name: &str, default: usize, max: u64) -> Result<usize, Error> {
        match self.value(name) {
            None | Some(Value::Null) => Ok(default),
            Some(value) => number(self.path, name, value.as_u64(), max),
        }
    }
}

pub(super) fn read(file: &ModelFile, config: &Value) -> Result<Config, Error> {
    let path = &file.path.join("config.json");
    let architecture = architecture(path, config)?;
    // Models of text and images keep the numbers of the text model in a part of their own.
    let config = config.get("text_config").filter(|text| text.is_object()).unwrap_or(config);
    let json = Json { path, config };
    let layers = json.read("num_hidden_layers", LAYERS_MAX)?;
    let hidden = json.read("hidden_size", WIDTH_MAX)?;
    let query = json.read("num_attention_heads", HEADS_MAX)?;
    let latent = architecture.is_latent().then(|| latent(&json, architecture)).transpose()?;
    let heads = match latent {
        // All heads share the rotated part of the keys and the compressed rest.
        Some(latent) => Heads { query, key: 1, width: latent.plain_width + latent.rotated_width },
        None => Heads {
            query,
            key: json.read_or("num_key_value_heads", query, HEADS_MAX)?,
            width: json.read_or("head_dim", default_width(architecture, hidden, query), WIDTH_MAX)?,
        },
    };
    let dense_layers = layers::dense(&json, architecture, layers)?;
    let experts = if architecture.has_experts() { Some(experts(&json, architecture)?) } else { None };
    let needs_dense = experts.is_none() || !dense_layers.is_empty();
    let context_tokens_max = json.read("max_position_embeddings", CONTEXT_MAX)?;
    let rotated = latent.map_or(heads.width, |latent| latent.rotated_width);
    let ropes = scaling::of_folder(&json, architecture, rotated)?;
    let gemma = architecture == Architecture::Gemma3;
    let epsilon = match architecture {
        Architecture::Phi3 | Architecture::Mixtral | Architecture::GptOss => 1e-5,
        _ => 1e-6,
    };
    Ok(Config {
        architecture,
        hidden,
        layers,
        heads,
        latent,
        attention_scale: attention_scale(&json, architecture, heads.width),
        layer_kinds: layers::kinds(&json, architecture, layers)?,
        ropes,
        biases: biases(&json, architecture),
        feed_forward: if needs_dense { json.read("intermediate_size", WIDTH_MAX)? } else { 0 },
        activation: activation(&json, architecture)?,
        experts,
        dense_layers,
        vocabulary: json.read("vocab_size", VOCABULARY_MAX)?,
        context_tokens_max,
        norm_epsilon: json.float("rms_norm_eps").unwrap_or(epsilon) as f32,
        norm_offset: if gemma { 1.0 } else { 0.0 },
        embedding_scale: if gemma { (hidden as f64).sqrt() as f32 } else { 1.0 },
        score_cap: json.float("final_logit_softcapping").filter(|_| gemma).map(|cap| cap as f32),
        // Older files leave the field out where it has its default, which was not always the same.
        tied: json.flag("tie_word_embeddings").unwrap_or(!file.has("lm_head.weight")),
    })
}

fn architecture(path: &Path, config: &Value) -> Result<Architecture, Error> {
    Ok(match config.get("model_type").and_then(Value::as_str) {
        Some("llama" | "mistral") => Architecture::Llama,
        Some("qwen2") => Architecture::Qwen2,
        Some("qwen3") => Architecture::Qwen3,
        Some("gemma3" | "gemma3_text") => Architecture::Gemma3,
        Some("phi3") => Architecture::Phi3,
        Some("mixtral") => Architecture::Mixtral,
        Some("qwen2_moe") => Architecture::Qwen2Moe,
        Some("qwen3_moe") => Architecture::Qwen3Moe,
        Some("deepseek_v2") => Architecture::DeepSeek2,
        Some("deepseek_v3") => Architecture::DeepSeek3,
        Some("gpt_oss") => Architecture::GptOss,
        Some(other) => return Err(unsupported(path, "model_type", other, &known_architectures())),
        None => return Err(Error::model(path, "model_type", "is missing")),
    })
}

fn default_width(architecture: Architecture, hidden: usize, heads: usize) -> usize {
    match architecture {
        Architecture::Gemma3 => 256,
        Architecture::Qwen3 | Architecture::Qwen3Moe => 128,
        Architecture::GptOss => 64,
        _ => hidden / heads,
    }
}

fn latent(json: &Json<'_>, architecture: Architecture) -> Result<Latent, Error> {
    if json.flag("rope_interleave") == Some(false) && architecture == Architecture::DeepSeek3 {
        return Err(unsupported(json.path, "rope_interleave", "false", "true is"));
    }
    let query_rank = match json.value("q_lora_rank") {
        None | Some(Value::Null) => None,
        Some(_) => Some(json.read("q_lora_rank", WIDTH_MAX)?),
    };
    Ok(Latent {
        query_rank,
        key_rank: json.read("kv_lora_rank", WIDTH_MAX)?,
        plain_width: json.read("qk_nope_head_dim", WIDTH_MAX)?,
        rotated_width: json.read("qk_rope_head_dim", WIDTH_MAX)?,
        value_width: json.read("v_head_dim", WIDTH_MAX)?,
    })
}

fn attention_scale(json: &Json<'_>, architecture: Architecture, width: usize) -> f32 {
    let mut scale = 1.0 / (width as f64).sqrt();
    if architecture == Architecture::Gemma3 {
        scale = 1.0 / json.float("query_pre_attn_scalar").unwrap_or(256.0).sqrt();
    }
    if architecture.is_latent() {
        let magnitude = scaling::magnitude_of_all(json);
        scale *= magnitude * magnitude;
    }
    scale as f32
}

fn biases(json: &Json<'_>, architecture: Architecture) -> Biases {
    let flag = |name: &str, default: bool| json.flag(name).unwrap_or(default);
    let attention = flag("attention_bias", architecture == Architecture::GptOss);
    let qkv = match architecture {
        Architecture::Qwen2 => true,
        Architecture::Qwen2Moe => flag("qkv_bias", true),
        Architecture::Phi3 | Architecture::Mixtral => false,
        _ => attention,
    };
    let output = match architecture {
        Architecture::Qwen2 | Architecture::Qwen2Moe | Architecture::Phi3 | Architecture::Mixtral => false,
        _ => attention,
    };
    let mix =
        matches!(architecture, Architecture::Llama | Architecture::DeepSeek2) && flag("mlp_bias", false);
    Biases { qkv, output, mix }
}

fn activation(json: &Json<'_>, architecture: Architecture) -> Result<Activation, Error> {
    let name = if architecture == Architecture::Gemma3 { "hidden_activation" } else { "hidden_act" };
    if architecture == Architecture::GptOss {
        let gain = json.float("swiglu_alpha").unwrap_or(1.702) as f32;
        let limit = json.float("swiglu_limit").unwrap_or(7.0) as f32;
        return Ok(Activation::Clamped { gain, limit });
    }
    let default = if architecture == Architecture::Gemma3 { "gelu_pytorch_tanh" } else { "silu" };
    match json.text(name).unwrap_or(default) {
        "silu" | "swish" => Ok(Activation::Silu),
        "gelu_pytorch_tanh" | "gelu_new" => Ok(Activation::Gelu),
        other => Err(unsupported(json.path, name, other, "silu and gelu_pytorch_tanh are")),
    }
}

fn experts(json: &Json<'_>, architecture: Architecture) -> Result<Experts, Error> {
    let count = ["num_experts", "num_local_experts", "n_routed_experts"].iter().find_map(|n| json.find(n));
    let width = match architecture {
        Architecture::Mixtral | Architecture::GptOss => "intermediate_size",
        _ => "moe_intermediate_size",
    };
    let feed_forward = json.read(width, WIDTH_MAX)?;
    let scoring = match architecture {
        Architecture::DeepSeek3 => Scoring::Sigmoid,
        Architecture::GptOss => Scoring::SoftmaxOfChosen,
        _ => Scoring::Softmax,
    };
    let normalised = match architecture {
        Architecture::Mixtral => true,
        // The reference never does, whatever the file says.
        Architecture::DeepSeek2 | Architecture::GptOss => false,
        _ => json.flag("norm_topk_prob").unwrap_or(architecture == Architecture::DeepSeek3),
    };
    let scale = if architecture.is_latent() { json.float("routed_scaling_factor") } else { None };
    let default_scale = if architecture == Architecture::DeepSeek3 { 2.5 } else { 1.0 };
    Ok(Experts {
        count: number(json.path, "num_experts", count, EXPERTS_MAX)?,
        top_k: json.read("num_experts_per_tok", EXPERTS_MAX)?,
        feed_forward,
        scoring,
        normalised,
        scale: scale.unwrap_or(if architecture.is_latent() { default_scale } else { 1.0 }) as f32,
        groups: groups(json, architecture)?,
        corrected: architecture == Architecture::DeepSeek3,
        shared: shared(json, architecture, feed_forward)?,
    })
}

fn groups(json: &Json<'_>, architecture: Architecture) -> Result<Option<Groups>, Error> {
    let grouped = match architecture {
        Architecture::DeepSeek3 => true,
        Architecture::DeepSeek2 => match json.text("topk_method").unwrap_or("greedy") {
            "greedy" => false,
            "group_limited_greedy" => true,
            other => {
                let known = "greedy and group_limited_greedy are";
                return Err(unsupported(json.path, "topk_method", other, known));
            }
        },
        _ => false,
    };
    if !grouped {
        return Ok(None);
    }
    let by_two = architecture == Architecture::DeepSeek3;
    let (count, kept) = if by_two { (8, 4) } else { (1, 1) };
    Ok(Some(Groups {
        count: json.read_or("n_group", count, EXPERTS_MAX)?,
        kept: json.read_or("topk_group", kept, EXPERTS_MAX)?,
        by_two,
    }))
}

fn shared(json: &Json<'_>, architecture: Architecture, width: usize) -> Result<Option<Shared>, Error> {
    match architecture {
        Architecture::Qwen2Moe => {
            let feed_forward = json.read("shared_expert_intermediate_size", WIDTH_MAX)?;
            Ok(Some(Shared { feed_forward, gated: true }))
        }
        Architecture::DeepSeek2 | Architecture::DeepSeek3 => {
            let default = if architecture == Architecture::DeepSeek3 { 1 } else { 2 };
            let count = json.find("n_shared_experts").unwrap_or(default);
            let width = count.saturating_mul(width as u64);
            let feed_forward = number(json.path, "n_shared_experts", Some(width), WIDTH_MAX)?;
            Ok(Some(Shared { feed_forward, gated: false }))
        }
        _ => Ok(None),
    }
}
