//! Control tokens in rendered text: those that the template wrote are found, those that a person wrote are not.

use std::collections::HashMap;

/// Characters that Unicode keeps free of meaning; one that no turn holds marks what a person wrote.
const MARKS: std::ops::RangeInclusive<char> = '\u{fdd0}'..='\u{fdef}';

/// The control tokens by their first character.
#[derive(Debug)]
pub(super) struct Controls {
    /// The longest first.
    by_first: HashMap<char, Vec<Control>>,
}

#[derive(Debug, Clone)]
struct Control {
    text: String,
    id: u32,
    /// Whitespace before it, and after it, belongs to it.
    strips: [bool; 2],
}

/// A part of rendered text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    Control(u32),
}

impl Controls {
    pub(super) fn of(tokenizer: &tokenizers::Tokenizer) -> Self {
        let mut by_first: HashMap<char, Vec<Control>> = HashMap::new();
        for (id, added) in tokenizer.get_added_tokens_decoder() {
            let Some(first) = added.content.chars().next().filter(|_| added.special) else { continue };
            let strips = [added.lstrip, added.rstrip];
            by_first.entry(first).or_default().push(Control { text: added.content.clone(), id, strips });
        }
        for controls in by_first.values_mut() {
            controls.sort_by(|a, b| b.text.len().cmp(&a.text.len()).then(a.id.cmp(&b.id)));
        }
        Self { by_first }
    }

    /// A mark that none of the texts holds.
    pub(super) fn mark(texts: &[&str]) -> Option<char> {
        MARKS.into_iter().find(|mark| !texts.iter().any(|text| text.contains(*mark)))
    }

    /// The text with a mark inside of every control token, and inside of what could become one at its end.
    pub(super) fn marked(&self, text: &str, mark: char) -> String {
        let mut out = String::with_capacity(text.len());
        for (at, character) in text.char_indices() {
            out.push(character);
            let rest = &text[at..];
            let controls = self.by_first.get(&character).map(Vec::as_slice).unwrap_or_default();
            if controls
                .iter()
                .any(|control| rest.starts_with(&control.text) || control.text.starts_with(rest))
            {
                out.push(mark);
            }
        }
        out
    }

    /// Divides rendered text at its control tokens and takes the marks out of the rest.
    pub(super) fn parts(&self, text: &str, mark: char) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut start = 0;
        let mut at = 0;
        let plain = |text: &str| Part::Text(text.chars().filter(|c| *c != mark).collect());
        while let Some(character) = text[at..].chars().next() {
            let controls = self.by_first.get(&character).map(Vec::as_slice).unwrap_or_default();
            let Some(control) = controls.iter().find(|control| text[at..].starts_with(&control.text)) else {
                at += character.len_utf8();
                continue;
            };
            let before = &text[start..at];
            let before = if control.strips[0] { before.trim_end() } else { before };
            if !before.is_empty() {
                parts.push(plain(before));
            }
            parts.push(Part::Control(control.id));
            at += control.text.len();
            if control.strips[1] {
                at = text.len() - text[at..].trim_start().len();
            }
            start = at;
        }
        if start < text.len() {
            parts.push(plain(&text[start..]));
        }
        parts
    }
}
