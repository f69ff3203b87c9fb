//! The decision: facts, candidates and rules in; a place and its reasons out.
//!
//! Every place that could answer gets an expected cost in US dollars — its price, the worth of the time it takes, the
//! worth of its being wrong — and the cheapest of those that no constraint removes wins. Nothing here has a clock, does
//! I/O or keeps state: what was learned elsewhere enters as facts, arithmetic is the same on every target, and a
//! recorded decision decides again to the same bits.
//!
//! ```
//! use policy::{Candidate, Facts, Kind, Rules, decide};
//!
//! let rules = Rules::parse(
//!     "policy.toml",
//!     r#"
//!     schema = "causeway.policy/v1"
//!     [[tier]]
//!     name = "device"
//!     kind = "device"
//!     input_usd_per_million_tokens = 0.001
//!     output_usd_per_million_tokens = 0.001
//!     [[class]]
//!     name = "default"
//!     second_usd = 0.0004
//!     wrong_answer_usd = 0.01
//!     "#,
//! )?;
//! let device = Candidate::new("device", "device", Kind::Device);
//! let decision = decide(&rules, &Facts::default(), &[device], 7);
//! assert_eq!(decision.place.map(|place| place.place.to_string()).as_deref(), Some("device"));
//! # Ok::<(), policy::Error>(())
//! ```

mod name;
mod number;
mod vector;
mod capabilities;
mod facts;
mod candidate;
mod condition;
mod rules;
mod estimate;
mod filter;
mod score;
mod pick;
mod reason;
mod decision;
mod table;
mod probe;
mod flips;
mod diff;
mod schema;
mod format;
mod check;
pub mod ledger;
mod log;
mod error;
#[cfg(feature = "wire")]
pub mod wire;
#[cfg(test)]
mod tests;

pub use candidate::{Candidate, Kind, Latency, Load, Price};
pub use capabilities::Capabilities;
pub use check::{Finding, Severity, check};
pub use condition::{CONDITION_BYTES_MAX, CONDITION_COST_MAX, Condition, Fault, Verdict};
pub use decision::{Columns, DECISION_SCHEMA, Decision, Inputs, Placement, Record, Trail, Weighed, replay};
pub use diff::{Change, diff};
pub use error::{Code, Error, Flaw};
pub use estimate::{PROMPT_TOKENS_RATIO_MAX, PROMPT_TOKENS_RATIO_MIN};
pub use facts::{
    Excluded, Facts, LocalAnswer, PERSONAL_DATA, PRIVATE_CONTENT, Priority, Privacy, Session, Share, Spent,
    Topic, Version,
};
pub use flips::{Flip, Input};
pub use format::format;
pub use log::{DecisionLine, LINE_BYTES_MAX, LOG_SCHEMA, LoggedPlace, Outcome};
pub use name::Name;
pub use probe::{Tried, Unmet};
pub use reason::{Note, Notes, Reason};
pub use rules::{
    Budget, CONDITIONS_COST_MAX, Cap, Class, Defaults, Energy, Expectation, LIST_LEN_MAX, Per, Position,
    Probe, RULES_BYTES_MAX, Rules, SCHEMA, SessionRule, Tier, seal,
};
pub use schema::json_schema;
pub use table::Dollars;
pub use vector::{DIMENSIONS_MAX, Vector};

/// Decides which of `candidates` should answer the request that `facts` describe, under `rules`; `seed` breaks ties.
///
/// The same arguments give the same decision to the bit, everywhere and always.
pub fn decide(rules: &Rules, facts: &Facts, candidates: &[Candidate], seed: u64) -> Decision {
    let case = estimate::Case::new(rules, facts);
    let sieved = filter::filter(&case, candidates);
    let weighed = score::score(&case, sieved);
    pick::pick(&case, weighed, seed)
}

/// Whether any of `candidates` may answer the request at all.
pub fn possible<'a>(
    rules: &Rules,
    facts: &Facts,
    candidates: impl IntoIterator<Item = &'a Candidate>,
) -> bool {
    let case = estimate::Case::new(rules, facts);
    let may = |one: &&Candidate| {
        filter::filter(&case, std::slice::from_ref(*one)).iter().all(|one| one.removal.is_none())
    };
    candidates.into_iter().any(|one| may(&one))
}

/// The most that an answer of this candidate can cost, US dollars: nothing cached, and as many tokens as may come. What a
/// [`ledger::Ledger`] reserves before the request leaves.
pub fn price_bound_usd(rules: &Rules, facts: &Facts, candidate: &Candidate) -> f64 {
    estimate::price_bound_usd(&estimate::Case::new(rules, facts), candidate)
}

/// Tokens that the answer to this request is expected to have, where a context has room for them.
pub fn expected_output_tokens(rules: &Rules, facts: &Facts) -> f64 {
    estimate::Case::new(rules, facts).output_tokens()
}
