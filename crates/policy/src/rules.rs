//! The policy: what waiting and being wrong are worth to each class of request, what each tier costs and can do.

use crate::candidate::{Kind, Price};
use crate::capabilities::Capabilities;
use crate::error::Error;
use crate::facts::{Facts, Priority, Privacy, Topic};
use crate::name::Name;
use crate::vector::Vector;

mod source;
mod section;
mod parse;
#[cfg(test)]
mod tests;

/// The edition of the policy file that is read.
pub const SCHEMA: &str = "causeway.policy/v1";

/// Most bytes of a policy file.
pub const RULES_BYTES_MAX: usize = 1 << 20;

/// Most classes, most tiers, and most entries of any list in a policy file.
pub const LIST_LEN_MAX: usize = 1024;

/// A policy, checked. Made by [`Rules::parse`] only, so that every reader has the same guarantees: names are unique,
/// numbers are finite and in range, and the last class takes whatever the others leave.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    hash: Name,
    defaults: Defaults,
    tiers: Vec<Tier>,
    classes: Vec<Class>,
    catch_all: Class,
}

/// What stands in for what is not known. Chosen so that knowing nothing of a place never makes it look good.
#[derive(Clone, Debug, PartialEq)]
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

/// A kind of place: its prices, its abilities, its limits.
#[derive(Clone, Debug, PartialEq)]
pub struct Tier {
    /// Its name; candidates belong to it by this.
    pub name: Name,
    /// Where its places stand.
    pub kind: Kind,
    /// What its tokens cost.
    pub price: Price,
    /// What its model can do; `None`: unknown.
    pub abilities: Option<Vector>,
    /// Tokens of prompt and answer together; `None`: unknown.
    pub context_tokens_max: Option<u32>,
    /// What its places take and do.
    pub capabilities: Capabilities,
    /// Regions in which its places may compute; empty: not said.
    pub regions: Vec<Name>,
}

/// A class of request: who is meant, and what time and truth are worth to them.
#[derive(Clone, Debug, PartialEq)]
pub struct Class {
    /// Its name.
    pub name: Name,
    /// What a request must be to belong; `None`: anything.
    pub when: Option<When>,
    /// What a second of waiting costs, US dollars.
    pub second_usd: f64,
    /// What a wrong answer costs, US dollars.
    pub wrong_answer_usd: f64,
    /// Places that it may not use.
    pub places_forbidden: Vec<Name>,
    /// Tiers that it may not use.
    pub tiers_forbidden: Vec<Name>,
    /// The only tiers that it may use; empty: all.
    pub tiers_only: Vec<Name>,
    /// Least probability of being right that it accepts.
    pub probability_right_min: Option<f64>,
    /// Most that one answer may cost, US dollars.
    pub price_max_usd: Option<f64>,
}

/// Conditions on a request; all that are given must hold. Within a list, one suffices.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct When {
    /// Any of these priorities; empty: every one.
    pub priority_any: Vec<Priority>,
    /// Any of these topics; empty: every one.
    pub topic_any: Vec<Topic>,
    /// Any of these privacy classes; empty: every one.
    pub privacy_any: Vec<Privacy>,
    /// Any of these tenants; empty: every one.
    pub tenant_any: Vec<Name>,
    /// Any of these languages; empty: every one.
    pub language_any: Vec<Name>,
    /// Any of these residencies; empty: every one, and none.
    pub residency_any: Vec<Name>,
    /// Least prompt tokens.
    pub prompt_tokens_min: Option<u32>,
    /// Most prompt tokens.
    pub prompt_tokens_max: Option<u32>,
}

// === impl Rules ===

impl Rules {
    /// Reads a policy. `file_name` only names the file in errors.
    pub fn parse(file_name: &str, text: &str) -> Result<Self, Error> {
        parse::rules(file_name, text)
    }

    /// Lower-case hexadecimal BLAKE3 of the text that these rules were read from.
    pub fn hash(&self) -> &Name {
        &self.hash
    }

    /// What stands in for what is not known.
    pub fn defaults(&self) -> &Defaults {
        &self.defaults
    }

    /// The tiers, in the order of the file.
    pub fn tiers(&self) -> &[Tier] {
        &self.tiers
    }

    /// The tier of this name.
    pub fn tier(&self, name: &str) -> Option<&Tier> {
        self.tiers.iter().find(|tier| tier.name == *name)
    }

    /// The classes, in the order of the file.
    pub fn classes(&self) -> impl Iterator<Item = &Class> {
        self.classes.iter().chain([&self.catch_all])
    }

    /// The first class that the request belongs to.
    pub fn class_of(&self, facts: &Facts) -> &Class {
        let matches = |class: &&Class| class.when.as_ref().is_none_or(|when| when.holds(facts));
        self.classes.iter().find(matches).unwrap_or(&self.catch_all)
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

// === impl When ===

impl When {
    /// Whether the request is meant.
    pub fn holds(&self, facts: &Facts) -> bool {
        any(&self.priority_any, &facts.priority)
            && any(&self.topic_any, &facts.topic)
            && any(&self.privacy_any, &facts.privacy)
            && any(&self.tenant_any, &facts.tenant)
            && any(&self.language_any, &facts.language)
            && (self.residency_any.is_empty()
                || facts.residency.as_ref().is_some_and(|region| self.residency_any.contains(region)))
            && self.prompt_tokens_min.is_none_or(|min| facts.prompt_tokens >= min)
            && self.prompt_tokens_max.is_none_or(|max| facts.prompt_tokens <= max)
    }
}

fn any<T: PartialEq>(wanted: &[T], is: &T) -> bool {
    wanted.is_empty() || wanted.contains(is)
}
