//! The tokenizer of a model file, whichever format it came in.

use std::path::Path;

use serde_json::{Value, json};

use super::byte_level;
use crate::{
    Error,
    formats::{Description, Metadata, ModelFile},
};

/// Encodes text, knows the control tokens, and gives each id's bytes.
#[derive(Debug)]
pub(crate) struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// Bytes of each id; none for control tokens and unknown ids.
    bytes: Vec<Box<[u8]>>,
    /// The longest of `bytes`, at least 1.
    pub(super) token_bytes_max: usize,
    /// Ids that end an answer.
    ends: Vec<u32>,
    pub(super) turn_start: u32,
    pub(super) turn_end: u32,
}

/// Splits text as Qwen's tokenizers do.
const QWEN2_SPLIT: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// The control tokens of the ChatML layout.
const TURN_START: &str = "<|im_start|>";
const TURN_END: &str = "<|im_end|>";
/// GGUF's number for a control token and for one that its user added.
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;

impl Tokenizer {
    /// `vocabulary` is the number of ids that the model scores.
    pub(crate) fn read(file: &ModelFile, vocabulary: usize) -> Result<Self, Error> {
        match &file.description {
            Description::Gguf(metadata) => {
                let description = from_gguf(&file.path, metadata)?;
                let keys = ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"];
                let ends = keys.iter().filter_map(|key| metadata.unsigned(key)).collect();
                Self::new(&file.path, description, ends, vocabulary)
            }
            Description::HuggingFace { config, generation, tokenizer } => {
                let sources = [Some(config), generation.as_ref()];
                let ends =
                    sources.into_iter().flatten().flat_map(|c| ids_in(c.get("eos_token_id"))).collect();
                Self::new(&file.path.join("tokenizer.json"), tokenizer.clone(), ends, vocabulary)
            }
        }
    }

    fn new(path: &Path, description: Value, ends: Vec<u64>, vocabulary: usize) -> Result<Self, Error> {
        let decoder = description.get("decoder").and_then(|d| d.get("type")).and_then(Value::as_str);
        if decoder != Some("ByteLevel") {
            let problem = format!("is {}; ByteLevel is supported", decoder.unwrap_or("missing"));
            return Err(Error::model(path, "tokenizer decoder", problem));
        }
        let mut inner: tokenizers::Tokenizer = serde_json::from_value(description)
            .map_err(|error| Error::model(path, "tokenizer", error.to_string()))?;
        // Control tokens spelled out in a person's text stay text.
        inner.set_encode_special_tokens(true);
        let added = inner.get_added_tokens_decoder();
        let table = byte_level::table();
        let bytes: Vec<Box<[u8]>> = (0..vocabulary as u32)
            .map(|id| match (added.get(&id), inner.id_to_token(id)) {
                (Some(added), _) if added.special => Box::default(),
                (Some(added), _) => added.content.as_bytes().into(),
                (None, Some(token)) => byte_level::bytes_of(&token, &table).into(),
                (None, None) => Box::default(),
            })
            .collect();
        let control = |name: &str| {
            let id = inner.token_to_id(name).filter(|id| (*id as usize) < vocabulary);
            id.ok_or_else(|| Error::model(path, name, "is not a token of this tokenizer; ChatML needs it"))
        };
        let (turn_start, turn_end) = (control(TURN_START)?, control(TURN_END)?);
        let mut end_ids = vec![turn_end];
        for id in ends {
            match u32::try_from(id) {
                Ok(id) if (id as usize) < vocabulary => end_ids.push(id),
                _ => {
                    return Err(Error::model(
                        path,
                        "eos_token_id",
                        format!("is {id}, beyond the vocabulary"),
                    ));
                }
            }
        }
        let token_bytes_max = bytes.iter().map(|b| b.len()).max().unwrap_or(0).max(1);
        Ok(Self { inner, bytes, token_bytes_max, ends: end_ids, turn_start, turn_end })
    }

    /// Plain text to ids; no control token comes of it.
    pub(super) fn encode(&self, text: &str) -> Result<Vec<u32>, Error> {
        let encoding = self
            .inner
            .encode_fast(text, false)
            .map_err(|error| Error::bad_request("conversation", format!("cannot be tokenised: {error}")))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The bytes that an id adds to the text.
    pub(crate) fn bytes(&self, id: u32) -> &[u8] {
        self.bytes.get(id as usize).map_or(&[], |bytes| bytes)
    }

    /// Whether the id ends an answer.
    pub(crate) fn ends(&self, id: u32) -> bool {
        self.ends.contains(&id)
    }
}

/// One id or a list of them.
fn ids_in(value: Option<&Value>) -> Vec<u64> {
    match value {
        Some(Value::Array(ids)) => ids.iter().filter_map(Value::as_u64).collect(),
        Some(id) => id.as_u64().into_iter().collect(),
        None => Vec::new(),
    }
}

/// The description that Hugging Face's library reads, out of GGUF metadata.
fn from_gguf(path: &Path, metadata: &Metadata) -> Result<Value, Error> {
    let missing = |key: &str| Error::model(path, key, "is missing");
    match metadata.text("tokenizer.ggml.model") {
        Some("gpt2") => {}
        Some(other) => {
            let problem = format!("is {other}; gpt2 (byte-level pairs) is supported");
            return Err(Error::model(path, "tokenizer.ggml.model", problem));
        }
        None => return Err(missing("tokenizer.ggml.model")),
    }
    let tokens = metadata.texts("tokenizer.ggml.tokens").ok_or_else(|| missing("tokenizer.ggml.tokens"))?;
    let merges = metadata.texts("tokenizer.ggml.merges").ok_or_else(|| missing("tokenizer.ggml.merges"))?;
    let kinds = metadata.integers("tokenizer.ggml.token_type").unwrap_or_default();
    let mut vocabulary = serde_json::Map::new();
    let mut added = Vec::new();
    for (id, token) in tokens.iter().enumerate() {
        if vocabulary.insert(token.clone(), json!(id)).is_some() {
            return Err(Error::model(path, "tokenizer.ggml.tokens", format!("holds {token:?} twice")));
        }
        let kind = kinds.get(id).copied().unwrap_or(1);
        if kind == CONTROL || kind == USER_DEFINED {
            added.push(json!({
                "id": id, "content": token, "special": kind == CONTROL,
                "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
            }));
        }
    }
    let pairs = merges
        .iter()
        .map(|merge| {
            // The first byte may itself be a space's stand-in but never a space, so the first space divides.
            let (left, right) = merge.split_once(' ').ok_or_else(|| {
                Error::model(path, "tokenizer.ggml.merges", format!("holds {merge:?}, which is not a pair"))
            })?;
            Ok(json!([left, right]))
        })
        .collect::<Result<Vec<Value>, Error>>()?;
    let (normalizer, split) = match metadata.text("tokenizer.ggml.pre") {
        Some("qwen2") => (json!({ "type": "NFC" }), Some(QWEN2_SPLIT)),
        None | Some("default" | "gpt-2") => (Value::Null, None),
        Some(other) => {
            let problem = format!("is {other}; qwen2, gpt-2 and default are supported");
            return Err(Error::model(path, "tokenizer.ggml.pre", problem));
        }
    };
    let bytes = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": split.is_none() });
    let mut stages = vec![];
    if let Some(split) = split {
        stages.push(json!({
            "type": "Split", "pattern": { "Regex": split }, "behavior": "Isolated", "invert": false,
        }));
    }
    stages.push(bytes.clone());
    Ok(json!({
        "version": "1.0", "truncation": null, "padding": null, "post_processor": null,
        "added_tokens": added,
        "normalizer": normalizer,
        "pre_tokenizer": { "type": "Sequence", "pretokenizers": stages },
        "decoder": bytes,
        "model": { "type": "BPE", "vocab": vocabulary, "merges": pairs, "byte_fallback": false },
    }))
}
