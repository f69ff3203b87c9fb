//! The router's decision on one attempt: under the rules in force, beside those that are tried, and what is kept of it.

use policy::{Decision, Facts, Name, Rules};
use tokio::time::Instant;
use tracing::{Span, field};

use super::{Asked, Attempt, Dispatch, HOP};
use crate::decisions::Pending;
use crate::error::{Error, Failure, Removed};
use crate::fleet::seen_by;

// === impl Dispatch ===

impl Dispatch {
    /// Weighs the fleet as it is now.
    pub(super) fn decide(&self, asked: &mut Asked, failures: &mut Vec<Failure>) -> Result<Attempt, Error> {
        let span = decide_span();
        let _entered = span.enter();
        let before = Instant::now();
        let rules = asked.picked.rules.clone();
        let candidates = self.fleet.candidates(&rules);
        let excluded = asked.facts.excluded.len();
        let (decision, hold) = self.budgets.decide(&rules, &mut asked.facts, &candidates, asked.seed);
        let decide_us = u32::try_from(before.elapsed().as_micros()).unwrap_or(u32::MAX);
        record(&span, &decision);
        let again = |rules: &Rules, facts: &Facts| {
            policy::decide(rules, facts, &seen_by(rules, &candidates), asked.seed)
        };
        if let Some(shadow) = asked.picked.shadow.as_ref().filter(|_| failures.is_empty()) {
            let other = again(shadow, &asked.facts);
            self.policies.compare(&decision.class, tier(&decision), tier(&other));
        }
        let propensity =
            asked.picked.instead.as_ref().filter(|_| self.log.is_some()).map(|(rules, chance)| {
                let same = again(rules, &asked.facts).place.map(|place| place.place)
                    == decision.place.as_ref().map(|place| place.place.clone());
                if same { 1.0 } else { 1.0 - chance }
            });
        let pending = Pending::new(&self.log, &decision, &asked.request, propensity);
        // What was too dear for a budget's rest may be paid by the next attempt.
        asked.facts.excluded.truncate(excluded);
        let number = u32::try_from(failures.len()).unwrap_or(u32::MAX).saturating_add(1);
        match &decision.place {
            Some(place) => {
                let (place, decision) = (place.clone(), decision.to_wire(HOP, decide_us));
                Ok(Attempt { number, place, decision, pending, hold })
            }
            None => Err(Error::NoPlace { removed: removed(&decision), failures: std::mem::take(failures) }),
        }
    }
}

fn tier(decision: &Decision) -> Option<&str> {
    decision.place.as_ref().map(|place| place.tier.as_str())
}

fn removed(decision: &Decision) -> Vec<Removed> {
    let removed = |(place, reason): (&Name, &policy::Reason)| Removed {
        place: place.clone(),
        code: reason.code(),
        text: reason.to_string(),
    };
    decision.removals().map(removed).collect()
}

fn decide_span() -> Span {
    tracing::info_span!(
        "decide",
        causeway.decision.place = field::Empty,
        causeway.decision.class = field::Empty,
        causeway.decision.policy_hash = field::Empty,
        causeway.decision.margin_usd = field::Empty,
        causeway.decision.price_usd = field::Empty,
        causeway.decision.waiting_usd = field::Empty,
        causeway.decision.wrong_usd = field::Empty,
        causeway.decision.candidates = field::Empty,
    )
}

fn record(span: &Span, decision: &Decision) {
    span.record("causeway.decision.class", decision.class.as_str());
    span.record("causeway.decision.policy_hash", decision.trail.policy_hash.as_str());
    span.record("causeway.decision.candidates", decision.trail.candidates.len());
    if let Some(margin_usd) = decision.trail.margin_usd {
        span.record("causeway.decision.margin_usd", margin_usd);
    }
    if let Some(winner) = decision.winner() {
        span.record("causeway.decision.place", winner.candidate.place.as_str());
        span.record("causeway.decision.price_usd", winner.columns.price_usd);
        span.record("causeway.decision.waiting_usd", winner.columns.waiting_usd);
        span.record("causeway.decision.wrong_usd", winner.columns.wrong_usd);
    }
}
