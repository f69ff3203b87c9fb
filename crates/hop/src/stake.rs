//! What hangs on one attempt: the line of its decision, what is held for it, the policy that is tried with it.

use mesh::rollout::Trial;
use mesh::telemetry::Attribute;
use policy::{Decision, Name, Price};
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
    /// What its place was taken to count, and may.
    pub(crate) counts: Counts,
    /// What was shown so far.
    pub(crate) so_far: v1::Usage,
    /// Its prompt was paid for at the place that it goes on after.
    pub(crate) resumed: bool,
}

/// Tokens of an attempt, as they were decided by.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// The place that was chosen.
    place: Name,
    /// Tokens of the prompt as they were estimated.
    estimated: u32,
    /// The same as the place was taken to count them.
    pub(crate) prompt_tokens: u32,
    /// The most that it may produce, where the request names a price.
    output_tokens_max: Option<u32>,
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

    /// Tokens of the prompt as the place is taken to count them.
    #[must_use]
    pub fn prompt_tokens(&self) -> u32 {
        self.counts.prompt_tokens
    }

    /// Bounds the answer by what the price that the request names buys at this place.
    pub fn bind(&self, request: &mut v1::GenerateRequest) {
        if let Some(most) = self.counts.output_tokens_max {
            request.sampling.get_or_insert_default().max_tokens = Some(most);
        }
    }

    /// The answer has begun. `trial` takes its outcome, where a canary is being judged.
    #[must_use]
    pub fn begun(mut self, trial: Option<Trial>) -> Self {
        self.pending.begun();
        self.course.begun();
        self.trial = trial;
        self
    }

    /// The answer goes on here after another place was lost: its caller does not pay for the prompt twice.
    #[must_use]
    pub fn resumed(mut self) -> Self {
        self.resumed = true;
        self.so_far.prompt_tokens = 0;
        self.begun(None)
    }

    /// What these tokens cost here, US dollars.
    #[must_use]
    pub fn costs(&self, usage: &v1::Usage) -> f64 {
        let output_only = v1::Usage { output_tokens: usage.output_tokens, ..v1::Usage::default() };
        usd(&self.price, if self.resumed { &output_only } else { usage })
    }

    /// So many tokens are shown to the caller.
    pub fn shows(&mut self, tokens: u32) {
        self.so_far.output_tokens = self.so_far.output_tokens.saturating_add(tokens);
        self.hold.cost(usd(&self.price, &self.so_far));
    }

    /// The answer is complete: feedback may be given on it from now on.
    pub fn done(mut self, request_id: &str, done: &v1::Done) {
        if done.finish_reason() == v1::FinishReason::Interrupted {
            self.hold.cost(done.price_usd);
            return self.failed();
        }
        let usage = done.usage.unwrap_or_default();
        self.counts.learn(&self.desk, done);
        self.desk.remember(request_id);
        self.hold.cost(done.price_usd);
        self.course.done(&usage);
        self.pending.done(request_id, done.price_usd, usage.output_tokens);
        if let Some(trial) = self.trial {
            trial.answered(done.price_usd);
        }
    }

    /// The place was lost: what its answer comes to, of which the caller has seen a part. `place` and `model_hash` are those
    /// of `started`.
    #[must_use]
    pub fn interrupted(self, started: &v1::Started) -> v1::Done {
        let price_usd = usd(&self.price, &self.so_far);
        let usage = Some(self.so_far);
        self.failed();
        v1::Done {
            usage,
            finish_reason: v1::FinishReason::Interrupted.into(),
            place: started.place.clone(),
            model_hash: started.model_hash.clone(),
            price_usd,
            ..v1::Done::default()
        }
    }

    /// Another attempt beside it began first: its prompt is taken to have been computed all the same. What that costs,
    /// US dollars.
    #[must_use]
    pub fn outrun(mut self) -> f64 {
        let usd = usd(&self.price, &self.so_far);
        self.hold.cost(usd);
        self.course.fail("outrun");
        usd
    }

    /// The answer broke off.
    pub fn failed(mut self) {
        self.course.fail("broken");
        if let Some(trial) = self.trial {
            trial.failed();
        }
    }
}

// === impl Counts ===

impl Counts {
    /// Of the place that was chosen.
    pub(crate) fn new(decision: &Decision) -> Self {
        let Some(winner) = decision.winner() else { return Self::default() };
        Self {
            place: winner.candidate.place.clone(),
            estimated: decision.trail.facts.prompt_tokens,
            prompt_tokens: winner.inputs.prompt_tokens,
            output_tokens_max: winner.inputs.output_tokens_max,
        }
    }

    /// What the place counted. A tier that was chosen here may have been changed for another by the hop that answered.
    fn learn(&self, desk: &Desk, done: &v1::Done) {
        let counted = done.usage.unwrap_or_default().prompt_tokens;
        let tier = done.place.split_once('/').map(|(tier, _)| tier);
        let place = match tier {
            Some(tier) if !self.place.contains('/') => tier.into(),
            _ => self.place.clone(),
        };
        desk.parts.vocabularies.learn(&place, self.estimated, counted);
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
