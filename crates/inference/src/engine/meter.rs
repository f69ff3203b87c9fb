//! How fast the engine is, smoothed over its recent steps.

use std::time::Duration;

/// The weight of the newest step.
const NEWEST: f64 = 0.2;
/// Sizes of batches that are told apart: 1, 2 and 3, 4 to 7, and so on.
const BATCHES: usize = 10;
/// Times below this are the clock's grain.
const SECONDS_MIN: f64 = 1e-6;

/// Rates as an exponentially weighted mean; never zero, since it starts with a measurement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meter {
    prefill_seconds_per_token: f64,
    decode_seconds: f64,
    /// By the batch's size; 0 where it was not measured.
    by_batch: [f64; BATCHES],
}

/// What a step held.
#[derive(Debug, Clone, Copy)]
pub(super) struct StepShape {
    pub(super) prefill_tokens: usize,
    pub(super) decode_tokens: usize,
    /// Sequences that chose a token and were not in prefill.
    pub(super) decoding: usize,
    /// Tokens chosen by those in decode; more than `decode_tokens` where guesses were right.
    pub(super) chosen: usize,
}

impl Meter {
    pub(super) fn new(prefill_tokens: usize, prefill: Duration, decode: Duration) -> Self {
        let prefill = prefill.as_secs_f64() / prefill_tokens.max(1) as f64;
        Self {
            prefill_seconds_per_token: prefill.max(SECONDS_MIN),
            decode_seconds: decode.as_secs_f64().max(SECONDS_MIN),
            by_batch: [0.0; BATCHES],
        }
    }

    /// Takes a step into account. In a mixed step the rows share the time, and every decoding request waits for it.
    pub(super) fn step(&mut self, shape: StepShape, took: Duration) {
        let seconds = took.as_secs_f64().max(SECONDS_MIN);
        let rows = (shape.prefill_tokens + shape.decode_tokens) as f64;
        if shape.prefill_tokens > 0 {
            mix(&mut self.prefill_seconds_per_token, seconds / rows);
        }
        if shape.decode_tokens > 0 {
            let chosen = shape.chosen.max(shape.decode_tokens) as f64;
            mix(&mut self.decode_seconds, seconds * shape.decode_tokens as f64 / chosen);
        }
        if let (0, Some(size)) = (shape.prefill_tokens, shape.decoding.checked_ilog2()) {
            let mean = &mut self.by_batch[(size as usize).min(BATCHES - 1)];
            if *mean == 0.0 { *mean = seconds } else { mix(mean, seconds) }
        }
    }

    pub(super) fn prefill_tokens_per_s(&self) -> f64 {
        1.0 / self.prefill_seconds_per_token
    }

    pub(super) fn seconds_per_token(&self) -> f64 {
        self.decode_seconds
    }

    /// The least requests of each size of batch that was measured, and seconds per token.
    pub(super) fn seconds_per_token_at(&self) -> Vec<(usize, f64)> {
        let sizes = self.by_batch.iter().enumerate().map(|(size, seconds)| (1 << size, *seconds));
        sizes.filter(|(_, seconds)| *seconds > 0.0).collect()
    }
}

fn mix(mean: &mut f64, newest: f64) {
    *mean += NEWEST * (newest - *mean);
}
