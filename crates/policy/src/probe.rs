//! Probes tried: the decision of each, and what of it is not as expected.

use serde::Serialize;

use crate::candidate::{Candidate, Kind, Latency, Load};
use crate::decision::Decision;
use crate::facts::{Excluded, Facts, Share, Spent};
use crate::name::Name;
use crate::rules::{Expectation, Probe, Rules, Tier};

#[cfg(test)]
mod tests;

/// Why a grammar answers nothing where its device is not asked.
const NO_GRAMMAR: &str = "a grammar is asked on its device only";

/// A probe that was tried.
#[derive(Clone, Debug)]
pub struct Tried {
    /// The decision that its request gets.
    pub decision: Decision,
    /// What is not as expected; empty: the probe passes.
    pub unmet: Vec<Unmet>,
}

/// An expectation that is not met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unmet {
    /// What was expected, such as `tier cloud-fast`.
    pub expected: String,
    /// What came, such as `tier device`.
    pub found: String,
}

// === impl Rules ===

impl Rules {
    /// The places that the tiers describe: one for each tier, and one for each region of a tier that has several. They
    /// are healthy and idle, as fast as their tier states or unknown, and a grammar is right wherever it answers.
    pub fn described_candidates(&self) -> Vec<Candidate> {
        self.tiers().iter().flat_map(described).collect()
    }

    /// Facts with what is known where no service is asked: a grammar is asked on its device only, nothing is spent and
    /// nothing went up.
    pub fn offline(&self, facts: Facts) -> Facts {
        let commands = self.tiers().iter().filter(|tier| tier.kind == Kind::Command);
        let excluded = commands.map(|tier| Excluded::new(tier.name.clone(), NO_GRAMMAR));
        Facts {
            excluded: facts.excluded.iter().cloned().chain(excluded).collect(),
            spent: self
                .budgets()
                .iter()
                .map(|budget| Spent { budget: budget.name.clone(), usd: 0.0 })
                .collect(),
            shares: self.caps().iter().map(|cap| Share { cap: cap.name.clone(), up: 0, all: 0 }).collect(),
            ..facts
        }
    }

    /// Tries a probe over the facts of its text, among these candidates.
    pub fn try_probe(&self, probe: &Probe, of_text: &Facts, candidates: &[Candidate]) -> Tried {
        let facts = probe.facts_over(&self.offline(of_text.clone()));
        let decision = crate::decide(self, &facts, candidates, 0);
        let unmet = probe.expects.iter().filter_map(|expected| unmet(expected, &decision)).collect();
        Tried { decision, unmet }
    }
}

fn described(tier: &Tier) -> Vec<Candidate> {
    let command = tier.kind == Kind::Command;
    let place = |name: Name, region: Option<Name>| Candidate {
        region,
        latency: if command { Some(Latency::default()) } else { tier.latency },
        load: tier.latency.map(|_| Load::default()),
        certain: command.then_some(1.0),
        ..Candidate::new(name, tier.name.clone(), tier.kind)
    };
    match tier.regions.as_slice() {
        [] => vec![place(tier.name.clone(), None)],
        [only] => vec![place(tier.name.clone(), Some(only.clone()))],
        several => several
            .iter()
            .map(|region| place(format!("{}/{region}", tier.name).into(), Some(region.clone())))
            .collect(),
    }
}

fn unmet(expected: &Expectation, decision: &Decision) -> Option<Unmet> {
    let place = decision.place.as_ref();
    let missed = |what: &str, wanted: &str, found: Option<&str>| {
        (found != Some(wanted)).then(|| Unmet {
            expected: format!("{what} {wanted}"),
            found: found.map_or_else(|| "no place".to_owned(), |found| format!("{what} {found}")),
        })
    };
    let hit = |what: &str, wanted: &str, found: Option<&str>| {
        (found == Some(wanted))
            .then(|| Unmet { expected: format!("not {what} {wanted}"), found: format!("{what} {wanted}") })
    };
    match expected {
        Expectation::Class(name) => missed("class", name, Some(&decision.class)),
        Expectation::Place(name) => missed("place", name, place.map(|place| place.place.as_str())),
        Expectation::Tier(name) => missed("tier", name, place.map(|place| place.tier.as_str())),
        Expectation::Kind(kind) => missed("kind", kind.name(), place.map(|place| place.kind.name())),
        Expectation::NotTier(name) => hit("tier", name, place.map(|place| place.tier.as_str())),
        Expectation::NotKind(kind) => hit("kind", kind.name(), place.map(|place| place.kind.name())),
        Expectation::NoPlace(wanted) => (*wanted != place.is_none()).then(|| Unmet {
            expected: if *wanted { "no place" } else { "some place" }.to_owned(),
            found: place.map_or_else(|| "no place".to_owned(), |place| format!("place {}", place.place)),
        }),
    }
}
