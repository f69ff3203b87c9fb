//! What a worker says of itself, believed only as far as it can be true.

mod orca;

use std::fmt;
use std::time::Duration;

use proto::v1;

pub(super) use self::orca::Circumstances;
use super::predict::{BatchLine, Said};

/// Longest model name, architecture, hash or quantisation that is kept, bytes.
const TEXT_BYTES_MAX: usize = 256;
/// No worker holds more sequences at once.
const SEQUENCES_MAX: u32 = 1 << 20;
/// No worker holds more tokens.
const TOKENS_MAX: u64 = 1 << 40;
/// Sizes of batches that are looked at in one report: more than there are powers of two below the bound above.
const BATCHES_MAX: usize = 32;
/// Prefill rates that a machine can have, tokens a second.
const PREFILL_RATE: std::ops::RangeInclusive<f64> = 0.01..=1e8;
/// Times per output token that a machine can have, seconds.
const TOKEN_SECONDS: std::ops::RangeInclusive<f64> = 1e-7..=100.0;
/// Intervals between reports that are waited for.
const INTERVAL: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(60));

/// One report after every number in it was checked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Heard {
    /// Until the next report.
    pub(super) interval: Duration,
    /// What it serves.
    pub(super) model: Option<v1::ModelDescription>,
    /// Whether the counts below were said at all, or follow from what was.
    pub(super) load_known: bool,
    /// Sequences in the batch.
    pub(super) running: u32,
    /// Sequences that wait for it.
    pub(super) waiting: u32,
    /// Sequences that may run at once; 0: not said.
    pub(super) running_max: u32,
    /// Prompt tokens not yet prefilled.
    pub(super) queued_tokens: u64,
    /// Room for keys and values, tokens; 0: not said.
    pub(super) cache_tokens_max: u64,
    /// Seconds for each prompt token; `None`: not measured, or not to be believed.
    pub(super) seconds_per_prompt_token: Option<f64>,
    /// Seconds for each output token at the present batch; `None`: not measured, or not to be believed.
    pub(super) seconds_per_output_token: Option<f64>,
    /// The same by the size of the batch; `None`: not measured at two sizes.
    pub(super) by_batch: Option<BatchLine>,
    /// It takes no new work.
    pub(super) draining: bool,
}

/// A number in a report that cannot be true.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Doubt {
    /// The field of the report.
    pub(super) field: &'static str,
    /// What it held.
    pub(super) said: f64,
}

/// What a router does not believe of a report, in words; empty: all of it could be true.
#[must_use]
pub fn doubts(report: v1::Report) -> Vec<String> {
    let (_, doubts) = Heard::from_report(report, INTERVAL.0);
    doubts.iter().map(ToString::to_string).collect()
}

// === impl Heard ===

impl Heard {
    /// Reads a report; what cannot be true is left out, or held to its bound, and listed.
    pub(super) fn from_report(report: v1::Report, interval_wanted: Duration) -> (Self, Vec<Doubt>) {
        let mut doubts = Vec::new();
        let interval = match report.interval_ms {
            0 => interval_wanted,
            ms => Duration::from_millis(u64::from(ms)),
        };
        let rate = measured(
            "prefill_tokens_per_second",
            report.prefill_tokens_per_second.into(),
            &PREFILL_RATE,
            &mut doubts,
        );
        let by_batch =
            report.batch_times.iter().map(|time| (time.requests, time.seconds_per_output_token.into()));
        let by_batch = batch_line("batch_times", by_batch, &mut doubts);
        let heard = Self {
            interval: interval.clamp(INTERVAL.0, INTERVAL.1),
            model: report.model.map(shorten),
            load_known: true,
            running: sequences("running", report.running, &mut doubts),
            waiting: sequences("waiting", report.waiting, &mut doubts),
            running_max: sequences("running_max", report.running_max, &mut doubts),
            queued_tokens: tokens("queued_tokens", report.queued_tokens, &mut doubts),
            cache_tokens_max: tokens("cache_tokens_max", report.cache_tokens_max, &mut doubts),
            seconds_per_prompt_token: rate.map(f64::recip),
            seconds_per_output_token: measured(
                "seconds_per_output_token",
                report.seconds_per_output_token.into(),
                &TOKEN_SECONDS,
                &mut doubts,
            ),
            by_batch,
            draining: report.draining,
        };
        (heard, doubts)
    }

    /// What a prediction takes from it.
    pub(super) fn said(&self) -> Said {
        Said {
            running: self.running,
            waiting: self.waiting,
            running_max: self.running_max,
            queued_tokens: self.queued_tokens,
            cache_tokens_max: self.cache_tokens_max,
            seconds_per_prompt_token: self.seconds_per_prompt_token,
            seconds_per_output_token: self.seconds_per_output_token,
            by_batch: self.by_batch,
        }
    }
}

// === impl Doubt ===

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` = {} cannot be true", self.field, self.said)
    }
}

fn measured(
    field: &'static str,
    said: f64,
    possible: &std::ops::RangeInclusive<f64>,
    doubts: &mut Vec<Doubt>,
) -> Option<f64> {
    if said == 0.0 {
        return None;
    }
    // NaN is in no range.
    if possible.contains(&said) {
        return Some(said);
    }
    doubts.push(Doubt { field, said });
    None
}

/// The line through times by the size of the batch, in whatever order; what cannot be is left out, and nothing is looked at
/// beyond the bound.
fn batch_line(
    field: &'static str,
    times: impl Iterator<Item = (u32, f64)>,
    doubts: &mut Vec<Doubt>,
) -> Option<BatchLine> {
    let mut sound = |(requests, seconds): &(u32, f64)| {
        (1..=SEQUENCES_MAX).contains(requests) && measured(field, *seconds, &TOKEN_SECONDS, doubts).is_some()
    };
    let mut times: Vec<_> = times.take(BATCHES_MAX).filter(|time| sound(time)).collect();
    // Sums of the same numbers in another order have other last bits.
    times.sort_unstable_by_key(|(requests, _)| *requests);
    BatchLine::through(times)
}

fn sequences(field: &'static str, said: u32, doubts: &mut Vec<Doubt>) -> u32 {
    if said > SEQUENCES_MAX {
        doubts.push(Doubt { field, said: f64::from(said) });
    }
    said.min(SEQUENCES_MAX)
}

fn tokens(field: &'static str, said: u64, doubts: &mut Vec<Doubt>) -> u64 {
    if said > TOKENS_MAX {
        doubts.push(Doubt { field, said: said as f64 });
    }
    said.min(TOKENS_MAX)
}

/// Every report is kept until the next, and its names are shown to callers: they must be short.
fn shorten(mut model: v1::ModelDescription) -> v1::ModelDescription {
    for text in [&mut model.name, &mut model.architecture, &mut model.hash, &mut model.quantization] {
        let end = (0..=TEXT_BYTES_MAX.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
    }
    model
}

#[cfg(test)]
mod tests;
