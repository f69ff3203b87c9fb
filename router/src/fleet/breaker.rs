//! One worker's breaker: after too many failures it is ejected, asked again one request at a time, and taken back.
//!
//! It trips on failures in a row, as linkerd's breaker does, and on the share of answers in a window, with few requests
//! needed: the outlier detection of gRPC (A50) and Envoy counts hosts and requests that a small fleet never has. Until it
//! trips, each failure weighs as time that the worker would take, so that one which fails fast does not look quick.

use std::fmt;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::Instant;

use crate::config::BreakerOptions;

/// The window is forgotten in so many parts.
const SLOTS: usize = 10;
/// Ejections give or take this share of their time, so that workers which fell together are not asked together.
const JITTER: f64 = 0.2;
/// A worker that served for so many of its longest ejections begins anew with the shortest.
const FORGIVEN_AFTER: u32 = 2;
/// And never sooner than this.
const FORGIVEN_AFTER_MIN: Duration = Duration::from_secs(60);
/// No worker comes back sooner than this after it came back before. Until then it is sent one request after the other.
const RETURN_MIN: Duration = Duration::from_secs(60);
/// Failures in a row that weigh each as one more.
const PENALTIES_MAX: u32 = 5;
/// In so much time a penalty halves.
const PENALTY_HALF_LIFE: Duration = Duration::from_millis(2_500);

/// The breaker of one worker.
#[derive(Debug)]
pub(super) struct Breaker {
    options: BreakerOptions,
    phase: Phase,
    in_a_row: u32,
    window: Window,
    /// Times that it was ejected without being forgiven since.
    ejections: u32,
    /// When it was last taken back; `None`: it was not since it was started.
    back_at: Option<Instant>,
    /// Counts the ends of phases: what began in an earlier one says nothing of this one.
    epoch: u32,
    penalty: (Duration, Instant),
    random: StdRng,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// It takes work, since this moment.
    Closed { since: Instant },
    /// It takes none until the moment, and then one request at a time.
    Open { until: Instant, cause: Cause, probing: bool },
}

/// Why it was ejected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cause {
    /// So many requests in a row failed.
    InARow(u32),
    /// Of so many, so many failed.
    Share { failed: u32, of: u32 },
}

/// What a breaker says of new work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Verdict {
    /// It takes none for so long, and why; zero: the one request that it is asked again with is under way.
    pub(super) ejected: Option<(Cause, Duration)>,
    /// It is weighed as if it took so much longer.
    pub(super) penalty: Duration,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// It was answered, be it by saying what is wrong with it.
    Answered,
    /// The worker, or the way there, failed.
    Failed,
    /// The worker takes no more, for so long as it said itself.
    Busy(Option<Duration>),
    /// Nobody knows.
    Unknown,
}

/// A change that operators are told of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Change {
    /// It is ejected for so long, having served before.
    Ejected(Cause, Duration),
    /// It serves again.
    Back,
}

/// A request's leave to go to the worker, handed back with what became of it.
#[derive(Debug)]
pub(super) struct Pass {
    epoch: u32,
    probe: bool,
}

/// Answers and failures of the last while.
#[derive(Debug)]
struct Window {
    slot: Duration,
    began: Instant,
    number: u64,
    slots: [[u32; 2]; SLOTS],
}

// === impl Breaker ===

impl Breaker {
    /// Of a worker that has not failed yet.
    pub(super) fn new(options: BreakerOptions, seed: u64, now: Instant) -> Self {
        let window = Window::new(Duration::from_millis(options.window_ms), now);
        let random = StdRng::seed_from_u64(seed);
        let (phase, penalty) = (Phase::Closed { since: now }, (Duration::ZERO, now));
        let (in_a_row, ejections, epoch, back_at) = (0, 0, 0, None);
        Self { options, phase, in_a_row, window, ejections, back_at, epoch, penalty, random }
    }

    /// Whether the worker takes another request.
    pub(super) fn verdict(&self, now: Instant) -> Verdict {
        match self.phase {
            Phase::Closed { .. } => Verdict { ejected: None, penalty: self.penalty(now) },
            // What it failed with before does not count against the one that asks whether it still does.
            Phase::Open { until, probing: false, .. } if until <= now => {
                Verdict { ejected: None, penalty: Duration::ZERO }
            }
            Phase::Open { until, cause, .. } => Verdict {
                ejected: Some((cause, until.saturating_duration_since(now))),
                // Where it is the one that stays, the other tiers are still to be preferred.
                penalty: self.penalty_of(PENALTIES_MAX),
            },
        }
    }

    /// The share of its requests that were answered lately: of two that are ejected the better is the one to keep.
    pub(super) fn success_rate(&mut self, now: Instant) -> f64 {
        let [answered, failed] = self.window.counts(now);
        f64::from(answered) / f64::from((answered + failed).max(1))
    }

    /// A request is about to be sent.
    pub(super) fn enter(&mut self, now: Instant) -> Pass {
        let mut probe = false;
        if let Phase::Open { until, probing, .. } = &mut self.phase
            && *until <= now
            && !*probing
        {
            (*probing, probe) = (true, true);
        }
        Pass { epoch: self.epoch, probe }
    }

    /// The request's first token came. One that was sent since the ejection ends it; where the worker came back only lately,
    /// it may have the next, and no more.
    pub(super) fn began(&mut self, pass: &Pass, now: Instant) -> Option<Change> {
        let Phase::Open { until, probing, .. } = &mut self.phase else { return None };
        if pass.epoch != self.epoch {
            return None;
        }
        if self.back_at.is_some_and(|at| now.saturating_duration_since(at) < RETURN_MIN) {
            (*until, *probing) = (now.min(*until), false);
            return None;
        }
        self.close(now);
        self.back_at = Some(now);
        Some(Change::Back)
    }

    /// The request has ended.
    pub(super) fn ended(&mut self, pass: &Pass, outcome: Outcome, now: Instant) -> Option<Change> {
        match outcome {
            Outcome::Answered => self.answered(pass, now),
            Outcome::Failed => self.failed(pass, now),
            Outcome::Busy(pushback) => {
                // No failure, though time that the worker would take.
                self.weigh(pushback.unwrap_or(self.penalty_of(1)), now);
                self.left(pass);
                None
            }
            Outcome::Unknown => {
                self.left(pass);
                None
            }
        }
    }

    /// The worker was gone and is there again: what the one before it did no longer counts, and it is asked at once.
    pub(super) fn returned(&mut self, now: Instant) {
        (self.in_a_row, self.back_at) = (0, None);
        self.penalty = (Duration::ZERO, now);
        self.window.clear();
        if let Phase::Open { until, probing, .. } = &mut self.phase {
            (*until, *probing) = (now.min(*until), false);
            self.epoch = self.epoch.wrapping_add(1);
        }
    }

    fn answered(&mut self, pass: &Pass, now: Instant) -> Option<Change> {
        let change = self.began(pass, now);
        self.in_a_row = 0;
        self.penalty = (Duration::ZERO, now);
        self.window.add(0, now);
        change
    }

    fn failed(&mut self, pass: &Pass, now: Instant) -> Option<Change> {
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.window.add(1, now);
        self.weigh(self.penalty_of(self.in_a_row), now);
        match self.phase {
            Phase::Closed { since } => {
                let cause = self.cause(now)?;
                let forgiven = (self.pause_of(self.ejections) * FORGIVEN_AFTER).max(FORGIVEN_AFTER_MIN);
                if now.saturating_duration_since(since) > forgiven {
                    self.ejections = 0;
                }
                Some(Change::Ejected(cause, self.open(cause, now)))
            }
            Phase::Open { cause, .. } if pass.probe && pass.epoch == self.epoch => {
                // Still the same ejection, which nobody has to be told of again.
                self.open(cause, now);
                None
            }
            Phase::Open { .. } => None,
        }
    }

    fn left(&mut self, pass: &Pass) {
        if let Phase::Open { probing, .. } = &mut self.phase
            && pass.probe
            && pass.epoch == self.epoch
        {
            *probing = false;
        }
    }

    fn cause(&mut self, now: Instant) -> Option<Cause> {
        if self.in_a_row >= self.options.failures_max {
            return Some(Cause::InARow(self.in_a_row));
        }
        let [answered, failed] = self.window.counts(now);
        let of = answered + failed;
        let poor = f64::from(answered) < f64::from(of) * self.options.success_rate_min;
        (of >= self.options.requests_min && poor).then_some(Cause::Share { failed, of })
    }

    /// Ejects; for how long.
    fn open(&mut self, cause: Cause, now: Instant) -> Duration {
        let pause =
            self.pause_of(self.ejections).mul_f64(self.random.random_range(1.0 - JITTER..1.0 + JITTER));
        self.ejections = self.ejections.saturating_add(1);
        self.epoch = self.epoch.wrapping_add(1);
        self.phase = Phase::Open { until: now + pause, cause, probing: false };
        pause
    }

    fn close(&mut self, now: Instant) {
        self.epoch = self.epoch.wrapping_add(1);
        self.phase = Phase::Closed { since: now };
        self.in_a_row = 0;
        self.penalty = (Duration::ZERO, now);
        self.window.clear();
    }

    /// How long the ejection after so many is.
    fn pause_of(&self, ejections: u32) -> Duration {
        let doubled = self.options.eject_min_ms.saturating_mul(1 << ejections.min(20));
        Duration::from_millis(doubled.min(self.options.eject_max_ms))
    }

    fn penalty(&self, now: Instant) -> Duration {
        let (penalty, at) = self.penalty;
        let halvings = now.saturating_duration_since(at).as_secs_f64() / PENALTY_HALF_LIFE.as_secs_f64();
        penalty.mul_f64((-halvings).exp2())
    }

    fn penalty_of(&self, failures: u32) -> Duration {
        Duration::from_millis(self.options.penalty_ms) * failures.min(PENALTIES_MAX)
    }

    fn weigh(&mut self, penalty: Duration, now: Instant) {
        self.penalty = (self.penalty(now).max(penalty), now);
    }
}

// === impl Cause ===

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InARow(failed) => write!(f, "{failed} requests in a row failed there"),
            Self::Share { failed, of } => write!(f, "{failed} of {of} requests failed there"),
        }
    }
}

// === impl Window ===

impl Window {
    fn new(length: Duration, now: Instant) -> Self {
        Self { slot: length / SLOTS as u32, began: now, number: 0, slots: [[0; 2]; SLOTS] }
    }

    fn add(&mut self, which: usize, now: Instant) {
        self.reach(now);
        let slot = &mut self.slots[(self.number % SLOTS as u64) as usize];
        slot[which] = slot[which].saturating_add(1);
    }

    /// Answered and failed.
    fn counts(&mut self, now: Instant) -> [u32; 2] {
        self.reach(now);
        self.slots.iter().fold([0, 0], |[a, b], slot| [a.saturating_add(slot[0]), b.saturating_add(slot[1])])
    }

    fn clear(&mut self) {
        self.slots = [[0; 2]; SLOTS];
    }

    fn reach(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.began).as_nanos();
        let number = u64::try_from(elapsed / self.slot.as_nanos().max(1)).unwrap_or(u64::MAX);
        for step in 0..number.saturating_sub(self.number).min(SLOTS as u64) {
            self.slots[((number - step) % SLOTS as u64) as usize] = [0; 2];
        }
        self.number = self.number.max(number);
    }
}

#[cfg(test)]
mod tests;
