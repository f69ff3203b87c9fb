//! One worker as this router knows it: how it is reached, what it last said, what it was sent, what it was seen to do.

use std::sync::Arc;
use std::time::Duration;

use mesh::connect::Channel;
use parking_lot::Mutex;
use policy::{Candidate, Kind, Latency, Load, Name};
use proto::v1;
use tokio::time::Instant;

use super::estimate::{self, Learned, Rates, Sent};
use super::lease::Lease;
use super::report::Heard;

/// A report is old when this many of its intervals have passed without the next, whatever the options say.
const INTERVALS_MISSED_MAX: u32 = 2;

/// Who a worker is, as configured.
#[derive(Debug)]
pub(super) struct Who {
    /// `tier/worker`.
    pub(super) place: Name,
    /// Its tier in the policy.
    pub(super) tier: Name,
    /// Where it computes.
    pub(super) region: Option<Name>,
    /// The way there, connected when first needed and again when lost.
    pub(super) channel: Channel,
}

/// One worker of the fleet.
#[derive(Debug)]
pub(super) struct Entry {
    /// Who it is.
    pub(super) who: Who,
    stale_after: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    link: Link,
    heard: Option<(Heard, Instant)>,
    /// Counts reports, so that a lease knows whether it began before the last one.
    epoch: u64,
    sent: Sent,
    learned: Learned,
    lessons: u64,
    learned_at: Instant,
    doubted: bool,
}

/// What is known of the way to a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Link {
    /// Never tried: it may well be there.
    Untried,
    /// It answers.
    Up,
    /// The last try failed.
    Down,
}

/// What a request was expected to take when it was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    pub(super) epoch: u64,
    /// `None`: nothing was known.
    pub(super) latency: Option<Latency>,
}

// === impl Entry ===

impl Entry {
    /// A worker that was never heard of.
    pub(super) fn new(who: Who, stale_after: Duration) -> Self {
        let state = State {
            link: Link::Untried,
            heard: None,
            epoch: 0,
            sent: Sent::default(),
            learned: Learned::default(),
            lessons: 0,
            learned_at: Instant::now(),
            doubted: false,
        };
        Self { who, stale_after, state: Mutex::new(state) }
    }

    /// The worker as the decision weighs it, in a tier of this kind. `pool` stands in for what it has not measured.
    pub(super) fn candidate(&self, kind: Kind, pool: Option<Rates>, now: Instant) -> Candidate {
        let state = self.state.lock();
        let mut candidate = Candidate::new(self.who.place.clone(), self.who.tier.clone(), kind);
        candidate.region = self.who.region.clone();
        candidate.healthy = state.link != Link::Down;
        if let Some((heard, _)) = &state.heard {
            candidate.healthy &= !heard.draining;
            candidate.context_tokens_max =
                heard.model.as_ref().map(|model| model.context_tokens_max).filter(|tokens| *tokens > 0);
        }
        if let Some(heard) = state.fresh(self.stale_after, now) {
            let idle = now.saturating_duration_since(state.learned_at);
            candidate.latency = estimate::implied(heard, state.sent, &state.learned, pool)
                .map(|implied| state.learned.corrected(&implied, idle));
            let waiting = heard.waiting.saturating_add(state.sent.requests_since);
            candidate.load = Some(Load { running: heard.running, waiting });
        }
        candidate
    }

    /// What it last said of its speed, if that may still be true.
    pub(super) fn measured(&self, now: Instant) -> [Option<f64>; 2] {
        self.state.lock().fresh(self.stale_after, now).map(Heard::measured).unwrap_or_default()
    }

    /// What it said that it serves, however long ago.
    pub(super) fn model(&self) -> Option<v1::ModelDescription> {
        self.state.lock().heard.as_ref().and_then(|(heard, _)| heard.model.clone())
    }

    /// How many lessons its corrections rest on.
    pub(super) fn lessons(&self) -> u64 {
        self.state.lock().lessons
    }

    /// Takes a report and says when the next is due.
    pub(super) fn hear(&self, report: v1::Report, interval_wanted: Duration, now: Instant) -> Duration {
        let (heard, doubts) = Heard::from_report(report, interval_wanted);
        let mut state = self.state.lock();
        if !doubts.is_empty() && !state.doubted {
            let doubts = doubts.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            tracing::warn!(place = %self.who.place, doubts, "a worker's report is believed in part only");
        }
        state.doubted = !doubts.is_empty();
        let interval = heard.interval;
        state.link = Link::Up;
        state.heard = Some((heard, now));
        state.epoch += 1;
        state.sent.requests_since = 0;
        state.sent.tokens_since = 0;
        interval
    }

    /// The worker answered, though not with a report.
    pub(super) fn reached(&self) {
        self.state.lock().link = Link::Up;
    }

    /// The worker cannot be reached; what it said before is no longer true.
    pub(super) fn lost(&self, reason: &str) {
        let mut state = self.state.lock();
        if state.link != Link::Down {
            tracing::warn!(place = %self.who.place, reason, "a worker is lost");
        }
        state.link = Link::Down;
    }

    /// Counts a request that is about to be sent, until the lease is dropped. What is expected of it rests on the
    /// worker's own numbers only: from those of others nothing could be learned about this one.
    pub(super) fn lease(self: &Arc<Self>, prompt_tokens: u32) -> Lease {
        let now = Instant::now();
        let mut state = self.state.lock();
        let latency = state
            .fresh(self.stale_after, now)
            .and_then(|heard| estimate::implied(heard, state.sent, &state.learned, None));
        let expected = Expected { epoch: state.epoch, latency };
        state.sent.in_flight = state.sent.in_flight.saturating_add(1);
        state.sent.requests_since = state.sent.requests_since.saturating_add(1);
        state.sent.tokens_since = state.sent.tokens_since.saturating_add(u64::from(prompt_tokens));
        drop(state);
        Lease::new(self.clone(), prompt_tokens, expected, now)
    }

    /// A leased request is no longer in the queue.
    pub(super) fn begun(&self, epoch: u64, prompt_tokens: u32) {
        let mut state = self.state.lock();
        if state.epoch == epoch {
            state.sent.requests_since = state.sent.requests_since.saturating_sub(1);
            state.sent.tokens_since = state.sent.tokens_since.saturating_sub(u64::from(prompt_tokens));
        }
    }

    /// A leased request has ended.
    pub(super) fn released(&self) {
        let mut state = self.state.lock();
        state.sent.in_flight = state.sent.in_flight.saturating_sub(1);
    }

    /// Something was learned of how fast it is.
    pub(super) fn learn(&self, lesson: impl FnOnce(&mut Learned)) {
        let mut state = self.state.lock();
        lesson(&mut state.learned);
        state.lessons += 1;
        state.learned_at = Instant::now();
    }
}

// === impl State ===

impl State {
    fn fresh(&self, stale_after: Duration, now: Instant) -> Option<&Heard> {
        let (heard, at) = self.heard.as_ref()?;
        let lifetime = stale_after.max(heard.interval * INTERVALS_MISSED_MAX);
        (self.link == Link::Up && now.saturating_duration_since(*at) <= lifetime).then_some(heard)
    }
}
