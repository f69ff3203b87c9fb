//! What a row is, how it is measured, and what it came to.

use anyhow::Error;
use futures_util::future::BoxFuture;

use super::suite::Suite;

/// One test.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: &'static str,
    pub(super) test: &'static str,
    pub(super) target: &'static str,
    /// What measures it: each has to pass.
    pub(super) parts: &'static [Part],
    /// What of it nothing measures; empty: nothing is missing. A row of which something is missing does not pass.
    pub(super) missing: &'static str,
}

/// What measures a row, or some of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) by: By,
    /// It takes more than half a minute.
    pub(super) slow: bool,
}

/// Who measures it.
#[derive(Clone, Copy, Debug)]
pub(super) enum By {
    /// This process.
    Own(Measure),
    /// A test of the source tree, by its name within its suite.
    Test(Suite, &'static str),
}

/// Measures a part.
pub(super) type Measure = fn() -> BoxFuture<'static, Result<Measured, Error>>;

/// What a part came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Measured {
    pub(super) text: String,
    pub(super) pass: bool,
}

/// A row with what its parts came to.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) row: &'static Row,
    pub(super) parts: Vec<Measured>,
    /// Why parts were left out.
    pub(super) left_out: Vec<&'static str>,
}

// === impl Measured ===

impl Measured {
    /// A part that could not be measured.
    pub(super) fn failed(error: &Error) -> Self {
        Self { text: format!("could not be measured: {error:#}"), pass: false }
    }
}

// === impl Part ===

impl Part {
    pub(super) const fn own(measure: Measure) -> Self {
        Self { by: By::Own(measure), slow: false }
    }

    pub(super) const fn test(suite: Suite, name: &'static str) -> Self {
        Self { by: By::Test(suite, name), slow: false }
    }

    pub(super) const fn slow(self) -> Self {
        Self { slow: true, ..self }
    }
}

// === impl Row ===

impl Row {
    pub(super) const fn new(
        id: &'static str,
        test: &'static str,
        target: &'static str,
        parts: &'static [Part],
    ) -> Self {
        Self { id, test, target, parts, missing: "" }
    }

    pub(super) const fn without(self, missing: &'static str) -> Self {
        Self { missing, ..self }
    }
}

// === impl Line ===

impl Line {
    /// Whether anything was measured.
    pub(super) fn is_measured(&self) -> bool {
        !self.parts.is_empty()
    }

    pub(super) fn passes(&self) -> bool {
        let all = self.is_measured() && self.left_out.is_empty() && self.row.missing.is_empty();
        all && self.parts.iter().all(|part| part.pass)
    }

    /// What was measured, and what was not.
    pub(super) fn text(&self) -> String {
        let mut said: Vec<String> = self.parts.iter().map(|part| part.text.clone()).collect();
        let mut reasons = self.left_out.clone();
        reasons.dedup();
        reasons.extend(Some(self.row.missing).filter(|missing| !missing.is_empty()));
        let what = if said.is_empty() { "not measured" } else { "the rest is not measured" };
        said.extend(reasons.iter().map(|why| format!("{what}: {why}")));
        said.join("; ")
    }
}
