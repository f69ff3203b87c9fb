//! A budget of retries: how many calls may be made again, as a share of those that are made for the first time.
//!
//! The rule is that of Finagle's `RetryBudget`, which tower's `TpsBudget` follows: each first call pays in a share of a
//! retry, so many a second are free, and what was paid in or taken out is forgotten after ten seconds. Attempts carry how
//! many were made before them (`grpc-previous-rpc-attempts` of gRPC's proposal A6), so that a hop which takes in a retry
//! counts it as one, and two hops that both retry do not multiply.

use std::sync::LazyLock;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

use crate::admit::RETRY_PUSHBACK;
use crate::telemetry::{About, Attribute, Counter, Meter};

/// The metadata that says how many attempts were made before this one.
pub const PREVIOUS_ATTEMPTS: &str = "grpc-previous-rpc-attempts";
/// What a server says instead of a time where no retry is wanted: any negative number, says the proposal.
pub const NO_RETRY: &str = "-1";

/// How long a call or a retry is counted.
const WINDOW: Duration = Duration::from_secs(10);
/// The window is forgotten in so many parts.
const SLOTS: usize = 10;
/// A retry, in the unit of the counts.
const RETRY: i64 = 1_000;

const ATTEMPTS: About = About {
    name: "causeway.retry.count",
    unit: "{attempt}",
    description: "Attempts after the first that were due, by what they are for and whether their budget allowed them.",
};

static COUNTER: LazyLock<Option<Counter>> = LazyLock::new(|| Some(Meter::of_process()?.counter(ATTEMPTS)));

/// Retries that may still be made. Nothing waits for it: without money there is no retry.
#[derive(Debug)]
pub struct Budget {
    /// What it is for, as its numbers say.
    kind: &'static str,
    /// What a first call pays in.
    deposit: i64,
    /// What is there without any call.
    reserve: i64,
    slot: Duration,
    began: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    slots: [i64; SLOTS],
    /// Their sum.
    balance: i64,
    /// The present one, counted from the beginning.
    number: u64,
}

// === impl Budget ===

impl Budget {
    /// `percent` retries for every hundred first calls, and `per_second` besides, both over ten seconds.
    #[must_use]
    pub fn new(percent: f64, per_second: u32) -> Self {
        // Within what `i64` holds: a share that is no number is none.
        let deposit = (percent.clamp(0.0, 1e6) * RETRY as f64 / 100.0) as i64;
        let reserve = i64::from(per_second) * WINDOW.as_secs() as i64 * RETRY;
        let slot = WINDOW / SLOTS as u32;
        Self { kind: "retry", deposit, reserve, slot, began: Instant::now(), state: Mutex::default() }
    }

    /// A budget of second attempts beside first ones that are late.
    #[must_use]
    pub fn of_hedges(percent: f64) -> Self {
        Self { kind: "hedge", ..Self::new(percent, 0) }
    }

    /// A first call is made.
    pub fn deposit(&self) {
        self.change(self.deposit);
    }

    /// Takes a retry out; false: there is none left, and the call is not to be made again.
    #[must_use]
    pub fn withdraw(&self) -> bool {
        let mut state = self.state();
        let allowed = state.balance + self.reserve >= RETRY;
        if allowed {
            state.add(-RETRY);
        }
        drop(state);
        if let Some(counter) = &*COUNTER {
            let kind = Attribute::new("causeway.retry.kind", self.kind);
            counter.add(1, &[kind, Attribute::new("causeway.retry.allowed", allowed)]);
        }
        allowed
    }

    /// A retry that was taken out was not made after all.
    pub fn refund(&self) {
        self.change(RETRY);
    }

    /// Retries that are left.
    #[must_use]
    pub fn left(&self) -> u64 {
        u64::try_from((self.state().balance + self.reserve) / RETRY).unwrap_or(0)
    }

    fn change(&self, by: i64) {
        self.state().add(by);
    }

    /// The counts, without those that are too old.
    fn state(&self) -> parking_lot::MutexGuard<'_, State> {
        let elapsed = Instant::now().saturating_duration_since(self.began);
        let number = u64::try_from(elapsed.as_nanos() / self.slot.as_nanos().max(1)).unwrap_or(u64::MAX);
        let mut state = self.state.lock();
        state.reach(number);
        state
    }
}

// === impl State ===

impl State {
    fn reach(&mut self, number: u64) {
        let passed = number.saturating_sub(self.number).min(SLOTS as u64);
        for step in 0..passed {
            let index = index(number - step);
            self.balance -= self.slots[index];
            self.slots[index] = 0;
        }
        self.number = self.number.max(number);
    }

    fn add(&mut self, by: i64) {
        self.slots[index(self.number)] += by;
        self.balance += by;
    }
}

fn index(number: u64) -> usize {
    // Less than the count of slots.
    (number % SLOTS as u64) as usize
}

/// Attempts that whoever calls made before; what is no number counts as none.
#[must_use]
pub fn previous_attempts(metadata: &MetadataMap) -> u32 {
    let given = metadata.get(PREVIOUS_ATTEMPTS).and_then(|value| value.to_str().ok());
    given.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Tells whoever is called that this is attempt `previous` + 1.
pub fn follow<T>(request: &mut Request<T>, previous: u32) {
    if previous > 0 {
        request.metadata_mut().insert(PREVIOUS_ATTEMPTS, previous.into());
    }
}

/// Tells the caller not to make the call again.
pub fn forbid(status: &mut Status) {
    status.metadata_mut().insert(RETRY_PUSHBACK, tonic::metadata::MetadataValue::from_static(NO_RETRY));
}

/// Whether whoever refused the call wants it not to be made again, there or at its like.
#[must_use]
pub fn is_forbidden(status: &Status) -> bool {
    let given = status.metadata().get(RETRY_PUSHBACK).and_then(|value| value.to_str().ok());
    given.is_some_and(|text| text.starts_with('-'))
}

#[cfg(test)]
mod tests;
