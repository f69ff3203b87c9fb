//! How fast the engine is, smoothed over its recent steps.

use std::time::Duration;

/// The weight of the newest step.
const NEWEST: f64 = 0.2;
/// Times below this are the clock's grain.
const SECONDS_MIN: f64 = 1e-6;

/// Rates as an exponentially weighted mean; never zero, since it starts with a measurement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meter {
    prefill_seconds_per_token: f64,
    decode_seconds: f64,
}

/// What a step held.
#[derive(Debug, Clone, Copy)]
pub(super) struct StepShape {
    pub(super) prefill_tokens: usize,
    pub(super) decode_tokens: usize,
}

impl Meter {
    pub(super) fn new(prefill_tokens: usize, prefill: Duration, decode: Duration) -> Self {
        let prefill = prefill.as_secs_f64() / prefill_tokens.max(1) as f64;
        Self {
            prefill_seconds_per_token: prefill.max(SECONDS_MIN),
            decode_seconds: decode.as_secs_f64().max(SECONDS_MIN),
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
            mix(&mut self.decode_seconds, seconds);
        }
    }

    pub(super) fn prefill_tokens_per_s(&self) -> f64 {
        1.0 / self.prefill_seconds_per_token
    }

    pub(super) fn seconds_per_token(&self) -> f64 {
        self.decode_seconds
    }
}

fn mix(mean: &mut f64, newest: f64) {
    *mean += NEWEST * (newest - *mean);
}
