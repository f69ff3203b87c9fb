//! Says what is wrong with a configuration, where it was written, and how to mend it.

use std::fmt;

use super::VARIABLE_PREFIX;
use super::origin::{Origin, Origins, segments};

/// A value of the right type that a [`super::Configure`] refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// The dotted key, such as `listen.address`.
    pub key: String,
    /// What is wrong with the value.
    pub problem: String,
    /// What to do about it.
    pub mend: String,
}

/// One thing that keeps a configuration from loading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where the offending text was written.
    pub origin: Origin,
    /// What is wrong, with the key.
    pub what: String,
    /// What to do about it, when something better than "correct it" can be said.
    pub mend: Option<String>,
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}", lines(.problems))]
pub struct Error {
    /// Everything found, in the order of the sources.
    pub problems: Vec<Problem>,
}

// === impl Invalid ===

impl Invalid {
    /// A refused value.
    #[must_use]
    pub fn new(key: impl Into<String>, problem: impl Into<String>, mend: impl Into<String>) -> Self {
        Invalid { key: key.into(), problem: problem.into(), mend: mend.into() }
    }

    /// Pushes a problem unless the condition holds; keeps `validate` to one line a rule.
    pub fn unless(found: &mut Vec<Invalid>, holds: bool, key: &str, problem: &str, mend: &str) {
        if !holds {
            found.push(Invalid::new(key, problem, mend));
        }
    }
}

// === impl Problem ===

impl Problem {
    pub(super) fn new(origin: Origin, what: impl Into<String>) -> Self {
        Problem { origin, what: what.into(), mend: None }
    }

    pub(super) fn invalid(invalid: Invalid, origins: &Origins) -> Self {
        Problem {
            origin: origins.of(&segments(&invalid.key)).clone(),
            what: format!("`{}` {}", invalid.key, invalid.problem),
            mend: Some(invalid.mend),
        }
    }

    /// A key that means nothing; `nearest` is a dotted key that was perhaps meant.
    pub(super) fn unknown(origin: Origin, key: &str, nearest: Option<String>) -> Self {
        let written_as = |key: &str| match &origin {
            Origin::Variable(_) => variable_name(key),
            _ => key.to_owned(),
        };
        let mend = nearest.map(|nearest| format!("did you mean `{}`?", written_as(&nearest)));
        let what = format!("unknown key `{key}`");
        Problem { mend, ..Problem::new(origin, what) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::Default => {}
            Origin::File { path, line, column } => write!(f, "{}:{line}:{column}: ", path.display())?,
            Origin::Whole(path) => write!(f, "{}: ", path.display())?,
            Origin::Variable(name) => write!(f, "environment variable {name}: ")?,
            Origin::Flag(key) => write!(f, "flag --set {key}: ")?,
        }
        f.write_str(&self.what)?;
        if let Some(mend) = &self.mend {
            write!(f, "; {mend}")?;
        }
        Ok(())
    }
}

// === impl Error ===

impl Error {
    pub(super) fn from_problems(problems: Vec<Problem>) -> Self {
        Error { problems }
    }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

/// The variable that sets a dotted key.
pub(super) fn variable_name(key: &str) -> String {
    format!("{VARIABLE_PREFIX}{}", key.to_uppercase().replace('.', "__"))
}

/// The candidate nearest to what was written, if one is near enough to be meant.
pub(super) fn nearest<'a>(written: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|candidate| (strsim::jaro_winkler(written, candidate), candidate))
        .filter(|(likeness, candidate)| *likeness >= 0.75 && is_slip(written, candidate))
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, candidate)| candidate)
}

/// Whether one could be typed for the other: few letters missing, changed or swapped.
fn is_slip(written: &str, meant: &str) -> bool {
    let letters = written.chars().count().max(meant.chars().count());
    strsim::osa_distance(written, meant) <= (letters / 3).max(1)
}
