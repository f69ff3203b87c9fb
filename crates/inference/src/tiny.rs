//! Small random models in both formats, written by the tests that read them.

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
};

use candle_core::{
    Device, Tensor,
    quantized::{GgmlDType, QTensor, gguf_file},
};
use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};

pub(crate) const TURN_START: &str = "<|im_start|>";
pub(crate) const TURN_END: &str = "<|im_end|>";
const CONTROLS: [&str; 3] = ["<|endoftext|>", TURN_START, TURN_END];
const MERGES: [(&str, &str); 8] =
    [("h", "e"), ("l", "l"), ("he", "ll"), ("hell", "o"), ("Ġ", "t"), ("Ġt", "he"), ("i", "n"), ("in", "g")];

/// The shape of a tiny model.
#[derive(Debug, Clone)]
pub(crate) struct Tiny {
    /// As GGUF names it.
    pub(crate) architecture: &'static str,
    pub(crate) hidden: usize,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    pub(crate) key_heads: usize,
    pub(crate) head_width: usize,
    pub(crate) feed_forward: usize,
    pub(crate) experts: usize,
    pub(crate) top_k: usize,
    pub(crate) tied: bool,
    pub(crate) seed: u64,
}

impl Tiny {
    pub(crate) fn dense() -> Self {
        Self {
            architecture: "qwen3",
            hidden: 64,
            layers: 2,
            heads: 6,
            key_heads: 2,
            head_width: 32,
            feed_forward: 96,
            experts: 0,
            top_k: 0,
            tied: false,
            seed: 7,
        }
    }

    pub(crate) fn moe() -> Self {
        Self { architecture: "qwen3moe", layers: 3, experts: 5, top_k: 2, feed_forward: 64, ..Self::dense() }
    }

    pub(crate) fn llama() -> Self {
        Self { architecture: "llama", tied: true, ..Self::dense() }
    }

    pub(crate) fn vocabulary(&self) -> usize {
        tokens().len()
    }

    /// Weights under the names of a Hugging Face folder. Half the head's rows are zero, so that random answers
    /// stay printable and do not end by themselves.
    pub(crate) fn weights(&self) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
        let mut weights = BTreeMap::new();
        let mut state = self.seed;
        let mut add = |name: String, shape: &[usize], centre: f32, spread: f32| {
            let count = shape.iter().product();
            let values: Vec<f32> = (0..count).map(|_| centre + spread * noise(&mut state)).collect();
            weights.insert(name, (shape.to_vec(), values));
        };
        let (hidden, width) = (self.hidden, self.head_width);
        let wide = |inputs: usize| 1.7 / (inputs as f32).sqrt();
        add("model.embed_tokens.weight".into(), &[self.vocabulary(), hidden], 0.0, 1.0);
        add("model.norm.weight".into(), &[hidden], 1.0, 0.1);
        if !self.tied {
            add("lm_head.weight".into(), &[self.vocabulary(), hidden], 0.0, 2.0 * wide(hidden));
        }
        for layer in 0..self.layers {
            let mut at = |name: &str, shape: &[usize]| {
                let norm = name.contains("norm");
                let spread = if norm { 0.1 } else { wide(*shape.last().unwrap()) };
                add(
                    format!("model.layers.{layer}.{name}.weight"),
                    shape,
                    if norm { 1.0 } else { 0.0 },
                    spread,
                );
            };
            at("input_layernorm", &[hidden]);
            at("post_attention_layernorm", &[hidden]);
            at("self_attn.q_proj", &[self.heads * width, hidden]);
            at("self_attn.k_proj", &[self.key_heads * width, hidden]);
            at("self_attn.v_proj", &[self.key_heads * width, hidden]);
            at("self_attn.o_proj", &[hidden, self.heads * width]);
            if self.architecture != "llama" {
                at("self_attn.q_norm", &[width]);
                at("self_attn.k_norm", &[width]);
            }
            let parts: Vec<String> = match self.experts {
                0 => vec!["mlp".into()],
                count => (0..count).map(|expert| format!("mlp.experts.{expert}")).collect(),
            };
            if self.experts > 0 {
                at("mlp.gate", &[self.experts, hidden]);
            }
            for part in parts {
                at(&format!("{part}.gate_proj"), &[self.feed_forward, hidden]);
                at(&format!("{part}.up_proj"), &[self.feed_forward, hidden]);
                at(&format!("{part}.down_proj"), &[hidden, self.feed_forward]);
            }
        }
        if let Some((_, head)) = weights.get_mut("lm_head.weight") {
            for (id, token) in tokens().iter().enumerate() {
                if !token.chars().all(|c| c.is_ascii_graphic() || c == 'Ġ') || token.starts_with("<|") {
                    head[id * hidden..(id + 1) * hidden].fill(0.0);
                }
            }
        }
        weights
    }

    pub(crate) fn config(&self) -> Value {
        json!({
            "model_type": if self.architecture == "qwen3moe" { "qwen3_moe" } else { self.architecture },
            "hidden_size": self.hidden, "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads, "num_key_value_heads": self.key_heads,
            "head_dim": self.head_width, "intermediate_size": self.feed_forward,
            "num_experts": self.experts, "num_experts_per_tok": self.top_k,
            "moe_intermediate_size": self.feed_forward, "norm_topk_prob": true,
            "vocab_size": self.vocabulary(), "max_position_embeddings": 512, "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": self.tied,
        })
    }

    /// Writes a folder of the given float type and returns it.
    pub(crate) fn folder(&self, into: &Path, kind: Dtype) -> PathBuf {
        write_folder(into, &self.config(), &self.weights(), kind)
    }

    /// Writes a GGUF file whose matrices have the given type and returns its path.
    pub(crate) fn gguf(&self, into: &Path, kind: GgmlDType) -> PathBuf {
        let path = into.join("tiny.gguf");
        let tensors = self.gguf_tensors(kind);
        let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(n, t)| (n.as_str(), t)).collect();
        let metadata = self.gguf_metadata();
        let metadata: Vec<(&str, &gguf_file::Value)> =
            metadata.iter().map(|(n, v)| (n.as_str(), v)).collect();
        gguf_file::write(&mut File::create(&path).unwrap(), &metadata, &tensors).unwrap();
        path
    }

    pub(crate) fn gguf_tensors(&self, kind: GgmlDType) -> Vec<(String, QTensor)> {
        let mut named: BTreeMap<String, (Vec<usize>, Vec<f32>)> = BTreeMap::new();
        for (name, (mut shape, mut values)) in self.weights() {
            if self.architecture == "llama" && (name.contains("q_proj") || name.contains("k_proj")) {
                values = neighbours(&values, shape[1], self.head_width);
            }
            let (name, expert) = gguf_name(&name);
            if expert.is_some() {
                shape.insert(0, self.experts);
            }
            let entry = named.entry(name).or_insert((shape, Vec::new()));
            // Experts come in the order of their numbers, since there are fewer than ten.
            entry.1.extend(values);
        }
        let tensor = |(name, (shape, values)): (String, (Vec<usize>, Vec<f32>))| {
            let kind = if shape.len() == 1 || name.contains("gate_inp") { GgmlDType::F32 } else { kind };
            let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
            (name, QTensor::quantize(&tensor, kind).unwrap())
        };
        named.into_iter().map(tensor).collect()
    }

    pub(crate) fn gguf_metadata(&self) -> Vec<(String, gguf_file::Value)> {
        use gguf_file::Value::{Array, F32, I32, String as Text, U32};
        let own = |name: &str| format!("{}.{name}", self.architecture);
        let number = |value: usize| U32(u32::try_from(value).unwrap());
        let text = |value: &str| Text(value.to_owned());
        let kind = |token: &String| I32(if CONTROLS.contains(&token.as_str()) { 3 } else { 1 });
        let merge = |(left, right): &(&str, &str)| Text(format!("{left} {right}"));
        let eos = tokens().iter().position(|t| t == TURN_END).unwrap();
        let mut metadata = vec![
            ("general.architecture".into(), text(self.architecture)),
            ("general.name".into(), text("tiny")),
            (own("embedding_length"), number(self.hidden)),
            (own("block_count"), number(self.layers)),
            (own("attention.head_count"), number(self.heads)),
            (own("attention.head_count_kv"), number(self.key_heads)),
            (own("attention.key_length"), number(self.head_width)),
            (own("attention.layer_norm_rms_epsilon"), F32(1e-6)),
            (own("rope.freq_base"), F32(10_000.0)),
            (own("context_length"), number(512)),
            (own("feed_forward_length"), number(self.feed_forward)),
            ("tokenizer.ggml.model".into(), text("gpt2")),
            ("tokenizer.ggml.pre".into(), text("qwen2")),
            ("tokenizer.ggml.tokens".into(), Array(tokens().into_iter().map(Text).collect())),
            ("tokenizer.ggml.token_type".into(), Array(tokens().iter().map(kind).collect())),
            ("tokenizer.ggml.merges".into(), Array(MERGES.iter().map(merge).collect())),
            ("tokenizer.ggml.eos_token_id".into(), number(eos)),
        ];
        if self.experts > 0 {
            metadata.push((own("expert_count"), number(self.experts)));
            metadata.push((own("expert_used_count"), number(self.top_k)));
            metadata.push((own("expert_feed_forward_length"), number(self.feed_forward)));
        }
        metadata
    }
}

/// Writes the files of a folder.
pub(crate) fn write_folder(
    into: &Path,
    config: &Value,
    weights: &BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    kind: Dtype,
) -> PathBuf {
    let bytes = |values: &[f32]| -> Vec<u8> {
        match kind {
            Dtype::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Dtype::F16 => values.iter().flat_map(|v| half::f16::from_f32(*v).to_le_bytes()).collect(),
            _ => values.iter().flat_map(|v| half::bf16::from_f32(*v).to_le_bytes()).collect(),
        }
    };
    let data: Vec<(String, Vec<usize>, Vec<u8>)> =
        weights.iter().map(|(name, (shape, values))| (name.clone(), shape.clone(), bytes(values))).collect();
    let views =
        data.iter().map(|(name, shape, bytes)| (name, TensorView::new(kind, shape.clone(), bytes).unwrap()));
    safetensors::serialize_to_file(views, None, &into.join("model.safetensors")).unwrap();
    std::fs::write(into.join("config.json"), config.to_string()).unwrap();
    std::fs::write(into.join("tokenizer.json"), tokenizer().to_string()).unwrap();
    into.to_owned()
}

/// All tokens in the order of their ids.
pub(crate) fn tokens() -> Vec<String> {
    let direct = |b: &u8| matches!(b, b'!'..=b'~' | 0xa1..=0xac | 0xae..);
    let bytes: Vec<u8> = (0..=u8::MAX).collect();
    let mut tokens: Vec<String> =
        bytes.iter().filter(|b| direct(b)).map(|b| char::from(*b).to_string()).collect();
    let others = bytes.iter().filter(|b| !direct(b)).count() as u32;
    tokens.extend((0..others).map(|n| char::from_u32(0x100 + n).unwrap().to_string()));
    tokens.extend(MERGES.iter().map(|(left, right)| format!("{left}{right}")));
    tokens.extend(CONTROLS.map(str::to_owned));
    tokens
}

pub(crate) fn id_of(token: &str) -> u32 {
    u32::try_from(tokens().iter().position(|t| t == token).unwrap()).unwrap()
}

pub(crate) fn tokenizer() -> Value {
    let vocabulary: serde_json::Map<String, Value> =
        tokens().into_iter().enumerate().map(|(id, token)| (token, json!(id))).collect();
    let added = |content: &str| {
        json!({ "id": id_of(content), "content": content, "special": true, "single_word": false,
                "lstrip": false, "rstrip": false, "normalized": false })
    };
    let split = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    let bytes =
        json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false });
    json!({
        "version": "1.0", "truncation": null, "padding": null, "post_processor": null,
        "added_tokens": CONTROLS.map(added), "normalizer": { "type": "NFC" },
        "pre_tokenizer": { "type": "Sequence", "pretokenizers": [
            { "type": "Split", "pattern": { "Regex": split }, "behavior": "Isolated", "invert": false }, bytes.clone() ] },
        "decoder": bytes,
        "model": { "type": "BPE", "vocab": vocabulary, "merges": MERGES.map(|(l, r)| [l, r]) },
    })
}

/// A number in [-1, 1) from splitmix64.
fn noise(state: &mut u64) -> f32 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
}

/// Rows whose rotated pairs are halves of a head apart, reordered so that pairs are neighbours.
fn neighbours(values: &[f32], columns: usize, head_width: usize) -> Vec<f32> {
    let row = |at: usize| {
        let (head, within) = (at / head_width, at % head_width);
        let from = head * head_width + within / 2 + (within % 2) * (head_width / 2);
        &values[from * columns..(from + 1) * columns]
    };
    (0..values.len() / columns).flat_map(row).copied().collect()
}

/// The GGUF name of a tensor, and its expert's number if it is an expert's.
fn gguf_name(name: &str) -> (String, Option<usize>) {
    match name {
        "model.embed_tokens.weight" => return ("token_embd.weight".into(), None),
        "model.norm.weight" => return ("output_norm.weight".into(), None),
        "lm_head.weight" => return ("output.weight".into(), None),
        _ => {}
    }
    let parts: Vec<&str> = name.split('.').collect();
    let (layer, expert) = (parts[2], (parts[4] == "experts").then(|| parts[5].parse().unwrap()));
    let short = match parts[parts.len() - 2] {
        "input_layernorm" => "attn_norm",
        "post_attention_layernorm" => "ffn_norm",
        "q_proj" => "attn_q",
        "k_proj" => "attn_k",
        "v_proj" => "attn_v",
        "o_proj" => "attn_output",
        "q_norm" => "attn_q_norm",
        "k_norm" => "attn_k_norm",
        "gate" => "ffn_gate_inp",
        "gate_proj" => "ffn_gate",
        "up_proj" => "ffn_up",
        _ => "ffn_down",
    };
    let stacked = if expert.is_some() { "_exps" } else { "" };
    (format!("blk.{layer}.{short}{stacked}.weight"), expert)
}
