//! The text of a policy file: turns byte ranges into lines and columns, and near misses into suggestions.

use std::ops::Range;

use super::Position;
use crate::condition::Fault;
use crate::error::{Code, Error, Flaw};

/// A policy file's name and text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
}

// === impl Source ===

impl Source<'_> {
    /// A flaw at the start of `span`; without one, at the start of the file.
    pub(super) fn flaw(
        &self,
        span: Option<Range<usize>>,
        code: Code,
        problem: impl Into<String>,
        mend: impl Into<String>,
    ) -> Error {
        let Position { line, column } = self.position(span.map_or(0, |span| span.start));
        Error::from(Box::new(Flaw {
            file: self.file.to_owned(),
            line,
            column,
            code,
            problem: problem.into(),
            mend: mend.into(),
        }))
    }

    /// A fault in a condition, where it stands in the file. In a text with escapes its place cannot be told: the flaw
    /// then stands at the text, and says how far inside it is.
    pub(super) fn fault(&self, span: Option<Range<usize>>, text: &str, what: &str, fault: Fault) -> Error {
        let Fault { at, code, problem, mend } = fault;
        let span = span.unwrap_or(0..0);
        let inside = self.text.get(span.clone()).and_then(|written| written.find(text));
        match inside {
            Some(offset) => {
                let start = span.start + offset + at;
                self.flaw(Some(start..start), code, format!("{what}: {problem}"), mend)
            }
            None => {
                let character = text.get(..at).map_or(0, |before| before.chars().count()) + 1;
                let problem = format!("{what}, character {character}: {problem}");
                self.flaw(Some(span), code, problem, mend)
            }
        }
    }

    /// Line and column of a byte.
    pub(super) fn position(&self, byte: usize) -> Position {
        let mut end = byte.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &self.text[..end];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        Position { line, column: before[line_start..].chars().count() + 1 }
    }
}

/// The `known` name nearest to `given`, where one is near enough to be meant.
pub(crate) fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let enough = given.chars().count().div_ceil(3).max(2);
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(given, name), name))
        .filter(|(distance, _)| *distance <= enough)
        .min()
        .map(|(_, name)| name)
}

/// "did you mean `x`?" where one is near, else the list of what is known.
pub(crate) fn suggestion<'a>(given: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    match nearest(given, known.clone()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => {
            let list: Vec<String> = known.map(|name| format!("`{name}`")).collect();
            format!("known are {}", list.join(", "))
        }
    }
}
