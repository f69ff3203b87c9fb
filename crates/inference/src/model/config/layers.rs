//! Which layers of a Hugging Face model see only a window, and which have no experts.

use super::{Architecture, LAYERS_MAX, LayerKind, folder::Json, number};
use crate::Error;

/// Positions that a window may hold.
const WINDOW_MAX: u64 = 1 << 24;
/// Gemma 3 sees everything in every sixth layer unless the configuration says otherwise.
const GEMMA_PATTERN: usize = 6;

/// Window and rope of every layer; rope 1 is the one of layers with a window, where there are two.
pub(super) fn kinds(
    json: &Json<'_>,
    architecture: Architecture,
    layers: usize,
) -> Result<Vec<LayerKind>, Error> {
    let window = window(json, architecture)?;
    let listed = json.value("layer_types").and_then(|types| types.as_array());
    let first_full = json.find("max_window_layers").unwrap_or(28) as usize;
    let pattern = json.find("sliding_window_pattern").map_or(GEMMA_PATTERN, |p| p as usize).max(1);
    let slides = |layer: usize| match architecture {
        Architecture::Phi3 | Architecture::Mixtral | Architecture::Qwen3Moe | Architecture::Llama => true,
        _ if listed.is_some_and(|types| types.len() > layer) => {
            listed.and_then(|types| types[layer].as_str()) == Some("sliding_attention")
        }
        Architecture::Gemma3 => !(layer + 1).is_multiple_of(pattern),
        Architecture::GptOss => layer.is_multiple_of(2),
        Architecture::Qwen2 | Architecture::Qwen3 => layer >= first_full,
        Architecture::Qwen2Moe => layer.is_multiple_of(2) && layer < first_full,
        Architecture::DeepSeek2 | Architecture::DeepSeek3 => false,
    };
    let two_ropes = architecture == Architecture::Gemma3;
    let kind = |layer: usize| LayerKind {
        window: window.filter(|_| slides(layer)),
        rope: usize::from(two_ropes && slides(layer)),
    };
    Ok((0..layers).map(kind).collect())
}

/// The window's length where the configuration turns it on.
fn window(json: &Json<'_>, architecture: Architecture) -> Result<Option<usize>, Error> {
    let asked = match architecture {
        Architecture::Qwen2 | Architecture::Qwen3 | Architecture::Qwen2Moe | Architecture::Qwen3Moe => {
            json.flag("use_sliding_window").unwrap_or(false)
        }
        Architecture::DeepSeek2 | Architecture::DeepSeek3 => false,
        _ => true,
    };
    match json.value("sliding_window") {
        Some(value) if asked && !value.is_null() => {
            number(json.path, "sliding_window", value.as_u64(), WINDOW_MAX).map(Some)
        }
        _ => Ok(None),
    }
}

/// Layers without experts in a model that has them.
pub(super) fn dense(json: &Json<'_>, architecture: Architecture, layers: usize) -> Result<Vec<usize>, Error> {
    if architecture.is_latent() {
        let default = if architecture == Architecture::DeepSeek3 { 3 } else { 0 };
        let first = json.find("first_k_dense_replace").unwrap_or(default);
        return Ok((0..layers).filter(|&layer| (layer as u64) < first).collect());
    }
    if !matches!(architecture, Architecture::Qwen2Moe | Architecture::Qwen3Moe) {
        return Ok(Vec::new());
    }
    let step = json.find("decoder_sparse_step").unwrap_or(1);
    let step = number(json.path, "decoder_sparse_step", Some(step), LAYERS_MAX)?;
    let listed = json.value("mlp_only_layers").and_then(|list| list.as_array());
    let listed: Vec<u64> = listed.into_iter().flatten().filter_map(serde_json::Value::as_u64).collect();
    Ok((0..layers)
        .filter(|&layer| listed.contains(&(layer as u64)) || !(layer + 1).is_multiple_of(step))
        .collect())
}
