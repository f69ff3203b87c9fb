//! The tokenizer of a model file, whichever format it came in.

use std::path::Path;

use serde_json::Value;

use super::{byte_level, chat::Layout, encoder::Encoder, gguf};
use crate::{
    Error,
    formats::{Description, ModelFile},
};

/// Encodes text, knows the control tokens, and gives each id's bytes.
#[derive(Debug)]
pub(crate) struct Tokenizer {
    pub(super) encoder: Encoder,
    /// Bytes of each id; none for control tokens and unknown ids.
    bytes: Vec<Box<[u8]>>,
    /// The longest of `bytes`, at least 1.
    pub(super) token_bytes_max: usize,
    /// Ids that end an answer.
    ends: Vec<u32>,
    pub(super) layout: Layout,
}

/// Tokens that end an answer by their meaning, whether or not a file says so.
const ENDS: [&str; 4] = ["<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|end_of_turn|>"];
/// Other tokens that divide texts, turns or their parts.
const BORDERS: [&str; 11] = [
    "<|im_start|>",
    "<start_of_turn>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|start|>",
    "<|message|>",
    "<|endoftext|>",
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<bos>",
    "<eos>",
];
const PART_END: &str = "<|end|>";
const PARTS: &str = "<|channel|>";

/// How tokens spell bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spelling {
    /// Each byte is a character of the byte alphabet.
    Bytes,
    /// Text with `▁` for spaces; bytes without a token are spelled `<0x0A>`.
    Pieces,
}

impl Tokenizer {
    /// `vocabulary` is the number of ids that the model scores.
    pub(crate) fn read(file: &ModelFile, vocabulary: usize) -> Result<Self, Error> {
        let (path, description, ends) = match &file.description {
            Description::Gguf(metadata) => {
                let description = gguf::description(&file.path, metadata)?;
                let keys = ["eos", "eot", "eom"].map(|end| format!("tokenizer.ggml.{end}_token_id"));
                let ends = keys.iter().filter_map(|key| metadata.unsigned(key)).collect();
                (file.path.clone(), description, ends)
            }
            Description::HuggingFace { config, generation, tokenizer, .. } => {
                let sources = [Some(config), generation.as_ref()];
                let ends: Vec<u64> =
                    sources.into_iter().flatten().flat_map(|c| ids_in(c.get("eos_token_id"))).collect();
                let path = file.path.join("tokenizer.json");
                let missing = || Error::model(&path, "JSON", "cannot be opened: there is no such file");
                let description = tokenizer.clone().ok_or_else(missing)?;
                (path, description, ends)
            }
        };
        let spelling = spelling(&path, &description)?;
        let encoder = Encoder::new(&path, with_controls(description, &ends))?;
        let inner = encoder.inner();
        let bytes = bytes_of_ids(inner, spelling, vocabulary);
        let id_of = |token: &str| inner.token_to_id(token).filter(|id| (*id as usize) < vocabulary);
        let layout = Layout::read(file, &path, &id_of)?;
        let mut end_ids: Vec<u32> = ENDS.iter().filter_map(|name| id_of(name)).collect();
        // Where answers come in parts, this one ends a part.
        if id_of(PARTS).is_none() {
            end_ids.extend(id_of(PART_END));
        }
        for id in ends {
            match u32::try_from(id) {
                Ok(id) if (id as usize) < vocabulary => end_ids.push(id),
                _ => {
                    return Err(Error::model(
                        &path,
                        "eos_token_id",
                        format!("is {id}, beyond the vocabulary"),
                    ));
                }
            }
        }
        Ok(Self {
            token_bytes_max: bytes.iter().map(|b| b.len()).max().unwrap_or(0).max(1),
            encoder,
            bytes,
            ends: end_ids,
            layout,
        })
    }

    /// Plain text at the beginning to ids; no control token comes of it.
    #[cfg(test)]
    pub(super) fn encode(&self, text: &str) -> Result<Vec<u32>, Error> {
        self.encoder.plain(text, true)
    }

    /// The bytes that an id adds to the text.
    pub(crate) fn bytes(&self, id: u32) -> &[u8] {
        self.bytes.get(id as usize).map_or(&[], |bytes| bytes)
    }

    /// All ids that the model scores.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u32> {
        (0..).take(self.bytes.len())
    }

    /// Whether every id that both know is the same token, and what only one of them knows is nothing in a text.
    pub(crate) fn spells_as(&self, other: &Self) -> bool {
        let token = |of: &Self, id: u32| of.encoder.inner().id_to_token(id);
        let both = self.bytes.len().min(other.bytes.len());
        let rest = self.bytes[both..].iter().chain(&other.bytes[both..]);
        self.ids()
            .take(both)
            .all(|id| token(self, id) == token(other, id) && self.bytes(id) == other.bytes(id))
            && rest.into_iter().all(|bytes| bytes.is_empty())
    }

    /// The ids that end an answer.
    pub(crate) fn end_ids(&self) -> &[u32] {
        &self.ends
    }

    /// Whether the id ends an answer.
    pub(crate) fn ends(&self, id: u32) -> bool {
        self.ends.contains(&id)
    }
}

/// The description with every token marked as special that divides turns or ends them, whatever the file says of it:
/// unmarked it would be found in what a person wrote.
fn with_controls(mut description: Value, ends: &[u64]) -> Value {
    let added = description.get_mut("added_tokens").and_then(Value::as_array_mut);
    for token in added.into_iter().flatten() {
        let id = token.get("id").and_then(Value::as_u64);
        let divides = token.get("content").and_then(Value::as_str).is_some_and(|content| {
            ENDS.contains(&content) || BORDERS.contains(&content) || [PART_END, PARTS].contains(&content)
        });
        if divides || id.is_some_and(|id| ends.contains(&id)) {
            token["special"] = Value::Bool(true);
        }
    }
    description
}

fn spelling(path: &Path, description: &Value) -> Result<Spelling, Error> {
    let decoder = description.get("decoder");
    let kind = |decoder: &Value| decoder.get("type").and_then(Value::as_str).map(str::to_owned);
    let stages = decoder.and_then(|d| d.get("decoders")).and_then(Value::as_array);
    let kinds: Vec<String> = stages.into_iter().flatten().chain(decoder).filter_map(kind).collect();
    let has = |name: &str| kinds.iter().any(|kind| kind == name);
    if has("ByteLevel") {
        return Ok(Spelling::Bytes);
    }
    if has("ByteFallback") || has("Metaspace") {
        return Ok(Spelling::Pieces);
    }
    let found = kinds.last().map_or("missing", String::as_str);
    let problem = format!("is {found}; ByteLevel, ByteFallback and Metaspace are supported");
    Err(Error::model(path, "tokenizer decoder", problem))
}

fn bytes_of_ids(inner: &tokenizers::Tokenizer, spelling: Spelling, vocabulary: usize) -> Vec<Box<[u8]>> {
    let added = inner.get_added_tokens_decoder();
    let table = byte_level::table();
    (0..vocabulary as u32)
        .map(|id| match (added.get(&id), inner.id_to_token(id)) {
            (Some(added), _) if added.special => Box::default(),
            (Some(added), _) => added.content.as_bytes().into(),
            (None, Some(token)) if spelling == Spelling::Bytes => byte_level::bytes_of(&token, &table).into(),
            (None, Some(token)) => bytes_of_piece(&token).into(),
            (None, None) => Box::default(),
        })
        .collect()
}

/// A piece's bytes: a spelled byte is itself, `▁` a space.
fn bytes_of_piece(piece: &str) -> Vec<u8> {
    let hexadecimal = piece.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
    match hexadecimal.filter(|digits| digits.len() == 2).map(|digits| u8::from_str_radix(digits, 16)) {
        Some(Ok(byte)) => vec![byte],
        _ => piece.replace('▁', " ").into_bytes(),
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
