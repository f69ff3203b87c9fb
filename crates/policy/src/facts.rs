//! What is known of a request when it is decided: its text's signals, its caller's wishes, its history.

use serde::{Deserialize, Serialize};

use crate::capabilities::Capabilities;
use crate::name::Name;
use crate::number;
use crate::vector::Vector;

/// Everything about the request that may change the decision. Two equal facts decide alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// Tokens of the prompt, all turns together.
    pub prompt_tokens: u32,
    /// Median of the expected output tokens; 0 or not finite: unknown.
    #[serde(with = "number::f32")]
    pub output_tokens_p50: f32,
    /// 90th percentile of the expected output tokens; 0 or not finite: unknown.
    #[serde(with = "number::f32")]
    pub output_tokens_p90: f32,
    /// The request's own bound on output tokens.
    pub output_tokens_max: Option<u32>,
    /// What the request requires, in the space of abilities; empty: unknown.
    pub requirement: Vector,
    /// Subtracted from ability · requirement before the logistic function.
    #[serde(with = "number::f32")]
    pub difficulty: f32,
    /// What it is about, where being wrong harms.
    pub topic: Topic,
    /// ISO 639-1 code; empty: unknown.
    pub language: Name,
    /// What may leave the device.
    pub privacy: Privacy,
    /// How much waiting matters.
    pub priority: Priority,
    /// Seconds that remain until the caller gives up; `None`: it waits.
    #[serde(with = "number::option")]
    pub deadline_seconds: Option<f64>,
    /// Who asks; empty: unknown.
    pub tenant: Name,
    /// The region that the data may not leave; `None`: it may go anywhere.
    pub residency: Option<Name>,
    /// What a place must be able to do.
    pub needs: Capabilities,
    /// Most that the answer may cost, US dollars.
    #[serde(with = "number::option")]
    pub price_max_usd: Option<f64>,
    /// A place or a tier outside of which the request may not go.
    pub only_place: Option<Name>,
    /// An answer that a place has already given, with its confidence.
    pub local_answer: Option<LocalAnswer>,
    /// The edition of every learned number that entered.
    pub versions: Vec<Version>,
    /// Places that may not be chosen this time, such as those that already failed.
    pub excluded: Vec<Excluded>,
}

/// A subject in which a wrong answer harms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// No such subject was seen.
    #[default]
    None,
    /// Health, symptoms, medicines.
    Medical,
    /// Law and contracts.
    Legal,
    /// Harm to oneself.
    SelfHarm,
    /// Acts that endanger others.
    Dangerous,
}

/// What may leave the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Privacy {
    /// May go to any place that the policy allows.
    #[default]
    Normal,
    /// May go to places of the same home.
    HomeOnly,
    /// Never leaves the device.
    LocalOnly,
}

/// How much waiting matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Somebody is listening.
    Interactive,
    /// Somebody will look soon.
    #[default]
    Normal,
    /// Nobody waits.
    Background,
}

/// An answer that exists already: its price and its waiting are spent, its probability is its confidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalAnswer {
    /// The place that gave it.
    pub place: Name,
    /// Probability that it is right, in [0, 1]; not finite: unknown.
    #[serde(with = "number::f32")]
    pub confidence: f32,
}

/// The edition of a learned number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Version {
    /// What was learned, such as `difficulty`.
    pub name: Name,
    /// Which edition of it, such as a hash.
    pub version: Name,
}

/// A place that may not be chosen this time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Excluded {
    /// The place.
    pub place: Name,
    /// Why, for people.
    pub reason: Name,
}

// === impl Facts ===

impl Default for Facts {
    /// A text of unknown size, language and difficulty that may go anywhere.
    fn default() -> Self {
        Self {
            prompt_tokens: 0,
            output_tokens_p50: 0.0,
            output_tokens_p90: 0.0,
            output_tokens_max: None,
            requirement: Vector::UNKNOWN,
            difficulty: 0.0,
            topic: Topic::None,
            language: Name::default(),
            privacy: Privacy::Normal,
            priority: Priority::Normal,
            deadline_seconds: None,
            tenant: Name::default(),
            residency: None,
            needs: Capabilities::TEXT,
            price_max_usd: None,
            only_place: None,
            local_answer: None,
            versions: Vec::new(),
            excluded: Vec::new(),
        }
    }
}

// === impl LocalAnswer ===

impl LocalAnswer {
    /// An answer of `place`, right with this probability.
    pub fn new(place: impl Into<Name>, confidence: f32) -> Self {
        Self { place: place.into(), confidence }
    }
}

// === impl Version ===

impl Version {
    /// This edition of what is called `name`.
    pub fn new(name: impl Into<Name>, version: impl Into<Name>) -> Self {
        Self { name: name.into(), version: version.into() }
    }
}

// === impl Excluded ===

impl Excluded {
    /// Leaves `place` out, for this reason.
    pub fn new(place: impl Into<Name>, reason: impl Into<Name>) -> Self {
        Self { place: place.into(), reason: reason.into() }
    }
}
