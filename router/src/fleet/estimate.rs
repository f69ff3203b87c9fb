//! How long a worker would take: from its report, from what this router sent it since, and from what it was seen to do.

use std::time::Duration;

use policy::Latency;

use super::report::Heard;

/// Nothing is expected to take longer, seconds.
const SECONDS_MAX: f64 = 3600.0;
/// An answer's tokens until answers were seen.
const OUTPUT_TOKENS_PRIOR: f64 = 64.0;
/// A worker that has measured nothing is taken to be this much slower than those that have.
const UNMEASURED_FACTOR: f64 = 2.0;
/// The least weight of a new observation: about the last ten count.
const NEWEST_WEIGHT_MIN: f64 = 0.1;
/// One observation counts as no more than this factor over what was known, so that a stall is not taken for a rate.
const RATIO_MAX: f64 = 4.0;
/// What one observation may always add to the seconds of travel.
const TRAVEL_STEP: f64 = 0.1;
/// What was learned of travel is half forgotten after so long without an answer: a worker that was slow once must
/// be asked again to be seen as mended.
const HALF_LIFE: Duration = Duration::from_secs(30);

/// What a token costs in time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rates {
    /// Seconds for each prompt token that is not cached.
    pub(super) prompt_token: f64,
    /// Seconds for each output token at the present batch.
    pub(super) output_token: f64,
}

/// What this router has with a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    /// Requests not yet ended.
    pub(super) in_flight: u32,
    /// Of these, sent since the last report and without a first token so far.
    pub(super) requests_since: u32,
    /// Their prompt tokens.
    pub(super) tokens_since: u64,
}

/// What a worker was seen to do.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Learned {
    queue_ratio: Average,
    travel_seconds: Average,
    output_token_ratio: Average,
    output_tokens: Average,
}

/// A mean in which the newest observations weigh most.
#[derive(Clone, Copy, Debug, Default)]
struct Average {
    value: f64,
    observations: u32,
}

/// The latency that a worker's own numbers imply. `pool` stands in for rates that it has not measured; where that is
/// not known either, nothing is.
pub(super) fn implied(heard: &Heard, sent: Sent, learned: &Learned, pool: Option<Rates>) -> Option<Latency> {
    let pooled = |rate: fn(Rates) -> f64| pool.map(|pool| rate(pool) * UNMEASURED_FACTOR);
    let prompt_token = heard.seconds_per_prompt_token.or_else(|| pooled(|pool| pool.prompt_token))?;
    let output_token = heard.seconds_per_output_token.or_else(|| pooled(|pool| pool.output_token))?;
    // The report may not have seen yet what this router sent, and other routers' work is seen by the report only.
    let reported = heard.running.saturating_add(heard.waiting).saturating_add(sent.requests_since);
    let busy = reported.max(sent.in_flight);
    let (ahead, slots) = match heard.running_max {
        0 => (heard.waiting, heard.running.max(1)),
        slots => (busy.saturating_add(1).saturating_sub(slots), slots),
    };
    let prefill = (heard.queued_tokens as f64 + sent.tokens_since as f64) * prompt_token;
    let answers = f64::from(ahead) / f64::from(slots) * learned.answer_tokens() * output_token;
    Some(Latency {
        queue_seconds: bounded(prefill + answers),
        network_seconds: 0.0,
        prefill_seconds_per_token: bounded(prompt_token),
        seconds_per_output_token: bounded(output_token),
    })
}

/// The mean of what workers have measured, each its seconds per prompt token and per output token; `None`: none has.
pub(super) fn pool(measured: impl Iterator<Item = [Option<f64>; 2]>) -> Option<Rates> {
    let mut sums = [(0.0, 0_u32); 2];
    for one in measured {
        for ((sum, count), seconds) in sums.iter_mut().zip(one) {
            if let Some(seconds) = seconds {
                *sum += seconds;
                *count += 1;
            }
        }
    }
    let mean = |(sum, count): (f64, u32)| (count > 0).then(|| sum / f64::from(count));
    Some(Rates { prompt_token: mean(sums[0])?, output_token: mean(sums[1])? })
}

// === impl Learned ===

impl Learned {
    /// What to expect, given what earlier expectations were worth; `idle` is the time since the last lesson.
    pub(super) fn corrected(&self, implied: &Latency, idle: Duration) -> Latency {
        let kept = (-idle.as_secs_f64() / HALF_LIFE.as_secs_f64()).exp2();
        Latency {
            queue_seconds: bounded(implied.queue_seconds * self.queue_ratio.or(1.0)),
            network_seconds: bounded(implied.network_seconds + self.travel_seconds.or(0.0) * kept),
            prefill_seconds_per_token: implied.prefill_seconds_per_token,
            seconds_per_output_token: bounded(
                implied.seconds_per_output_token * self.output_token_ratio.or(1.0),
            ),
        }
    }

    /// A first token came after `seconds`, where `queue` were implied before prefill and `prefill` for it. What an
    /// empty worker takes longer is travel; what a full one takes longer or shorter is the queue's.
    pub(super) fn first_token(&mut self, seconds: f64, queue: f64, prefill: f64) {
        let known = self.travel_seconds.or(0.0);
        if queue > prefill + known {
            self.queue_ratio.observe_ratio(seconds - prefill - known, queue);
        } else {
            let extra = (seconds - queue - prefill).clamp(0.0, known * RATIO_MAX + TRAVEL_STEP);
            self.travel_seconds.observe(extra);
        }
    }

    /// Output tokens came at `seconds` each where `expected` were implied.
    pub(super) fn output_token(&mut self, seconds: f64, expected: f64) {
        self.output_token_ratio.observe_ratio(seconds, expected);
    }

    /// An answer had this many tokens.
    pub(super) fn answer(&mut self, tokens: u32) {
        self.output_tokens.observe(f64::from(tokens));
    }

    fn answer_tokens(&self) -> f64 {
        self.output_tokens.or(OUTPUT_TOKENS_PRIOR)
    }
}

// === impl Average ===

impl Average {
    fn observe(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        self.observations = self.observations.saturating_add(1);
        let weight = f64::from(self.observations).recip().max(NEWEST_WEIGHT_MIN);
        self.value += (value - self.value) * weight;
    }

    fn observe_ratio(&mut self, seconds: f64, expected: f64) {
        self.observe((seconds / expected).clamp(RATIO_MAX.recip(), RATIO_MAX));
    }

    fn or(&self, unseen: f64) -> f64 {
        if self.observations == 0 { unseen } else { self.value }
    }
}

fn bounded(seconds: f64) -> f64 {
    if seconds.is_nan() { SECONDS_MAX } else { seconds.clamp(0.0, SECONDS_MAX) }
}

#[cfg(test)]
mod tests;
