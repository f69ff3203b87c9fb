//! The text of a policy file: turns byte ranges into lines and columns, and near misses into suggestions.

use std::ops::Range;

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
        let (line, column) = self.position(span.map_or(0, |span| span.start));
        Error::from(Box::new(Flaw {
            file: self.file.to_owned(),
            line,
            column,
            code,
            problem: problem.into(),
            mend: mend.into(),
        }))
    }

    /// Line and column of a byte, both counted from 1; the column counts characters.
    fn position(&self, byte: usize) -> (usize, usize) {
        let mut end = byte.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &self.text[..end];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        (line, before[line_start..].chars().count() + 1)
    }
}

/// The `known` name nearest to `given`, where one is near enough to be meant.
pub(super) fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let enough = given.chars().count().div_ceil(3).max(2);
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(given, name), name))
        .filter(|(distance, _)| *distance <= enough)
        .min()
        .map(|(_, name)| name)
}

/// "did you mean `x`?" where one is near, else the list of what is known.
pub(super) fn suggestion<'a>(given: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    match nearest(given, known.clone()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => {
            let list: Vec<String> = known.map(|name| format!("`{name}`")).collect();
            format!("known are {}", list.join(", "))
        }
    }
}
