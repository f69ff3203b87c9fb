//! Why a place was removed, and what was not known of it.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::candidate::Kind;
use crate::capabilities::Capabilities;
use crate::facts::Privacy;
use crate::name::Name;
use crate::table::Dollars;

/// The hard constraint that removed a place. `Display` says it to people, [`Reason::code`] to programs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Reason {
    /// The request may not leave so far.
    Privacy {
        /// What may leave.
        privacy: Privacy,
        /// Where the place stands.
        kind: Kind,
    },
    /// The data may not leave its region.
    Residency {
        /// The region in which it must stay.
        required: Name,
        /// Where the place computes; `None`: not known.
        region: Option<Name>,
    },
    /// No request may go to its tier.
    Closed {
        /// The tier.
        tier: Name,
    },
    /// The class forbids the place or its tier.
    Forbidden {
        /// The class.
        class: Name,
    },
    /// Only other places are allowed.
    NotAllowed {
        /// Who allows only others: the request's own wish, or the class.
        by: Name,
    },
    /// The place lacks a capability.
    Capability {
        /// What it lacks.
        missing: Capabilities,
    },
    /// Prompt and answer do not fit.
    ContextLength {
        /// Tokens of the prompt.
        prompt_tokens: u32,
        /// Tokens of the answer that there has to be room for.
        output_tokens: u32,
        /// Tokens that fit.
        max: u32,
    },
    /// The answer would come too late.
    Deadline {
        /// Seconds to the last token.
        expected_seconds: f64,
        /// Seconds that remain.
        remaining_seconds: f64,
    },
    /// The answer would cost too much.
    Budget {
        /// Its price, US dollars.
        price_usd: f64,
        /// Most that it may cost, US dollars.
        max_usd: f64,
    },
    /// A budget has too little left.
    BudgetSpent {
        /// The budget.
        budget: Name,
        /// The answer's price, US dollars.
        price_usd: f64,
        /// What is left in its window, US dollars.
        left_usd: f64,
    },
    /// The model does not know the language.
    Language {
        /// The language of the request.
        language: Name,
    },
    /// As many went up as may.
    EscalationCap {
        /// The cap.
        cap: Name,
        /// Requests that went up in its window.
        up: u64,
        /// Requests in its window.
        all: u64,
        /// The share that may go up.
        share_max: f64,
    },
    /// The place takes no work.
    Unhealthy {
        /// Why, where somebody knows.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Name>,
    },
    /// The caller left it out this time.
    Excluded {
        /// Why.
        reason: Name,
    },
    /// The answer would too likely be wrong for its class.
    ProbabilityTooLow {
        /// Probability of being right.
        probability_right: f64,
        /// The least that the class accepts.
        min: f64,
    },
}

/// Something that was not known, or known otherwise than by estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Note {
    /// The rules have no such tier.
    TierUnknown,
    /// No believable speed: the default seconds stand in.
    LatencyUnknown,
    /// No load report: at least the default queue stands in.
    LoadUnknown,
    /// Ability or requirement is missing: the default probability stands in.
    ProbabilityUnknown,
    /// The text does not tell how long the answer is: the default length stands in.
    OutputTokensUnknown,
    /// Nobody says how much context fits: the default stands in.
    ContextUnknown,
    /// Nobody says what tokens cost, or it was not believable: the default prices stand in.
    PriceUnknown,
    /// The place has answered already: price and waiting are spent, its confidence is its probability.
    Answered,
    /// Nothing was measured of its speed: what its tier states stands in.
    LatencyStated,
    /// The conversation's last answer is taken to have left this prompt there.
    CacheAssumed,
    /// An escalation cap is reached, and the rules let the request stay nowhere.
    CapLifted,
    /// Nobody says what is spent of a budget that counts the request: it is taken to be whole.
    BudgetUnknown,
    /// Nobody says what went up under an escalation cap that counts the request: it is taken to be untouched.
    ShareUnknown,
}

/// A set of notes; written as a list of their codes.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Notes(u16);

// === impl Reason ===

impl Reason {
    /// Every stable name.
    pub const CODES: [&'static str; 15] = [
        "privacy",
        "residency",
        "closed",
        "forbidden",
        "not_allowed",
        "capability",
        "language",
        "context_length",
        "unhealthy",
        "excluded",
        "deadline",
        "budget",
        "budget_spent",
        "probability_too_low",
        "escalation_cap",
    ];

    /// Its stable name.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Privacy { .. } => "privacy",
            Self::Residency { .. } => "residency",
            Self::Closed { .. } => "closed",
            Self::Forbidden { .. } => "forbidden",
            Self::NotAllowed { .. } => "not_allowed",
            Self::Capability { .. } => "capability",
            Self::ContextLength { .. } => "context_length",
            Self::Deadline { .. } => "deadline",
            Self::Budget { .. } => "budget",
            Self::BudgetSpent { .. } => "budget_spent",
            Self::Language { .. } => "language",
            Self::EscalationCap { .. } => "escalation_cap",
            Self::Unhealthy { .. } => "unhealthy",
            Self::Excluded { .. } => "excluded",
            Self::ProbabilityTooLow { .. } => "probability_too_low",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Privacy { privacy: Privacy::LocalOnly, .. } => {
                f.write_str("the request may not leave the device")
            }
            Self::Privacy { .. } => f.write_str("the request may not leave the home"),
            Self::Residency { required, region: Some(region) } => {
                write!(f, "the data must stay in {required}; this place computes in {region}")
            }
            Self::Residency { required, region: None } => {
                write!(f, "the data must stay in {required}; this place does not say where it computes")
            }
            Self::Closed { tier } => write!(f, "the tier {tier} is closed"),
            Self::Forbidden { class } => write!(f, "class {class} forbids it"),
            Self::NotAllowed { by } => write!(f, "{by} allows only other places"),
            Self::Capability { missing } => write!(f, "it lacks {missing}"),
            Self::ContextLength { prompt_tokens, output_tokens, max } => {
                let tokens = if *output_tokens == 1 { "token" } else { "tokens" };
                write!(
                    f,
                    "a prompt of {prompt_tokens} tokens and {output_tokens} {tokens} of output do not fit its context \
                     of {max}"
                )
            }
            Self::Deadline { expected_seconds, remaining_seconds } => {
                write!(f, "it would take {expected_seconds:.3} s and {remaining_seconds:.3} s remain")
            }
            Self::Budget { price_usd, max_usd } => {
                write!(f, "it would cost {} of at most {}", Dollars(*price_usd), Dollars(*max_usd))
            }
            Self::BudgetSpent { budget, price_usd, left_usd } => {
                let (price, left) = (Dollars(*price_usd), Dollars(*left_usd));
                write!(f, "it would cost {price}, and the budget {budget} has {left} left")
            }
            Self::Language { language } => write!(f, "it does not know the language {language}"),
            Self::EscalationCap { cap, up, all, share_max } => {
                write!(f, "{up} of {all} went up, and the cap {cap} lets a share of {share_max} up")
            }
            Self::Unhealthy { reason: None } => f.write_str("it takes no work"),
            Self::Unhealthy { reason: Some(reason) } => write!(f, "it takes no work: {reason}"),
            Self::Excluded { reason } => write!(f, "left out: {reason}"),
            Self::ProbabilityTooLow { probability_right, min } => {
                write!(f, "right with {probability_right:.3}, and at least {min:.3} is asked")
            }
        }
    }
}

impl Reason {
    /// Whether it comes of an estimate, which a text may be written to sway, and not of a rule.
    pub fn is_estimated(&self) -> bool {
        matches!(
            self,
            Self::Deadline { .. }
                | Self::Budget { .. }
                | Self::BudgetSpent { .. }
                | Self::ProbabilityTooLow { .. }
        )
    }
}

// === impl Note ===

impl Note {
    /// Every note, in the order in which they are written.
    pub const ALL: [Self; 13] = [
        Self::TierUnknown,
        Self::LatencyUnknown,
        Self::LoadUnknown,
        Self::ProbabilityUnknown,
        Self::OutputTokensUnknown,
        Self::ContextUnknown,
        Self::PriceUnknown,
        Self::Answered,
        Self::LatencyStated,
        Self::CacheAssumed,
        Self::CapLifted,
        Self::BudgetUnknown,
        Self::ShareUnknown,
    ];

    /// Its stable name.
    pub fn code(self) -> &'static str {
        match self {
            Self::TierUnknown => "tier_unknown",
            Self::LatencyUnknown => "latency_unknown",
            Self::LoadUnknown => "load_unknown",
            Self::ProbabilityUnknown => "probability_unknown",
            Self::OutputTokensUnknown => "output_tokens_unknown",
            Self::ContextUnknown => "context_unknown",
            Self::PriceUnknown => "price_unknown",
            Self::Answered => "answered",
            Self::LatencyStated => "latency_stated",
            Self::CacheAssumed => "cache_assumed",
            Self::CapLifted => "cap_lifted",
            Self::BudgetUnknown => "budget_unknown",
            Self::ShareUnknown => "share_unknown",
        }
    }
}

// === impl Notes ===

impl Notes {
    /// No notes.
    pub const NONE: Self = Self(0);

    /// Adds a note.
    pub fn add(&mut self, note: Note) {
        self.0 |= 1 << note as u16;
    }

    /// Whether the note is there.
    pub fn contains(self, note: Note) -> bool {
        self.0 & (1 << note as u16) != 0
    }

    /// The notes, in the order of [`Note::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Note> {
        Note::ALL.into_iter().filter(move |note| self.contains(*note))
    }
}

impl fmt::Debug for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Serialize for Notes {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.iter().map(Note::code))
    }
}

impl<'de> Deserialize<'de> for Notes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let mut notes = Self::NONE;
        for code in Vec::<String>::deserialize(from)? {
            let note = Note::ALL.into_iter().find(|note| note.code() == code);
            notes.add(note.ok_or_else(|| D::Error::custom(format!("`{code}` is no note")))?);
        }
        Ok(notes)
    }
}
