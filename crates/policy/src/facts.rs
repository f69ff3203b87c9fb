//! What is known of a request when it is decided: its text's signals, its caller's wishes, its history.

use serde::{Deserialize, Serialize};

use crate::capabilities::Capabilities;
use crate::name::Name;
use crate::number;
use crate::vector::Vector;

/// Kinds of personal data that a text may be told to have: those that tell who somebody is, or how to reach or rob them.
pub const PERSONAL_DATA: [&str; 9] = [
    "person",
    "street_address",
    "credit_card",
    "phone_number",
    "email_address",
    "iban_code",
    "us_ssn",
    "ip_address",
    "us_driver_license",
];

/// Kinds of private content that a text may be told to have.
pub const PRIVATE_CONTENT: [&str; 7] =
    ["health", "finance", "messages", "credentials", "proprietary_code", "internal", "records"];

/// Everything about the request that may change the decision. Two equal facts decide alike. A field that a record does
/// not have, because it is older than the field, is as in [`Facts::default`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
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
    /// The most output tokens where the request has no bound of its own; `None`: not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens_default: Option<u32>,
    /// What the request requires, in the space of abilities; empty: unknown.
    pub requirement: Vector,
    /// Subtracted from ability · requirement before the logistic function.
    #[serde(with = "number::f32")]
    pub difficulty: f32,
    /// What it is about, where being wrong harms.
    pub topic: Topic,
    /// ISO 639-1 code; empty: unknown.
    pub language: Name,
    /// The script that most of its letters belong to; empty: unknown.
    pub script: Name,
    /// What it wants, by name; empty: nobody read it.
    pub intent: Name,
    /// Probability of that intent, in [0, 1].
    #[serde(with = "number::f32")]
    pub intent_probability: f32,
    /// Whether the intent is one that is known; `false` where none was read.
    pub in_scope: bool,
    /// Kinds of private content, such as `health` or `credentials`.
    pub private_content: Vec<Name>,
    /// Kinds of personal data, such as `card` or `email`.
    pub personal_data: Vec<Name>,
    /// Whether there is program code in it.
    pub has_code: bool,
    /// Whether there are numbers in it.
    pub has_numbers: bool,
    /// Whether there are lists in it.
    pub has_lists: bool,
    /// Turns of the conversation so far; 0: unknown.
    pub turns: u32,
    /// What may leave the device.
    pub privacy: Privacy,
    /// How much waiting matters.
    pub priority: Priority,
    /// Seconds that remain until the caller gives up; `None`: it waits.
    #[serde(with = "number::option")]
    pub deadline_seconds: Option<f64>,
    /// Who asks; empty: unknown.
    pub tenant: Name,
    /// The device that asks; empty: unknown.
    pub device: Name,
    /// The conversation that the request belongs to; empty: none.
    pub conversation: Name,
    /// Where the caller is; empty: unknown.
    pub region: Name,
    /// What is left of the device's battery, in [0, 1]; `None`: it has none, or does not say.
    #[serde(with = "number::option_f32")]
    pub battery: Option<f32>,
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
    /// Where the conversation was answered before.
    pub session: Option<Session>,
    /// What is spent of every budget that counts the request; one that is not listed is noted and taken to be whole.
    pub spent: Vec<Spent>,
    /// What went up under every escalation cap that counts the request; one that is not listed is noted and taken to be
    /// untouched.
    pub shares: Vec<Share>,
    /// The edition of every learned number that entered.
    pub versions: Vec<Version>,
    /// Places that may not be chosen this time, such as those that already failed.
    pub excluded: Vec<Excluded>,
    /// How many places there were, where the candidates were drawn from them; `None`: they are all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub places_known: Option<u32>,
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

/// Where a conversation was answered before, which is where its keys and values may still be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// The place that answered last.
    pub place: Name,
    /// Tokens of this prompt that it held then.
    pub cached_tokens: u32,
    /// Seconds since.
    #[serde(with = "number::f64")]
    pub idle_seconds: f64,
}

/// What is spent of a budget in its present window, by those who share it with the request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spent {
    /// The budget's name.
    pub budget: Name,
    /// Settled and reserved, US dollars; not finite: all of it.
    #[serde(with = "number::f64")]
    pub usd: f64,
}

/// What went up under an escalation cap in its present window, of those who share it with the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// The cap's name.
    pub cap: Name,
    /// Requests that went up.
    pub up: u64,
    /// Requests in all.
    pub all: u64,
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
            output_tokens_default: None,
            requirement: Vector::UNKNOWN,
            difficulty: 0.0,
            topic: Topic::None,
            language: Name::default(),
            script: Name::default(),
            intent: Name::default(),
            intent_probability: 0.0,
            in_scope: false,
            private_content: Vec::new(),
            personal_data: Vec::new(),
            has_code: false,
            has_numbers: false,
            has_lists: false,
            turns: 0,
            privacy: Privacy::Normal,
            priority: Priority::Normal,
            deadline_seconds: None,
            tenant: Name::default(),
            device: Name::default(),
            conversation: Name::default(),
            region: Name::default(),
            battery: None,
            residency: None,
            needs: Capabilities::TEXT,
            price_max_usd: None,
            only_place: None,
            local_answer: None,
            session: None,
            spent: Vec::new(),
            shares: Vec::new(),
            versions: Vec::new(),
            excluded: Vec::new(),
            places_known: None,
        }
    }
}

// === impl Topic ===

impl Topic {
    /// Every topic with its name in rules and records.
    pub const ALL: [(&'static str, Self); 5] = [
        ("none", Self::None),
        ("medical", Self::Medical),
        ("legal", Self::Legal),
        ("self_harm", Self::SelfHarm),
        ("dangerous", Self::Dangerous),
    ];

    /// Its name in rules and records.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].0
    }
}

// === impl Privacy ===

impl Privacy {
    /// Every privacy class, from the freest, with its name in rules and records.
    pub const ALL: [(&'static str, Self); 3] =
        [("normal", Self::Normal), ("home_only", Self::HomeOnly), ("local_only", Self::LocalOnly)];

    /// Its name in rules and records.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].0
    }
}

// === impl Priority ===

impl Priority {
    /// Every priority with its name in rules and records.
    pub const ALL: [(&'static str, Self); 3] =
        [("interactive", Self::Interactive), ("normal", Self::Normal), ("background", Self::Background)];

    /// Its name in rules and records.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].0
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
