//! Probes: requests that stand in the policy file, with what is expected of their decision.

use serde::Serialize;
use serde_json::{Map, Value};

use super::Position;
use crate::candidate::Kind;
use crate::facts::Facts;
use crate::name::Name;

/// A request with what is expected of its decision.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Probe {
    /// What it shows.
    pub name: Name,
    /// What is asked; `None`: only its facts are given.
    pub text: Option<Name>,
    /// Facts that hold whatever the text says, by their names.
    pub facts: Map<String, Value>,
    /// What is expected; never empty.
    pub expects: Vec<Expectation>,
    /// Where it stands in the file.
    #[serde(skip)]
    pub at: Position,
}

/// What is expected of a decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "expect", content = "is", rename_all = "snake_case")]
pub enum Expectation {
    /// This class.
    Class(Name),
    /// This place.
    Place(Name),
    /// A place of this tier.
    Tier(Name),
    /// A place of this kind.
    Kind(Kind),
    /// No place of this tier.
    NotTier(Name),
    /// No place of this kind.
    NotKind(Kind),
    /// No place, or some place.
    NoPlace(bool),
}

// === impl Probe ===

impl Probe {
    /// The facts of its request, given those of its text.
    pub fn facts_over(&self, of_text: &Facts) -> Facts {
        // The same patch was applied to other facts when the policy was read, and fitted.
        overlaid(of_text, &self.facts).unwrap_or_else(|_| of_text.clone())
    }
}

/// Facts with some of them replaced by name; or what is wrong with them.
pub(super) fn overlaid(facts: &Facts, patch: &Map<String, Value>) -> Result<Facts, String> {
    let mut all = serde_json::to_value(facts).map_err(|error| error.to_string())?;
    if let Some(map) = all.as_object_mut() {
        map.extend(patch.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
    serde_json::from_value(all).map_err(|error| error.to_string())
}

/// The names of all facts.
pub(super) fn fact_names() -> Vec<String> {
    match serde_json::to_value(Facts::default()) {
        Ok(Value::Object(map)) => map.keys().cloned().collect(),
        _ => Vec::new(),
    }
}
