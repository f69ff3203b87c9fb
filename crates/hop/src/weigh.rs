//! One decision on one attempt: under the policy in force, beside those that are tried, and what is kept of it.

use mesh::deadline::Deadline;
use mesh::rollout::Picked;
use policy::{Candidate, Decision, Facts, Rules};
use proto::v1;
use tokio::time::Instant;
use tracing::{Span, field};

use crate::desk::Desk;
use crate::log::Pending;
use crate::request::Reading;
use crate::stake::{Counts, Course, Stake};

/// A request that is ready to be decided.
#[derive(Debug)]
pub struct Asked {
    /// As it came, with its id and its signals.
    pub request: v1::GenerateRequest,
    /// What the decision knows of it; failed places are added.
    pub facts: Facts,
    /// The policy, the same for every attempt.
    pub picked: Picked<Rules>,
    /// Breaks ties.
    pub seed: u64,
    /// When the caller gives up.
    pub deadline: Option<Deadline>,
    /// Attempts that whoever asks made before.
    pub previous_attempts: u32,
    /// When it came.
    came: Instant,
}

/// What was decided.
#[derive(Debug)]
pub struct Weighed {
    /// The decision.
    pub decision: Decision,
    /// How long it took, microseconds; it travels with the decision.
    pub decide_us: u32,
    /// What hangs on it.
    pub stake: Stake,
}

// === impl Asked ===

impl Asked {
    /// A request that was taken in, with the facts that its hop made of it.
    #[must_use]
    pub fn new(desk: &Desk, reading: Reading, mut facts: Facts, deadline: Option<Deadline>) -> Self {
        let Reading { mut request, signals, output_tokens_default, seed, lot, .. } = reading;
        request.signals = Some(signals);
        facts.output_tokens_default = Some(output_tokens_default);
        let picked = desk.pick(lot);
        Self { request, facts, picked, seed, deadline, previous_attempts: 0, came: Instant::now() }
    }

    /// Whether the time that the caller gave is over; what is left of it becomes a fact.
    pub fn is_late(&mut self) -> bool {
        self.facts.deadline_seconds = self.deadline.map(|deadline| deadline.remaining().as_secs_f64());
        self.deadline.is_some_and(Deadline::is_past)
    }
}

// === impl Desk ===

impl Desk {
    /// Decides. `first`: nothing was tried before. `again` decides the same under another policy, of which the hop may
    /// see its places otherwise.
    pub fn weigh(
        &self,
        asked: &mut Asked,
        candidates: &[Candidate],
        first: bool,
        again: impl Fn(&Asked, &Rules) -> Decision,
    ) -> Weighed {
        let span = if mesh::telemetry::is_recorded() { decide_span() } else { Span::none() };
        let _entered = span.enter();
        let before = Instant::now();
        let parts = &*self.parts;
        let rules = asked.picked.rules.clone();
        let excluded = asked.facts.excluded.len();
        let (decision, hold) = parts.budgets.decide(&rules, &mut asked.facts, candidates, asked.seed);
        let took = before.elapsed();
        let decide_us = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        if !span.is_none() {
            record(&span, &decision);
        }
        if let Some(meters) = &parts.meters {
            meters.decided(&decision, took);
        }
        if let Some(shadow) = asked.picked.shadow.as_ref().filter(|_| first) {
            let other = again(asked, shadow);
            parts.policies.compare(&decision.class, tier(&decision), tier(&other));
        }
        let chance = asked.picked.instead.as_ref().filter(|_| parts.log.is_some());
        let propensity = chance.map(|(rules, chance)| {
            let same = place(&again(asked, rules)) == place(&decision);
            if same { 1.0 } else { 1.0 - chance }
        });
        let pending = Pending::new(&parts.log, &decision, (parts.hop, &asked.request), propensity);
        // What was too dear for a budget's rest may be paid by the next attempt.
        asked.facts.excluded.truncate(excluded);
        let chosen = decision.place.as_ref().and_then(|place| rules.tier(&place.tier));
        let price = chosen.map(|tier| tier.price_for(rules.class_of(&asked.facts))).unwrap_or_default();
        let counts = Counts::new(&decision);
        let so_far = v1::Usage { prompt_tokens: counts.prompt_tokens, ..v1::Usage::default() };
        let course = Course::new(parts.meters.as_ref(), &decision, asked.came);
        let desk = self.clone();
        let stake = Stake { desk, course, pending, hold, trial: None, price, counts, so_far, resumed: false };
        Weighed { decision, decide_us, stake }
    }
}

fn tier(decision: &Decision) -> Option<&str> {
    decision.place.as_ref().map(|place| place.tier.as_str())
}

fn place(decision: &Decision) -> Option<&str> {
    decision.place.as_ref().map(|place| place.place.as_str())
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

/// All at once: whoever listens looks the span up once.
fn record(span: &Span, decision: &Decision) {
    let winner = decision.winner();
    tracing::record_all!(
        span,
        causeway.decision.class = decision.class.as_str(),
        causeway.decision.policy_hash = decision.trail.policy_hash.as_str(),
        causeway.decision.candidates = decision.trail.candidates.len(),
        causeway.decision.margin_usd = decision.trail.margin_usd,
        causeway.decision.place = winner.map(|winner| winner.candidate.place.as_str()),
        causeway.decision.price_usd = winner.map(|winner| winner.columns.price_usd),
        causeway.decision.waiting_usd = winner.map(|winner| winner.columns.waiting_usd),
        causeway.decision.wrong_usd = winner.map(|winner| winner.columns.wrong_usd),
    );
}
