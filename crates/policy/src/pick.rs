//! The cheapest of what remains; ties go by the seed, the same way every time.

use std::cmp::Ordering;

use crate::decision::{DECISION_SCHEMA, Decision, Placement, Trail, Weighed};
use crate::estimate::Case;

/// Picks the winner and its runner-up and writes the trail.
pub(crate) fn pick(case: &Case<'_>, candidates: Vec<Weighed>, seed: u64) -> Decision {
    let (winner, second) = best_two(&candidates, seed);
    let total = |index: usize| candidates[index].columns.total_usd;
    let place = winner.map(|index| {
        let candidate = &candidates[index].candidate;
        Placement {
            index,
            place: candidate.place.clone(),
            tier: candidate.tier.clone(),
            kind: candidate.kind,
        }
    });
    Decision {
        place,
        class: case.class.name.clone(),
        trail: Trail {
            schema: DECISION_SCHEMA.into(),
            policy_hash: case.rules.hash().clone(),
            seed,
            second_usd: case.class.second_usd,
            wrong_answer_usd: case.class.wrong_answer_usd,
            facts: case.facts.clone(),
            runner_up: second.map(|index| candidates[index].candidate.place.clone()),
            margin_usd: winner.zip(second).map(|(winner, second)| total(second) - total(winner)),
            candidates,
        },
    }
}

/// Indices of the best and the second best that were not removed.
fn best_two(candidates: &[Weighed], seed: u64) -> (Option<usize>, Option<usize>) {
    let before = |a: usize, b: usize| order(&candidates[a], &candidates[b], seed).is_lt();
    let mut best = (None, None);
    for (index, weighed) in candidates.iter().enumerate() {
        if weighed.removal.is_some() {
            continue;
        }
        best = match best {
            (None, _) => (Some(index), None),
            (Some(first), _) if before(index, first) => (Some(index), Some(first)),
            (first, None) => (first, Some(index)),
            (first, Some(second)) if before(index, second) => (first, Some(index)),
            unchanged => unchanged,
        };
    }
    best
}

fn order(a: &Weighed, b: &Weighed, seed: u64) -> Ordering {
    let ticket = |weighed: &Weighed| ticket(seed, &weighed.candidate.place);
    a.columns.total_usd.total_cmp(&b.columns.total_usd).then_with(|| ticket(a).cmp(&ticket(b)))
}

/// A number that depends on seed and name only, so that a candidate's chance does not depend on the others.
fn ticket(seed: u64, place: &str) -> u64 {
    place.bytes().fold(mix(seed), |state, byte| mix(state ^ u64::from(byte)))
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
fn mix(state: u64) -> u64 {
    let state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    state ^ (state >> 31)
}
