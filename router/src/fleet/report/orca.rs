//! What a worker of any make says of itself by ORCA, in the terms of the reports of this project's own.

use std::time::Duration;

use proto::orca::{self, Metric, OrcaLoadReport};
use proto::v1;

use super::{
    Doubt, Heard, INTERVAL, PREFILL_RATE, SEQUENCES_MAX, TOKEN_SECONDS, TOKENS_MAX, batch_line, measured,
    shorten,
};

/// From here on what is in use no longer tells how much is waiting.
const UTILIZATION_FULL: f64 = 0.95;
/// More than so many times what it can take, no worker has taken.
const UTILIZATION_MAX: f64 = 100.0;
/// What a share of failed answers adds to what is in use (gRPC proposal A58, its default).
const ERROR_PENALTY: f64 = 1.0;

/// What is known of a report besides what it holds.
#[derive(Clone, Debug, Default)]
pub(in crate::fleet) struct Circumstances {
    /// Until the next one, unless it says so itself.
    pub(in crate::fleet) interval: Duration,
    /// What the worker serves: ORCA has no word for it.
    pub(in crate::fleet) model: Option<v1::ModelDescription>,
}

// === impl Heard ===

impl Heard {
    /// Reads a report; what cannot be true is left out and listed.
    pub(in crate::fleet) fn from_orca(
        report: &OrcaLoadReport,
        circumstances: Circumstances,
    ) -> (Self, Vec<Doubt>) {
        let mut doubts = Vec::new();
        let said = |metric: Metric| report.named_metrics.get(metric.name).copied();
        let mut count = |metric: Metric, max: f64| {
            said(metric).and_then(|value| level(metric.name, value, max, &mut doubts))
        };
        let sequences = f64::from(SEQUENCES_MAX);
        let counted = (count(orca::RUNNING, sequences), count(orca::WAITING, sequences));
        let running_max = count(orca::RUNNING_MAX, sequences).unwrap_or(0.0);
        let queued_tokens = count(orca::QUEUED_TOKENS, TOKENS_MAX as f64).unwrap_or(0.0);
        let cache_tokens_max = count(orca::CACHE_TOKENS_MAX, TOKENS_MAX as f64).unwrap_or(0.0);
        let draining = count(orca::DRAINING, 1.0).is_some_and(|draining| draining >= 0.5);
        let interval =
            count(orca::INTERVAL_SECONDS, INTERVAL.1.as_secs_f64()).filter(|seconds| *seconds > 0.0);
        let requests = match counted {
            (None, None) => requests(report, &mut doubts),
            (running, waiting) => Some((running.unwrap_or(0.0), waiting.unwrap_or(0.0))),
        };
        let mut rate = |metric: Metric, possible| {
            measured(metric.name, said(metric).unwrap_or(0.0), possible, &mut doubts)
        };
        let prefill_rate = rate(orca::PREFILL_RATE, &PREFILL_RATE);
        let seconds_per_output_token = rate(orca::OUTPUT_TOKEN_SECONDS, &TOKEN_SECONDS);
        let name = orca::OUTPUT_TOKEN_SECONDS.name;
        let by_batch = batch_line(name, batch_times(report), &mut doubts);
        let (running, waiting) = requests.unwrap_or_default();
        let interval = interval.map_or(circumstances.interval, Duration::from_secs_f64);
        // The casts saturate, and all of these are bounded above.
        let heard = Self {
            interval: interval.clamp(INTERVAL.0, INTERVAL.1),
            model: circumstances.model.map(shorten),
            load_known: requests.is_some(),
            running: running.round() as u32,
            waiting: waiting.round() as u32,
            running_max: running_max as u32,
            queued_tokens: queued_tokens as u64,
            cache_tokens_max: cache_tokens_max as u64,
            seconds_per_prompt_token: prefill_rate.map(f64::recip),
            seconds_per_output_token,
            by_batch,
            draining,
        };
        (heard, doubts)
    }
}

/// Times per output token with the size of the batch behind their names.
fn batch_times(report: &OrcaLoadReport) -> impl Iterator<Item = (u32, f64)> + '_ {
    report.named_metrics.iter().filter_map(|(name, seconds)| {
        let requests = name.strip_prefix(orca::OUTPUT_TOKEN_SECONDS.name)?.strip_prefix('.')?;
        Some((requests.parse().ok()?, *seconds))
    })
}

/// Requests that run and wait at a worker that tells only how much of it is in use; `None`: not even that.
///
/// Where ρ of a server is in use, ρ² / (1 − ρ) requests wait for it on average (M/M/1; Kleinrock 1975). Servers that
/// answer many at a time do better than that: what was not said is costed, not hoped for. What is asked of it beyond all
/// that it can take waits as well.
fn requests(report: &OrcaLoadReport, doubts: &mut Vec<Doubt>) -> Option<(f64, f64)> {
    let mut said = |field, value: f64, max| match value {
        // Unsaid.
        0.0 => None,
        value => level(field, value, max, doubts),
    };
    let application = said("application_utilization", report.application_utilization, UTILIZATION_MAX);
    let processors = said("cpu_utilization", report.cpu_utilization, UTILIZATION_MAX);
    let (all, failed) = (said("rps_fractional", report.rps_fractional, 1e9), said("eps", report.eps, 1e9));
    let errors = failed.zip(all).map_or(0.0, |(failed, all)| (failed / all).min(1.0));
    // Whoever fails fast has little in use and is not to be sought for it.
    let used = application.or(processors)? + errors * ERROR_PENALTY;
    let within = used.min(UTILIZATION_FULL);
    let waiting = within * within / (1.0 - within);
    // Whoever has anything in use has at least one.
    Some((1.0, (waiting + (used - 1.0).max(0.0) * (waiting + 1.0)).round()))
}

/// A level that may be 0; one that is no number, or less, or more than there can be, was not said.
fn level(field: &'static str, said: f64, max: f64, doubts: &mut Vec<Doubt>) -> Option<f64> {
    // NaN is in no range.
    let possible = (0.0..=max).contains(&said);
    if !possible {
        doubts.push(Doubt { field, said });
    }
    possible.then_some(said)
}

#[cfg(test)]
mod tests;
