//! A decision as a value: what was chosen, everything it was chosen from, and enough to choose again.

use serde::{Deserialize, Serialize};

use crate::candidate::{Candidate, Kind};
use crate::error::Error;
use crate::facts::Facts;
use crate::name::Name;
use crate::reason::{Notes, Reason};
use crate::rules::Rules;

/// The edition of the recorded decision.
pub const DECISION_SCHEMA: &str = "causeway.decision/v1";

/// Which place should answer, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The cheapest place that remained; `None`: every one was removed, each with its reason in the trail.
    pub place: Option<Placement>,
    /// The class of the request.
    pub class: Name,
    /// How it came about.
    pub trail: Trail,
}

/// The place chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// Its index among the candidates given.
    pub index: usize,
    /// Its name.
    pub place: Name,
    /// Its tier.
    pub tier: Name,
    /// Where it stands.
    pub kind: Kind,
}

/// What the decision was made from, and what was made of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trail {
    /// [`DECISION_SCHEMA`].
    pub schema: Name,
    /// Content hash of the rules.
    pub policy_hash: Name,
    /// What broke ties.
    pub seed: u64,
    /// What a second of waiting cost, US dollars.
    pub second_usd: f64,
    /// What a wrong answer cost, US dollars.
    pub wrong_answer_usd: f64,
    /// The request, with the editions of the learned numbers.
    pub facts: Facts,
    /// Every candidate in the order given, with its load and what was made of it.
    pub candidates: Vec<Weighed>,
    /// The next best place that remained.
    pub runner_up: Option<Name>,
    /// The runner-up's total less the winner's, US dollars.
    pub margin_usd: Option<f64>,
}

/// One candidate, weighed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Weighed {
    /// The candidate as it was given.
    pub candidate: Candidate,
    /// Why it could not be chosen; `None`: it could.
    pub removal: Option<Reason>,
    /// What it was expected to cost.
    pub columns: Columns,
    /// What that was computed from.
    pub inputs: Inputs,
}

/// The three columns of the expected cost and their sum, US dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Columns {
    /// Tokens in and out.
    pub price_usd: f64,
    /// Expected seconds times what a second is worth.
    pub waiting_usd: f64,
    /// Probability of being wrong times what a wrong answer costs.
    pub wrong_usd: f64,
    /// The sum of the three, in this order.
    pub total_usd: f64,
}

/// The three estimates for one candidate, and what was missing for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Inputs {
    /// Tokens in and out at the candidate's prices, US dollars.
    pub price_usd: f64,
    /// Seconds to the last token.
    pub expected_seconds: f64,
    /// Seconds to the first token.
    pub expected_ttft_seconds: f64,
    /// Probability that the answer is right.
    pub probability_right: f64,
    /// Output tokens.
    pub output_tokens: f64,
    /// The most that the place may produce, so that the answer costs no more than the request allows; `None`: the
    /// request names no price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens_max: Option<u32>,
    /// Tokens of the prompt as the place counts them.
    #[serde(default)]
    pub prompt_tokens: u32,
    /// Tokens of the prompt that the place is taken to hold.
    #[serde(default)]
    pub cached_tokens: u32,
    /// What was unknown and costed conservatively.
    pub notes: Notes,
}

/// The arguments of a decision, as they can be kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Content hash of the rules.
    pub policy_hash: Name,
    /// The request.
    pub facts: Facts,
    /// The places.
    pub candidates: Vec<Candidate>,
    /// What breaks ties.
    pub seed: u64,
}

// === impl Decision ===

impl Decision {
    /// The arguments that this decision was made from.
    pub fn record(&self) -> Record {
        Record {
            policy_hash: self.trail.policy_hash.clone(),
            facts: self.trail.facts.clone(),
            candidates: self.trail.candidates.iter().map(|weighed| weighed.candidate.clone()).collect(),
            seed: self.trail.seed,
        }
    }

    /// The winner as it was weighed.
    pub fn winner(&self) -> Option<&Weighed> {
        self.place.as_ref().and_then(|place| self.trail.candidates.get(place.index))
    }

    /// The places that were removed, with their reasons.
    pub fn removals(&self) -> impl Iterator<Item = (&Name, &Reason)> {
        self.trail
            .candidates
            .iter()
            .filter_map(|weighed| weighed.removal.as_ref().map(|reason| (&weighed.candidate.place, reason)))
    }
}

/// Decides a record again, to the same bits. Refused where the rules are not those that made it: for those,
/// [`crate::decide`] its facts anew.
pub fn replay(rules: &Rules, record: &Record) -> Result<Decision, Error> {
    if *rules.hash() != record.policy_hash {
        return Err(Error::OtherPolicy {
            recorded: record.policy_hash.to_string(),
            given: rules.hash().to_string(),
        });
    }
    Ok(crate::decide(rules, &record.facts, &record.candidates, record.seed))
}
