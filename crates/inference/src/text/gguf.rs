//! A tokenizer out of GGUF metadata, as the description that the tokenizer library reads.

use std::{cmp::Reverse, collections::HashMap, path::Path};

use serde_json::{Map, Value, json};

use super::splits;
use crate::{Error, formats::Metadata};

// GGUF's numbers for kinds of tokens.
const NORMAL: i64 = 1;
const UNKNOWN: i64 = 2;
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;
/// Longer tokens are not joined from pairs: their cuts would take longer than they are worth.
const TOKEN_CHARACTERS_MAX: usize = 256;

const TOKENS: &str = "tokenizer.ggml.tokens";

/// The metadata's tokens with their kinds.
struct Tokens<'a> {
    path: &'a Path,
    metadata: &'a Metadata,
    texts: &'a [String],
    kinds: &'a [i64],
}

/// The description that Hugging Face's library reads.
pub(crate) fn description(path: &Path, metadata: &Metadata) -> Result<Value, Error> {
    let missing = |key: &str| Error::model(path, key, "is missing");
    let texts = metadata.texts(TOKENS).ok_or_else(|| missing(TOKENS))?;
    let kinds = metadata.integers("tokenizer.ggml.token_type").unwrap_or_default();
    let tokens = Tokens { path, metadata, texts, kinds };
    match metadata.text("tokenizer.ggml.model") {
        Some("gpt2") => tokens.of_bytes(),
        Some("llama") => tokens.of_pieces(),
        Some(other) => {
            let problem =
                format!("is {other}; gpt2 (byte-level pairs) and llama (pieces with scores) are supported");
            Err(Error::model(path, "tokenizer.ggml.model", problem))
        }
        None => Err(missing("tokenizer.ggml.model")),
    }
}

impl Tokens<'_> {
    fn kind(&self, id: usize) -> i64 {
        self.kinds.get(id).copied().unwrap_or(NORMAL)
    }

    fn vocabulary(&self) -> Result<Map<String, Value>, Error> {
        let mut vocabulary = Map::new();
        for (id, token) in self.texts.iter().enumerate() {
            if vocabulary.insert(token.clone(), json!(id)).is_some() {
                return Err(Error::model(self.path, TOKENS, format!("holds {token:?} twice")));
            }
        }
        Ok(vocabulary)
    }

    /// Tokens that are found in text before it is cut.
    fn added(&self) -> Vec<Value> {
        let added = |(id, token): (usize, &String)| {
            let special = matches!(self.kind(id), CONTROL | UNKNOWN);
            (special || self.kind(id) == USER_DEFINED).then(|| {
                json!({
                    "id": id, "content": token, "special": special,
                    "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
                })
            })
        };
        self.texts.iter().enumerate().filter_map(added).collect()
    }

    /// Byte-level pairs.
    fn of_bytes(&self) -> Result<Value, Error> {
        let key = "tokenizer.ggml.merges";
        let merges = self.metadata.texts(key).ok_or_else(|| Error::model(self.path, key, "is missing"))?;
        let pairs = merges
            .iter()
            .map(|merge| {
                // The first byte may itself be a space's stand-in but never a space, so the first space divides.
                let pair = merge.split_once(' ').map(|(left, right)| json!([left, right]));
                pair.ok_or_else(|| {
                    Error::model(self.path, key, format!("holds {merge:?}, which is not a pair"))
                })
            })
            .collect::<Result<Vec<Value>, Error>>()?;
        let name = self.metadata.text("tokenizer.ggml.pre");
        let Some(splits) = splits::named(name) else {
            let problem = format!("is {}; {}", name.unwrap_or_default(), splits::KNOWN);
            return Err(Error::model(self.path, "tokenizer.ggml.pre", problem));
        };
        let (normalizer, cuts) = splits.described();
        Ok(json!({
            "version": "1.0", "truncation": null, "padding": null, "post_processor": null,
            "added_tokens": self.added(),
            "normalizer": normalizer,
            "pre_tokenizer": cuts,
            "decoder": splits::byte_level(false),
            "model": {
                "type": "BPE", "vocab": self.vocabulary()?, "merges": pairs, "byte_fallback": false,
                "ignore_merges": splits.whole_pieces,
            },
        }))
    }

    /// Pieces with scores: the pairs are those of which the vocabulary holds both parts, the best score first.
    fn of_pieces(&self) -> Result<Value, Error> {
        let key = "tokenizer.ggml.scores";
        let scores = self.metadata.floats(key).ok_or_else(|| Error::model(self.path, key, "is missing"))?;
        if scores.len() != self.texts.len() {
            let problem = format!("holds {} scores for {} tokens", scores.len(), self.texts.len());
            return Err(Error::model(self.path, key, problem));
        }
        let unknown = (0..self.texts.len()).find(|id| self.kind(*id) == UNKNOWN).map(|id| &self.texts[id]);
        let flag = |name: &str| self.metadata.flag(&format!("tokenizer.ggml.{name}"));
        let space = json!({ "type": "Replace", "pattern": { "String": " " }, "content": "▁" });
        let prefix = json!({ "type": "Prepend", "prepend": "▁" });
        let normalizer = if flag("add_space_prefix").unwrap_or(true) {
            json!({ "type": "Sequence", "normalizers": [prefix, space] })
        } else {
            space
        };
        let back = json!({ "type": "Replace", "pattern": { "String": "▁" }, "content": " " });
        Ok(json!({
            "version": "1.0", "truncation": null, "padding": null, "post_processor": null,
            "added_tokens": self.added(),
            "normalizer": normalizer,
            "pre_tokenizer": null,
            "decoder": {
                "type": "Sequence", "decoders": [back, { "type": "ByteFallback" }, { "type": "Fuse" }],
            },
            "model": {
                "type": "BPE", "vocab": self.vocabulary()?, "merges": self.pairs(scores), "unk_token": unknown,
                "fuse_unk": true, "byte_fallback": true, "ignore_merges": false,
            },
        }))
    }

    fn pairs(&self, scores: &[f32]) -> Vec<Value> {
        let known: HashMap<&str, usize> =
            self.texts.iter().enumerate().map(|(id, text)| (text.as_str(), id)).collect();
        let mut pairs = Vec::new();
        for (id, token) in self.texts.iter().enumerate() {
            if self.kind(id) != NORMAL || token.len() > TOKEN_CHARACTERS_MAX {
                continue;
            }
            let cuts = token.char_indices().skip(1).map(|(at, _)| token.split_at(at));
            let ids = |(left, right): &(&str, &str)| Some((*known.get(left)?, *known.get(right)?));
            let mut own: Vec<(usize, usize)> = cuts.filter_map(|cut| ids(&cut)).collect();
            own.sort_unstable();
            pairs.extend(own.into_iter().map(|(left, right)| (scores[id], left, right)));
        }
        let length = |id: usize| self.texts[id].chars().count();
        pairs.sort_by_cached_key(|(score, left, right)| {
            // Order of floats as order of whole numbers.
            let bits = score.to_bits().cast_signed();
            let order = if bits < 0 { !bits ^ i32::MIN } else { bits };
            Reverse((order, length(*left), length(*right)))
        });
        pairs.iter().map(|(_, left, right)| json!([self.texts[*left], self.texts[*right]])).collect()
    }
}
