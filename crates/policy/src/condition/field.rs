//! What a condition may read of a request, in one table: name, type, the values it can have, and how it is read.

use super::value::{Element, Type, Value};
use crate::facts::{Facts, PERSONAL_DATA, PRIVATE_CONTENT, Priority, Privacy, Topic};

/// One thing that a condition may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Field {
    Topic,
    Language,
    Script,
    Intent,
    IntentProbability,
    InScope,
    PrivateContent,
    PersonalData,
    HasCode,
    HasNumbers,
    HasLists,
    Difficulty,
    Requirement,
    PromptTokens,
    OutputTokensP50,
    OutputTokensP90,
    Privacy,
    Priority,
    Residency,
    DeadlineSeconds,
    PriceMaxUsd,
    OutputTokensMax,
    OnlyPlace,
    Needs,
    Turns,
    Tenant,
    Device,
    Conversation,
    Region,
    Battery,
}

/// Whether a field may be unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// It always has a value.
    Never,
    /// It may have none: `has()` asks.
    Absent,
}

use Element::{Double as DoubleElement, Text as TextElement};
use Type::{Bool, Double, Int, List, Text};

const NEVER: Unknown = Unknown::Never;
const ABSENT: Unknown = Unknown::Absent;

/// Field, name space, name, type, whether it may be absent.
const FIELDS: [(Field, &str, &str, Type, Unknown); 30] = [
    (Field::Topic, "signals", "topic", Text, NEVER),
    (Field::Language, "signals", "language", Text, NEVER),
    (Field::Script, "signals", "script", Text, NEVER),
    (Field::Intent, "signals", "intent", Text, NEVER),
    (Field::IntentProbability, "signals", "intent_probability", Double, NEVER),
    (Field::InScope, "signals", "in_scope", Bool, NEVER),
    (Field::PrivateContent, "signals", "private_content", List(TextElement), NEVER),
    (Field::PersonalData, "signals", "personal_data", List(TextElement), NEVER),
    (Field::HasCode, "signals", "has_code", Bool, NEVER),
    (Field::HasNumbers, "signals", "has_numbers", Bool, NEVER),
    (Field::HasLists, "signals", "has_lists", Bool, NEVER),
    (Field::Difficulty, "signals", "difficulty", Double, ABSENT),
    (Field::Requirement, "signals", "requirement", List(DoubleElement), NEVER),
    (Field::PromptTokens, "signals", "prompt_tokens", Int, NEVER),
    (Field::OutputTokensP50, "signals", "output_tokens_p50", Double, ABSENT),
    (Field::OutputTokensP90, "signals", "output_tokens_p90", Double, ABSENT),
    (Field::Privacy, "request", "privacy", Text, NEVER),
    (Field::Priority, "request", "priority", Text, NEVER),
    (Field::Residency, "request", "residency", Text, ABSENT),
    (Field::DeadlineSeconds, "request", "deadline_seconds", Double, ABSENT),
    (Field::PriceMaxUsd, "request", "price_max_usd", Double, ABSENT),
    (Field::OutputTokensMax, "request", "output_tokens_max", Int, ABSENT),
    (Field::OnlyPlace, "request", "only_place", Text, ABSENT),
    (Field::Needs, "request", "needs", List(TextElement), NEVER),
    (Field::Turns, "request", "turns", Int, NEVER),
    (Field::Tenant, "caller", "tenant", Text, NEVER),
    (Field::Device, "caller", "device", Text, NEVER),
    (Field::Conversation, "caller", "conversation", Text, NEVER),
    (Field::Region, "caller", "region", Text, NEVER),
    (Field::Battery, "caller", "battery", Double, ABSENT),
];

/// The name spaces.
pub(super) const SPACES: [&str; 3] = ["signals", "request", "caller"];

// === impl Field ===

impl Field {
    /// The field of this name in this name space; without one, in any.
    pub(super) fn named(space: Option<&str>, name: &str) -> Option<Self> {
        let wanted = |row: &&(Self, &str, &str, Type, Unknown)| {
            row.2 == name && space.is_none_or(|space| space == row.1)
        };
        FIELDS.iter().find(wanted).map(|row| row.0)
    }

    /// All names of a name space; without one, of all.
    pub(super) fn names(space: Option<&str>) -> impl Iterator<Item = &'static str> + Clone {
        FIELDS.iter().filter(move |row| space.is_none_or(|space| space == row.1)).map(|row| row.2)
    }

    fn row(self) -> &'static (Self, &'static str, &'static str, Type, Unknown) {
        &FIELDS[self as usize]
    }

    /// Its name space.
    pub(crate) fn space(self) -> &'static str {
        self.row().1
    }

    /// Its name in its name space, which is its name among the facts.
    pub(crate) fn name(self) -> &'static str {
        self.row().2
    }

    /// Its type.
    pub(crate) fn r#type(self) -> Type {
        self.row().3
    }

    /// Whether it may be absent.
    pub(crate) fn unknown(self) -> Unknown {
        self.row().4
    }

    /// Every value that it can have, where they are few and known.
    pub(crate) fn values(self) -> Option<Vec<&'static str>> {
        Some(match self {
            Self::Topic => Topic::ALL.iter().map(|(name, _)| *name).collect(),
            Self::Privacy => Privacy::ALL.iter().map(|(name, _)| *name).collect(),
            Self::Priority => Priority::ALL.iter().map(|(name, _)| *name).collect(),
            Self::Needs => crate::Capabilities::ALL.iter().map(|(name, _)| *name).collect(),
            Self::PersonalData => PERSONAL_DATA.to_vec(),
            Self::PrivateContent => PRIVATE_CONTENT.to_vec(),
            _ => return None,
        })
    }

    /// Its value in a request.
    pub(super) fn read(self, facts: &Facts) -> Value<'_> {
        match self {
            Self::Topic => Value::Text(facts.topic.name()),
            Self::Language => Value::Text(&facts.language),
            Self::Script => Value::Text(&facts.script),
            Self::Intent => Value::Text(&facts.intent),
            Self::IntentProbability => Value::Double(f64::from(facts.intent_probability)),
            Self::InScope => Value::Bool(facts.in_scope),
            Self::PrivateContent => Value::Names(&facts.private_content),
            Self::PersonalData => Value::Names(&facts.personal_data),
            Self::HasCode => Value::Bool(facts.has_code),
            Self::HasNumbers => Value::Bool(facts.has_numbers),
            Self::HasLists => Value::Bool(facts.has_lists),
            Self::Requirement => Value::Floats(facts.requirement.as_slice()),
            Self::PromptTokens => Value::Int(i64::from(facts.prompt_tokens)),
            Self::Privacy => Value::Text(facts.privacy.name()),
            Self::Priority => Value::Text(facts.priority.name()),
            Self::Needs => Value::Capabilities(facts.needs),
            Self::Turns => Value::Int(i64::from(facts.turns)),
            Self::Tenant => Value::Text(&facts.tenant),
            Self::Device => Value::Text(&facts.device),
            Self::Conversation => Value::Text(&facts.conversation),
            Self::Region => Value::Text(&facts.region),
            _ => self.read_absent(facts).unwrap_or(Value::Undecided),
        }
    }

    /// The value of a field that may be absent.
    fn read_absent(self, facts: &Facts) -> Option<Value<'_>> {
        let finite = |value: f64| value.is_finite().then_some(Value::Double(value));
        let length = |tokens: f32| finite(f64::from(tokens)).filter(|_| tokens > 0.0);
        match self {
            Self::Difficulty if facts.requirement.is_empty() => None,
            Self::Difficulty => finite(f64::from(facts.difficulty)),
            Self::OutputTokensP50 => length(facts.output_tokens_p50),
            Self::OutputTokensP90 => length(facts.output_tokens_p90),
            Self::Residency => facts.residency.as_ref().map(|name| Value::Text(name)),
            Self::DeadlineSeconds => facts.deadline_seconds.and_then(finite),
            Self::PriceMaxUsd => facts.price_max_usd.and_then(finite),
            Self::OutputTokensMax => facts.output_tokens_max.map(|tokens| Value::Int(i64::from(tokens))),
            Self::OnlyPlace => facts.only_place.as_ref().map(|name| Value::Text(name)),
            Self::Battery => facts.battery.and_then(|share| finite(f64::from(share))),
            _ => None,
        }
    }
}
