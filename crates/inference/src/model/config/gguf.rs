//! The configuration in the metadata of a GGUF file.

use std::path::Path;

use super::{
    Activation, Architecture, Biases, CONTEXT_MAX, Config, EXPERTS_MAX, Experts, Groups, HEADS_MAX, Heads,
    LAYERS_MAX, Latent, LayerKind, Rope, Scaling, Scoring, Shared, VOCABULARY_MAX, WIDTH_MAX,
    known_architectures, number, scaling, unsupported,
};
use crate::{
    Error,
    formats::{Metadata, ModelFile},
};

/// The metadata under the architecture's own prefix.
struct Keys<'a> {
    path: &'a Path,
    metadata: &'a Metadata,
    prefix: &'static str,
}

impl Keys<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    fn find(&self, name: &str) -> Option<u64> {
        let key = self.key(name);
        // Some files give one number per layer; here all layers must be alike.
        match self.metadata.integers(&key) {
            Some([first, rest @ ..]) if rest.iter().all(|n| n == first) => u64::try_from(*first).ok(),
            _ => self.metadata.unsigned(&key),
        }
    }

    fn float(&self, name: &str) -> Option<f64> {
        self.metadata.float(&self.key(name))
    }

    fn read(&self, name: &str, max: u64) -> Result<usize, Error> {
        number(self.path, &self.key(name), self.find(name), max)
    }

    fn read_or(&self, name: &str, default: usize, max: u64) -> Result<usize, Error> {
        if self.metadata.has(&self.key(name)) { self.read(name, max) } else { Ok(default) }
    }
}

pub(super) fn read(file: &ModelFile, metadata: &Metadata) -> Result<Config, Error> {
    let path = &file.path;
    let (architecture, prefix) = architecture(file, metadata)?;
    let keys = Keys { path, metadata, prefix };
    let hidden = keys.read("embedding_length", WIDTH_MAX)?;
    let layers = keys.read("block_count", LAYERS_MAX)?;
    let latent = architecture.is_latent().then(|| latent(&keys)).transpose()?;
    let heads = heads(&keys, latent, hidden)?;
    let experts = if architecture.has_experts() { Some(experts(&keys, architecture, file)?) } else { None };
    let dense_layers: Vec<usize> = match keys.find("leading_dense_block_count") {
        Some(leading) if architecture.is_latent() => (0..layers).filter(|&l| (l as u64) < leading).collect(),
        _ => Vec::new(),
    };
    let needs_dense = experts.is_none() || !dense_layers.is_empty();
    let vocabulary = metadata.texts("tokenizer.ggml.tokens").map(|tokens| tokens.len() as u64);
    let ropes = ropes(&keys, file, architecture, latent.map_or(heads.width, |l| l.rotated_width))?;
    let gemma = architecture == Architecture::Gemma3;
    let epsilon = keys
        .float("attention.layer_norm_rms_epsilon")
        .ok_or_else(|| Error::model(path, keys.key("attention.layer_norm_rms_epsilon"), "is missing"))?;
    Ok(Config {
        architecture,
        hidden,
        layers,
        heads,
        latent,
        attention_scale: attention_scale(&keys, architecture, hidden, heads),
        layer_kinds: layer_kinds(&keys, architecture, layers)?,
        ropes,
        biases: Biases {
            qkv: file.has("blk.0.attn_q.bias") || file.has("blk.0.attn_qkv.bias"),
            output: file.has("blk.0.attn_output.bias"),
            mix: file.has("blk.0.ffn_up.bias"),
        },
        feed_forward: if needs_dense { keys.read("feed_forward_length", WIDTH_MAX)? } else { 0 },
        activation: match architecture {
            Architecture::Gemma3 => Activation::Gelu,
            Architecture::GptOss => Activation::Clamped { gain: 1.702, limit: 7.0 },
            _ => Activation::Silu,
        },
        experts,
        dense_layers,
        vocabulary: number(path, "tokenizer.ggml.tokens", vocabulary, VOCABULARY_MAX)?,
        context_tokens_max: keys.read("context_length", CONTEXT_MAX)?,
        norm_epsilon: epsilon as f32,
        // The file's norms hold what is multiplied with.
        norm_offset: 0.0,
        embedding_scale: if gemma { (hidden as f64).sqrt() as f32 } else { 1.0 },
        score_cap: keys.float("final_logit_softcapping").filter(|_| gemma).map(|cap| cap as f32),
        tied: !file.has("output.weight"),
    })
}

fn architecture(file: &ModelFile, metadata: &Metadata) -> Result<(Architecture, &'static str), Error> {
    let (path, key) = (&file.path, "general.architecture");
    let mixture = metadata.unsigned("llama.expert_count").is_some_and(|count| count > 0);
    let sigmoid = match metadata.unsigned("deepseek2.expert_gating_func") {
        Some(kind) => kind == 2,
        None => is_corrected(file),
    };
    Ok(match metadata.text(key) {
        Some("llama") if mixture => (Architecture::Mixtral, "llama"),
        Some("llama") => (Architecture::Llama, "llama"),
        Some("qwen2") => (Architecture::Qwen2, "qwen2"),
        Some("qwen3") => (Architecture::Qwen3, "qwen3"),
        Some("gemma3") => (Architecture::Gemma3, "gemma3"),
        Some("phi3") => (Architecture::Phi3, "phi3"),
        Some("qwen2moe") => (Architecture::Qwen2Moe, "qwen2moe"),
        Some("qwen3moe") => (Architecture::Qwen3Moe, "qwen3moe"),
        Some("deepseek2") if sigmoid => (Architecture::DeepSeek3, "deepseek2"),
        Some("deepseek2") => (Architecture::DeepSeek2, "deepseek2"),
        Some("gpt-oss") => (Architecture::GptOss, "gpt-oss"),
        Some(other) => return Err(unsupported(path, key, other, &known_architectures())),
        None => return Err(Error::model(path, key, "is missing")),
    })
}

/// Whether the choice of experts is corrected, which only scores by sigmoid are.
fn is_corrected(file: &ModelFile) -> bool {
    file.tensors.keys().any(|name| name.contains("exp_probs_b"))
}

fn heads(keys: &Keys<'_>, latent: Option<Latent>, hidden: usize) -> Result<Heads, Error> {
    let query = keys.read("attention.head_count", HEADS_MAX)?;
    match latent {
        Some(latent) => Ok(Heads { query, key: 1, width: latent.plain_width + latent.rotated_width }),
        None => {
            let key = keys.read_or("attention.head_count_kv", query, HEADS_MAX)?;
            let width = keys.read_or("attention.key_length", hidden / query, WIDTH_MAX)?;
            if keys.read_or("attention.value_length", width, WIDTH_MAX)? != width {
                let problem = "differs from attention.key_length; equal widths are supported";
                return Err(Error::model(keys.path, keys.key("attention.value_length"), problem));
            }
            Ok(Heads { query, key, width })
        }
    }
}

fn latent(keys: &Keys<'_>) -> Result<Latent, Error> {
    let rotated_width = keys.read("rope.dimension_count", WIDTH_MAX)?;
    // Files of before the split of the up-projection give a head's widths under the plain keys.
    let split = keys.metadata.has(&keys.key("attention.key_length_mla"));
    let suffix = if split { "_mla" } else { "" };
    let width = keys.read(&format!("attention.key_length{suffix}"), WIDTH_MAX)?;
    let Some(plain_width) = width.checked_sub(rotated_width).filter(|width| *width > 0) else {
        let problem = format!("is {width}, not more than the {rotated_width} that are rotated");
        return Err(Error::model(keys.path, keys.key("attention.key_length"), problem));
    };
    let query_rank = match keys.find("attention.q_lora_rank") {
        None | Some(0) => None,
        Some(_) => Some(keys.read("attention.q_lora_rank", WIDTH_MAX)?),
    };
    Ok(Latent {
        query_rank,
        key_rank: keys.read("attention.kv_lora_rank", WIDTH_MAX)?,
        plain_width,
        rotated_width,
        value_width: keys.read(&format!("attention.value_length{suffix}"), WIDTH_MAX)?,
    })
}

fn attention_scale(keys: &Keys<'_>, architecture: Architecture, hidden: usize, heads: Heads) -> f32 {
    let mut scale = 1.0 / (heads.width as f64).sqrt();
    // The one size of Gemma 3 whose queries are scaled by the model's width over its heads.
    const LAYERS_OF_27B: u64 = 62;
    if architecture == Architecture::Gemma3 && keys.find("block_count") == Some(LAYERS_OF_27B) {
        scale = 1.0 / (hidden as f64 / heads.query as f64).sqrt();
    }
    if architecture.is_latent()
        && let Some(scale_of_all) = keys.float("rope.scaling.yarn_log_multiplier")
    {
        // The file holds a tenth of it.
        let factor = keys.float("rope.scaling.factor").unwrap_or(1.0);
        let magnitude = scaling::magnitude(factor, scale_of_all / 0.1);
        scale *= magnitude * magnitude;
    }
    scale as f32
}

fn layer_kinds(keys: &Keys<'_>, architecture: Architecture, layers: usize) -> Result<Vec<LayerKind>, Error> {
    let asked = !matches!(architecture, Architecture::DeepSeek2 | Architecture::DeepSeek3);
    let window = match keys.find("attention.sliding_window") {
        Some(1..) if asked => Some(keys.read("attention.sliding_window", 1 << 24)?),
        _ => None,
    };
    let listed = keys.metadata.integers(&keys.key("attention.sliding_window_pattern"));
    let listed = listed.filter(|list| list.len() == layers);
    let default = match architecture {
        Architecture::Gemma3 => 6,
        Architecture::GptOss => 2,
        _ => layers + 1,
    };
    let pattern = keys.read_or("attention.sliding_window_pattern", default, LAYERS_MAX);
    let pattern = if listed.is_some() { default } else { pattern? };
    let kind = |layer: usize| {
        let slides = match listed {
            Some(list) => list[layer] != 0,
            None => !(layer + 1).is_multiple_of(pattern),
        };
        let two_ropes = architecture == Architecture::Gemma3 && window.is_some();
        LayerKind { window: window.filter(|_| slides), rope: usize::from(two_ropes && slides) }
    };
    Ok((0..layers).map(kind).collect())
}

fn experts(keys: &Keys<'_>, architecture: Architecture, file: &ModelFile) -> Result<Experts, Error> {
    let own = match architecture {
        Architecture::Mixtral => "feed_forward_length",
        _ => "expert_feed_forward_length",
    };
    let feed_forward = keys.read(own, WIDTH_MAX)?;
    let (scoring, normalised) = match architecture {
        Architecture::DeepSeek3 => (Scoring::Sigmoid, true),
        Architecture::GptOss => (Scoring::SoftmaxOfChosen, false),
        Architecture::Qwen2Moe | Architecture::DeepSeek2 => (Scoring::Softmax, false),
        _ => (Scoring::Softmax, true),
    };
    let stated = keys.metadata.flag(&keys.key("expert_weights_norm"));
    let shared = match architecture {
        Architecture::Qwen2Moe => {
            let default = keys.find("feed_forward_length").unwrap_or(0) as usize;
            let width = keys.read_or("expert_shared_feed_forward_length", default, WIDTH_MAX)?;
            Some(Shared { feed_forward: width, gated: true })
        }
        Architecture::DeepSeek2 | Architecture::DeepSeek3 => {
            let width = keys.find("expert_shared_count").unwrap_or(0).saturating_mul(feed_forward as u64);
            let width = number(keys.path, &keys.key("expert_shared_count"), Some(width), WIDTH_MAX)?;
            Some(Shared { feed_forward: width, gated: false })
        }
        _ => None,
    };
    let groups = match keys.find("expert_group_count") {
        Some(2..) if architecture.is_latent() => Some(Groups {
            count: keys.read("expert_group_count", EXPERTS_MAX)?,
            kept: keys.read("expert_group_used_count", EXPERTS_MAX)?,
            by_two: architecture == Architecture::DeepSeek3,
        }),
        _ => None,
    };
    Ok(Experts {
        count: keys.read("expert_count", EXPERTS_MAX)?,
        top_k: keys.read("expert_used_count", EXPERTS_MAX)?,
        feed_forward,
        scoring,
        normalised: stated.unwrap_or(normalised),
        scale: keys.float("expert_weights_scale").filter(|scale| *scale != 0.0).unwrap_or(1.0) as f32,
        groups,
        corrected: is_corrected(file),
        shared,
    })
}

/// The rope of full layers and that of layers with a window.
fn ropes(
    keys: &Keys<'_>,
    file: &ModelFile,
    architecture: Architecture,
    width: usize,
) -> Result<Vec<Rope>, Error> {
    let base = keys.float("rope.freq_base").unwrap_or(10_000.0) as f32;
    // Query and key rows of Llama are permuted in GGUF so that pairs are neighbours.
    let interleaved =
        architecture.is_latent() || matches!(architecture, Architecture::Llama | Architecture::Mixtral);
    let rotated = keys.read_or("rope.dimension_count", width, WIDTH_MAX)?.min(width);
    let full =
        Rope { base, width: rotated, interleaved, scaling: scaling_of(keys, file, architecture, rotated)? };
    if architecture != Architecture::Gemma3 {
        return Ok(vec![full]);
    }
    let base = keys.float("rope.freq_base_swa").unwrap_or(10_000.0) as f32;
    let windowed = Rope { base, scaling: Scaling::None, ..full.clone() };
    Ok(vec![full, windowed])
}

fn scaling_of(
    keys: &Keys<'_>,
    file: &ModelFile,
    architecture: Architecture,
    width: usize,
) -> Result<Scaling, Error> {
    let list = |name: &str| file.tensor(name, &[width / 2]).and_then(|t| t.floats(&file.path, name));
    let factor = keys.float("rope.scaling.factor").unwrap_or(1.0);
    let original = keys.find("rope.scaling.original_context_length").or_else(|| keys.find("context_length"));
    let original = number(keys.path, "rope.scaling.original_context_length", original, CONTEXT_MAX)?;
    let magnitude = keys.float("rope.scaling.attn_factor");
    if file.has("rope_factors_long.weight") {
        let longest = keys.read("context_length", CONTEXT_MAX)?;
        let own = scaling::long_magnitude(longest as f64 / original as f64, original);
        return Ok(Scaling::Long {
            short: list("rope_factors_short.weight")?,
            long: list("rope_factors_long.weight")?,
            original,
            magnitude: magnitude.unwrap_or(own) as f32,
            is_long: longest > original,
        });
    }
    if file.has("rope_freqs.weight") {
        return Ok(Scaling::Divisors(list("rope_freqs.weight")?));
    }
    let kind = keys.key("rope.scaling.type");
    match keys.metadata.text(&kind) {
        None | Some("none") => Ok(Scaling::None),
        Some("linear") => Ok(Scaling::Linear(factor as f32)),
        Some("yarn") => {
            let scaled = keys.metadata.has(&keys.key("rope.scaling.yarn_log_multiplier"));
            // With it the magnitude is that of whole scores and has been counted there.
            let own = if scaled { 1.0 } else { scaling::magnitude(factor, 1.0) };
            Ok(Scaling::Yarn {
                factor,
                original: original as f64,
                fast: keys.float("rope.scaling.yarn_beta_fast").unwrap_or(32.0),
                slow: keys.float("rope.scaling.yarn_beta_slow").unwrap_or(1.0),
                whole: architecture != Architecture::GptOss,
                magnitude: (own * magnitude.unwrap_or(1.0)) as f32,
            })
        }
        Some(other) => Err(unsupported(keys.path, &kind, other, "none, linear, yarn and longrope are")),
    }
}
