//! The policy: what waiting and being wrong are worth to each class of request, what each tier costs and can do.

use serde::Serialize;

use crate::candidate::{Kind, Latency, Price};
use crate::capabilities::Capabilities;
use crate::condition::Condition;
use crate::error::Error;
use crate::facts::{Facts, Privacy};
use crate::name::Name;
use crate::vector::Vector;

mod limits;
mod source;
pub(crate) mod form;
mod section;
mod probes;
mod parse;
pub(crate) mod seal;
#[cfg(test)]
mod tests;

pub use limits::{Budget, Cap, Per};
pub use probes::{Expectation, Probe};
pub use seal::seal;
pub(crate) use source::{nearest, suggestion};

/// The edition of the policy file that is read.
pub const SCHEMA: &str = "causeway.policy/v1";

/// Most bytes of a policy file.
pub const RULES_BYTES_MAX: usize = 1 << 20;

/// Most classes, most tiers, and most entries of any list in a policy file.
pub const LIST_LEN_MAX: usize = 1024;

/// Most steps that all conditions of a policy may cost together: what bounds the time of a decision.
pub const CONDITIONS_COST_MAX: usize = 16_384;

/// A policy, checked. Made by [`Rules::parse`] only, so that every reader has the same guarantees: names are unique,
/// numbers are finite and in range, and the last class takes whatever the others leave.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rules {
    #[serde(skip)]
    file: Name,
    #[serde(skip)]
    hash: Name,
    #[serde(skip)]
    sealed: bool,
    defaults: Defaults,
    session: Option<SessionRule>,
    #[serde(rename = "tier")]
    tiers: Vec<Tier>,
    /// The last takes everything.
    #[serde(rename = "class")]
    classes: Vec<Class>,
    #[serde(rename = "budget")]
    budgets: Vec<Budget>,
    #[serde(rename = "escalation_cap")]
    caps: Vec<Cap>,
    #[serde(rename = "probe")]
    probes: Vec<Probe>,
}

/// Where something stands in the policy file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Position {
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
}

/// What stands in for what is not known. Chosen so that knowing nothing of a place never makes it look good.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Defaults {
    /// Seconds to the last token where a place's speed is unknown.
    pub expected_seconds_unknown: f64,
    /// Least seconds of queueing where a place's load is unknown.
    pub queue_seconds_unknown: f64,
    /// Probability of being right where ability or requirement is unknown.
    pub probability_right_unknown: f64,
    /// Output tokens where the text does not tell.
    pub output_tokens_unknown: f64,
    /// Context length where neither place nor tier says.
    pub context_tokens_max_unknown: u32,
    /// Prices where neither place nor tier says.
    pub price_unknown: Price,
}

/// What a conversation leaves behind where it was answered.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SessionRule {
    /// How long the prompt is believed to be held, seconds since the last answer.
    pub cache_seconds: f64,
    /// The share of it that is believed to be held, in [0, 1].
    pub cache_kept: f64,
}

/// A kind of place: its prices, its abilities, its limits.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tier {
    /// Its name; candidates belong to it by this.
    pub name: Name,
    /// Where its places stand.
    pub kind: Kind,
    /// What its tokens cost.
    pub price: Price,
    /// What its tokens cost in energy, and energy in dollars.
    pub energy: Energy,
    /// What its places make of a prompt, tokens for each estimated one, until it is measured; `None`: as estimated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_tokens_ratio: Option<f64>,
    /// What its model can do; `None`: unknown.
    pub abilities: Option<Vector>,
    /// Tokens of prompt and answer together; `None`: unknown.
    pub context_tokens_max: Option<u32>,
    /// What its places take and do.
    pub capabilities: Capabilities,
    /// The languages that its model knows; empty: all.
    pub languages: Vec<Name>,
    /// Regions in which its places may compute; empty: not said.
    pub regions: Vec<Name>,
    /// Its stated speed, for places of which nothing was measured; `None`: not stated.
    pub latency: Option<Latency>,
    /// Whether no request may go there.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub closed: bool,
    /// Where it stands in the file.
    #[serde(skip)]
    pub at: Position,
}

impl Tier {
    /// What its tokens cost a class: their price, with that of the energy that they take.
    pub fn price_for(&self, class: &Class) -> Price {
        let usd_per_million = class.joule_usd.unwrap_or(self.energy.usd_per_joule) * 1e6;
        let Price { input_usd_per_million_tokens, output_usd_per_million_tokens, .. } = self.price;
        Price {
            input_usd_per_million_tokens: input_usd_per_million_tokens
                + self.energy.joules_per_input_token * usd_per_million,
            output_usd_per_million_tokens: output_usd_per_million_tokens
                + self.energy.joules_per_output_token * usd_per_million,
            ..self.price
        }
    }
}

/// Energy of tokens, and its price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Energy {
    /// Joules for each prompt token that is not cached.
    pub joules_per_input_token: f64,
    /// Joules for each output token.
    pub joules_per_output_token: f64,
    /// What a joule costs, US dollars.
    pub usd_per_joule: f64,
}

/// A class of request: who is meant, what time and truth are worth to them, and what is forbidden.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Class {
    /// Its name.
    pub name: Name,
    /// What must hold of a request for it to belong; `None`: anything.
    pub when: Option<Condition>,
    /// What a second of waiting costs, US dollars.
    pub second_usd: f64,
    /// What a wrong answer costs, US dollars.
    pub wrong_answer_usd: f64,
    /// What a joule of a device costs, US dollars; `None`: as the tier says.
    pub joule_usd: Option<f64>,
    /// Its requests leave no further than this.
    pub privacy: Privacy,
    /// Whether the policy says so itself.
    #[serde(skip)]
    pub privacy_said: bool,
    /// The region that its requests may not leave.
    pub residency: Option<Name>,
    /// The only places that it may use; empty: all.
    pub places_only: Vec<Name>,
    /// Places that it may not use.
    pub places_forbidden: Vec<Name>,
    /// The only tiers that it may use; empty: all.
    pub tiers_only: Vec<Name>,
    /// Tiers that it may not use.
    pub tiers_forbidden: Vec<Name>,
    /// Least probability of being right that it accepts.
    pub probability_right_min: Option<f64>,
    /// Most that one answer may cost, US dollars.
    pub price_max_usd: Option<f64>,
    /// Whether a second worker is asked when the first token is late.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hedge: bool,
    /// Where it stands in the file.
    #[serde(skip)]
    pub at: Position,
}

// === impl Rules ===

impl Rules {
    /// Reads a policy. `file_name` only names the file in errors. A seal that there is has to be right.
    ///
    /// # Errors
    /// The text is no policy.
    pub fn parse(file_name: &str, text: &str) -> Result<Self, Error> {
        parse::rules(source::Source { file: file_name, text }, seal::Sealing::Checked)
    }

    /// The file, as [`Rules::parse`] was told.
    pub fn file(&self) -> &Name {
        &self.file
    }

    /// Lower-case hexadecimal BLAKE3 of the text that these rules were read from.
    pub fn hash(&self) -> &Name {
        &self.hash
    }

    /// What stands in for what is not known.
    pub fn defaults(&self) -> &Defaults {
        &self.defaults
    }

    /// What a conversation leaves behind; `None`: nothing is believed of it.
    pub fn session(&self) -> Option<&SessionRule> {
        self.session.as_ref()
    }

    /// The tiers, in the order of the file.
    pub fn tiers(&self) -> &[Tier] {
        &self.tiers
    }

    /// The tier of this name.
    pub fn tier(&self, name: &str) -> Option<&Tier> {
        self.tiers.iter().find(|tier| tier.name == *name)
    }

    /// The classes, in the order of the file; the last takes everything.
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// The class of this name.
    pub fn class(&self, name: &str) -> Option<&Class> {
        self.classes.iter().find(|class| class.name == *name)
    }

    /// The budgets, in the order of the file.
    pub fn budgets(&self) -> &[Budget] {
        &self.budgets
    }

    /// The escalation caps, in the order of the file.
    pub fn caps(&self) -> &[Cap] {
        &self.caps
    }

    /// The probes, in the order of the file.
    pub fn probes(&self) -> &[Probe] {
        &self.probes
    }

    /// The first class that the request belongs to.
    pub fn class_of(&self, facts: &Facts) -> &Class {
        let matches = |class: &&Class| class.when.as_ref().is_none_or(|when| when.holds(facts));
        // The last class has no condition, so that one is always found.
        self.classes.iter().find(matches).unwrap_or(&self.classes[self.classes.len() - 1])
    }
}

// === impl Defaults ===

impl Default for Defaults {
    /// Slow, doubtful, long-winded and dear.
    fn default() -> Self {
        Self {
            expected_seconds_unknown: 10.0,
            queue_seconds_unknown: 2.0,
            probability_right_unknown: 0.5,
            output_tokens_unknown: 512.0,
            context_tokens_max_unknown: 2048,
            price_unknown: Price {
                input_usd_per_million_tokens: 10.0,
                cached_input_usd_per_million_tokens: 10.0,
                output_usd_per_million_tokens: 30.0,
            },
        }
    }
}
