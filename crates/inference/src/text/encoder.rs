//! Text to ids by the tokenizer library, with control tokens found only where the caller says that they are.

use std::path::Path;

use serde_json::Value;

use super::controls::{Controls, Part};
use crate::Error;

/// A tokenizer that never finds a control token in plain text.
#[derive(Debug)]
pub(crate) struct Encoder {
    inner: tokenizers::Tokenizer,
    /// The same for text that does not stand at the beginning, where that makes a difference.
    inner_within: Option<Box<tokenizers::Tokenizer>>,
    controls: Controls,
}

impl Encoder {
    pub(crate) fn new(path: &Path, description: Value) -> Result<Self, Error> {
        let inner = build(path, description.clone())?;
        let inner_within = within(description).map(|changed| build(path, changed)).transpose()?;
        Ok(Self { controls: Controls::of(&inner), inner, inner_within: inner_within.map(Box::new) })
    }

    pub(super) fn inner(&self) -> &tokenizers::Tokenizer {
        &self.inner
    }

    pub(super) fn controls(&self) -> &Controls {
        &self.controls
    }

    /// Plain text to ids; no control token comes of it.
    pub(crate) fn plain(&self, text: &str, beginning: bool) -> Result<Vec<u32>, Error> {
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let within = self.inner_within.as_deref().filter(|_| !beginning);
        let encoding = within
            .unwrap_or(&self.inner)
            .encode_fast(text, false)
            .map_err(|error| Error::bad_request("conversation", format!("cannot be tokenised: {error}")))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Rendered text to ids; `mark` stands within what only looks like a control token.
    pub(crate) fn rendered(&self, text: &str, mark: char) -> Result<Vec<u32>, Error> {
        let mut ids = Vec::new();
        for part in self.controls.parts(text, mark) {
            match part {
                Part::Control(id) => ids.push(id),
                Part::Text(text) => ids.extend(self.plain(&text, ids.is_empty())?),
            }
        }
        Ok(ids)
    }
}

fn build(path: &Path, description: Value) -> Result<tokenizers::Tokenizer, Error> {
    let mut inner: tokenizers::Tokenizer = serde_json::from_value(description)
        .map_err(|error| Error::model(path, "tokenizer", error.to_string()))?;
    // Control tokens spelled out in a person's text stay text.
    inner.set_encode_special_tokens(true);
    Ok(inner)
}

/// The description for text within other text, where a space is put before the first word only.
fn within(mut description: Value) -> Option<Value> {
    let mut changed = false;
    let mut change = |stage: &mut Value| {
        if stage.get("prepend_scheme").and_then(Value::as_str) == Some("first") {
            stage["prepend_scheme"] = "never".into();
            changed = true;
        }
    };
    let cuts = description.get_mut("pre_tokenizer")?;
    change(cuts);
    if let Some(stages) = cuts.get_mut("pretokenizers").and_then(Value::as_array_mut) {
        stages.iter_mut().for_each(&mut change);
    }
    changed.then_some(description)
}
