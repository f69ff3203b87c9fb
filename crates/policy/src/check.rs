//! What is wrong with a policy that can be decided by: found by trying requests that differ in everything that its
//! conditions ask.

use serde::Serialize;

use crate::error::{Code, Flaw};
use crate::rules::{Position, Rules};

mod witness;
mod reach;
mod privacy;
mod limits;
#[cfg(test)]
mod tests;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The policy does not do what it says.
    Error,
    /// It probably does not do what was meant.
    Warning,
    /// It is worth knowing.
    Note,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What, where, and how to mend it.
    pub flaw: Flaw,
}

/// Checks a policy, the worst first. Probes are not tried: their texts need signals, which are read elsewhere.
pub fn check(rules: &Rules) -> Vec<Finding> {
    let cases = witness::cases(rules);
    let mut findings = Findings { rules, found: Vec::new() };
    reach::sampled(&mut findings, &cases);
    reach::classes(&mut findings, &cases);
    reach::tiers(&mut findings, &cases);
    privacy::holes(&mut findings, &cases);
    limits::lifted(&mut findings, &cases);
    let mut found = findings.found;
    found.sort_by_key(|finding| (finding.severity, finding.flaw.line));
    found
}

/// What was found so far.
struct Findings<'a> {
    rules: &'a Rules,
    found: Vec<Finding>,
}

// === impl Findings ===

impl Findings<'_> {
    fn add(
        &mut self,
        (severity, at, code): (Severity, Position, Code),
        problem: String,
        mend: impl Into<String>,
    ) {
        let Position { line, column } = at;
        let file = self.rules.file().to_string();
        self.found
            .push(Finding { severity, flaw: Flaw { file, line, column, code, problem, mend: mend.into() } });
    }
}

// === impl Severity ===

impl Severity {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}
