//! What hangs on one attempt: the line of its decision, what is held for it, the policy that is tried with it.

use mesh::rollout::Trial;
use mesh::telemetry::Attribute;
use policy::{Decision, Price};
use proto::v1;
use tokio::time::Instant;

use crate::budgets::Hold;
use crate::desk::Desk;
use crate::log::Pending;
use crate::meters::{Meters, Times};

/// One attempt's stake. Dropped before its answer is complete, it is settled by what was shown until then.
#[derive(Debug)]
pub struct Stake {
    pub(crate) desk: Desk,
    pub(crate) course: Course,
    pub(crate) pending: Pending,
    pub(crate) hold: Hold,
    pub(crate) trial: Option<Trial>,
    /// What its tokens cost.
    pub(crate) price: Price,
    /// What was shown so far.
    pub(crate) so_far: v1::Usage,
}

/// How an attempt runs, for those who measure it; without them it is empty. Dropped before its end, it was given up.
#[derive(Debug)]
pub(crate) struct Course(Option<Measured>);

#[derive(Debug)]
struct Measured {
    meters: Meters,
    labels: Vec<Attribute>,
    asked: Instant,
    decided: Instant,
    first: Option<Instant>,
}

/// What tokens cost at these prices, US dollars.
#[must_use]
pub fn usd(price: &Price, usage: &v1::Usage) -> f64 {
    let cached = usage.cached_prompt_tokens.min(usage.prompt_tokens);
    let millionths = f64::from(usage.prompt_tokens - cached) * price.input_usd_per_million_tokens
        + f64::from(cached) * price.cached_input_usd_per_million_tokens
        + f64::from(usage.output_tokens) * price.output_usd_per_million_tokens;
    millionths / 1e6
}

// === impl Stake ===

impl Stake {
    /// What the place's tokens cost.
    #[must_use]
    pub fn price(&self) -> &Price {
        &self.price
    }

    /// The answer has begun. `trial` takes its outcome, where a canary is being judged.
    #[must_use]
    pub fn begun(mut self, trial: Option<Trial>) -> Self {
        self.pending.begun();
        self.course.begun();
        self.trial = trial;
        self
    }

    /// So many tokens are shown to the caller.
    pub fn shows(&mut self, tokens: u32) {
        self.so_far.output_tokens = self.so_far.output_tokens.saturating_add(tokens);
        self.hold.cost(usd(&self.price, &self.so_far));
    }

    /// The answer is complete: feedback may be given on it from now on.
    pub fn done(mut self, request_id: &str, done: &v1::Done) {
        let usage = done.usage.unwrap_or_default();
        self.desk.remember(request_id);
        self.hold.cost(done.price_usd);
        self.course.done(&usage);
        self.pending.done(request_id, done.price_usd, usage.output_tokens);
        if let Some(trial) = self.trial {
            trial.answered(done.price_usd);
        }
    }

    /// The answer broke off.
    pub fn failed(mut self) {
        self.course.fail("broken");
        if let Some(trial) = self.trial {
            trial.failed();
        }
    }
}

// === impl Course ===

impl Course {
    /// Of a decision on a request that came at `asked`.
    pub(crate) fn new(meters: Option<&Meters>, decision: &Decision, asked: Instant) -> Self {
        let placed = meters.filter(|_| decision.place.is_some());
        Self(placed.map(|meters| Measured {
            meters: meters.clone(),
            labels: meters.labels(decision),
            asked,
            decided: Instant::now(),
            first: None,
        }))
    }

    fn begun(&mut self) {
        if let Some(measured) = &mut self.0 {
            measured.first.get_or_insert_with(Instant::now);
        }
    }

    fn done(&mut self, usage: &v1::Usage) {
        if let Some(measured) = self.0.take() {
            measured.meters.answered(&measured.labels, usage, measured.times());
        }
    }

    fn fail(&mut self, error: &'static str) {
        if let Some(measured) = self.0.take() {
            let begun = measured.first.is_some();
            measured.meters.failed(&measured.labels, error, (measured.times(), begun));
        }
    }
}

impl Drop for Course {
    fn drop(&mut self) {
        let begun = self.0.as_ref().is_some_and(|measured| measured.first.is_some());
        self.fail(if begun { "cancelled" } else { "not_begun" });
    }
}

// === impl Measured ===

impl Measured {
    fn times(&self) -> Times {
        Times {
            asked: self.asked.elapsed(),
            decided: self.decided.elapsed(),
            first: self.first.map(|first| first - self.asked),
        }
    }
}

#[cfg(test)]
mod tests;
