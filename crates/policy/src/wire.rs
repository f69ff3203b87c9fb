//! What travels between hops: a request on its way to a decision, and the decision.

pub mod request;
mod encode;

use proto::v1;

use crate::decision::{Decision, Weighed};

// === impl Decision ===

impl Decision {
    /// The decision as a message. `hop` is who decided (`edge-agent`, `router`), `decide_us` how long it took in
    /// microseconds, which this crate, having no clock, cannot know.
    pub fn to_wire(&self, hop: &str, decide_us: u32) -> v1::Decision {
        v1::Decision {
            hop: hop.to_owned(),
            place: self.place.as_ref().map(|place| place.place.to_string()).unwrap_or_default(),
            class: self.class.to_string(),
            candidates: self.trail.candidates.iter().map(candidate).collect(),
            policy_hash: self.trail.policy_hash.to_string(),
            seed: self.trail.seed,
            versions: self
                .trail
                .facts
                .versions
                .iter()
                .map(|learned| v1::LearnedVersion {
                    name: learned.name.to_string(),
                    version: learned.version.to_string(),
                })
                .collect(),
            margin_usd: self.trail.margin_usd,
            decide_us,
            places_known: self.trail.facts.places_known.unwrap_or_default(),
        }
    }
}

fn candidate(weighed: &Weighed) -> v1::CandidateCost {
    let load = weighed.candidate.load.unwrap_or_default();
    v1::CandidateCost {
        place: weighed.candidate.place.to_string(),
        tier: weighed.candidate.tier.to_string(),
        price_usd: weighed.columns.price_usd,
        waiting_usd: weighed.columns.waiting_usd,
        wrong_usd: weighed.columns.wrong_usd,
        total_usd: weighed.columns.total_usd,
        expected_seconds: weighed.inputs.expected_seconds,
        probability_right: weighed.inputs.probability_right,
        removal: weighed
            .removal
            .as_ref()
            .map(|reason| v1::Removal { code: reason.code().to_owned(), text: reason.to_string() }),
        notes: weighed.inputs.notes.iter().map(|note| note.code().to_owned()).collect(),
        running: load.running,
        waiting: load.waiting,
    }
}
