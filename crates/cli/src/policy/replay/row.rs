//! One recorded request: where it went before and where it would go, what is expected of both, and what was seen.

use ::policy::{Decision, DecisionLine, Name, Outcome, Rules, Weighed, decide};

/// The three figures of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Figures {
    /// US dollars.
    pub(super) usd: f64,
    /// Seconds to the last token.
    pub(super) seconds: f64,
    /// Probability of being right; of what was seen, 1 or 0.
    pub(super) right: f64,
}

/// Where a request goes under one policy.
#[derive(Clone, Debug)]
pub(super) struct Side {
    pub(super) place: Option<Name>,
    pub(super) tier: Option<Name>,
    /// What is expected of the answer; nothing at all where there is no place.
    pub(super) expected: Figures,
}

/// Which policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Before,
    After,
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) class: Name,
    pub(super) before: Side,
    pub(super) after: Side,
    /// Whether the side before is what was done: what was seen is then of it, whatever chance had to do with it.
    pub(super) before_was_done: bool,
    /// The place that was taken in truth.
    pub(super) logged: Option<Name>,
    /// What was seen there.
    pub(super) outcome: Option<Outcome>,
    /// With what probability it was taken; `None`: chance had no part.
    pub(super) propensity: Option<f64>,
}

// === impl Row ===

impl Row {
    /// Decides a line under the new policy, and under the old where there is one; else what was logged is the old.
    pub(super) fn of(line: &DecisionLine, new: &Rules, old: Option<&Rules>) -> Self {
        let decided =
            |rules: &Rules| decide(rules, &line.record.facts, &line.record.candidates, line.record.seed);
        let after = decided(new);
        let logged = line.place.as_ref().and_then(|place| {
            after.trail.candidates.iter().find(|weighed| weighed.candidate.place == *place)
        });
        let before = match old {
            Some(old) => side(&decided(old)),
            None => Side {
                place: line.place.clone(),
                tier: logged.map(|weighed| weighed.candidate.tier.clone()),
                expected: logged.map(expected).unwrap_or_default(),
            },
        };
        Self {
            class: after.class.clone(),
            before,
            after: side(&after),
            before_was_done: old.is_none(),
            logged: line.place.clone(),
            outcome: line.outcome,
            propensity: line.propensity,
        }
    }

    /// Whether it goes elsewhere.
    pub(super) fn moved(&self) -> bool {
        self.before.place != self.after.place
    }

    /// One of the sides.
    pub(super) fn side(&self, which: Which) -> &Side {
        match which {
            Which::Before => &self.before,
            Which::After => &self.after,
        }
    }

    /// Whether a side is where the request went in truth, so that what was seen is of that side.
    pub(super) fn seen_on(&self, which: Which) -> bool {
        self.logged.is_some() && self.side(which).place == self.logged
    }

    /// What a request that was seen counts for on a side: one over the probability with which it was seen there.
    pub(super) fn weight(&self, which: Which) -> f64 {
        match which {
            Which::Before if self.before_was_done => 1.0,
            _ => 1.0 / self.propensity.unwrap_or(1.0),
        }
    }
}

fn side(decision: &Decision) -> Side {
    Side {
        place: decision.place.as_ref().map(|place| place.place.clone()),
        tier: decision.place.as_ref().map(|place| place.tier.clone()),
        expected: decision.winner().map(expected).unwrap_or_default(),
    }
}

fn expected(weighed: &Weighed) -> Figures {
    let inputs = &weighed.inputs;
    Figures { usd: inputs.price_usd, seconds: inputs.expected_seconds, right: inputs.probability_right }
}
