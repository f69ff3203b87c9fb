//! A request at a worker, counted there until the lease is dropped, and timed so that the worker's speed is learned.

use std::sync::Arc;
use std::time::Duration;

use mesh::connect::Channel;
use policy::Name;
use tokio::time::Instant;

use super::entry::{Entry, Expected};

/// Fewer tokens say little of the time that each takes.
const TIMED_TOKENS_MIN: u32 = 4;
/// A stream whose reader held it up for more than this share of its time says nothing of the worker.
const HELD_UP_MAX: f64 = 0.1;

/// One request at one worker. Dropping it releases the worker.
#[derive(Debug)]
pub(crate) struct Lease {
    entry: Arc<Entry>,
    prompt_tokens: u32,
    expected: Expected,
    sent_at: Instant,
    first: Option<First>,
    held_up: Duration,
}

#[derive(Debug)]
struct First {
    at: Instant,
    last_at: Instant,
    later_tokens: u32,
}

// === impl Lease ===

impl Lease {
    pub(super) fn new(entry: Arc<Entry>, prompt_tokens: u32, expected: Expected, sent_at: Instant) -> Self {
        Self { entry, prompt_tokens, expected, sent_at, first: None, held_up: Duration::ZERO }
    }

    /// `tier/worker`.
    pub(crate) fn place(&self) -> &Name {
        &self.entry.who.place
    }

    /// The way there.
    pub(crate) fn channel(&self) -> Channel {
        self.entry.who.channel.clone()
    }

    /// Tokens came.
    pub(crate) fn came(&mut self, count: u32) {
        let now = Instant::now();
        match &mut self.first {
            Some(first) => {
                first.later_tokens = first.later_tokens.saturating_add(count);
                first.last_at = now;
            }
            None => self.begin(count, now),
        }
    }

    /// The time to expect between two tokens, as its worker implied it or as it was seen so far, whichever is longer.
    pub(crate) fn gap(&self) -> Option<Duration> {
        let implied = self.expected.latency.map(|latency| latency.seconds_per_output_token);
        let seconds = implied
            .into_iter()
            .chain(self.pace())
            .fold(None, |most: Option<f64>, seconds| Some(most.map_or(seconds, |most| most.max(seconds))));
        seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    }

    /// The caller took this long to take what came.
    pub(crate) fn held_up(&mut self, time: Duration) {
        self.held_up += time;
    }

    /// The answer is complete.
    pub(crate) fn done(&mut self, output_tokens: u32) {
        let pace = self.pace();
        let implied = self.expected.latency.map(|latency| latency.seconds_per_output_token);
        self.entry.learn(|learned| {
            learned.answer(output_tokens);
            if let (Some(pace), Some(implied)) = (pace, implied) {
                learned.output_token(pace, implied);
            }
        });
    }

    fn begin(&mut self, tokens: u32, now: Instant) {
        self.first = Some(First { at: now, last_at: now, later_tokens: 0 });
        self.entry.begun(self.expected.epoch, self.prompt_tokens);
        let Some(latency) = self.expected.latency else { return };
        let seconds = now.saturating_duration_since(self.sent_at).as_secs_f64();
        // The first delta may hold more than one token: those after the first were decoded, not prefilled.
        let decode = f64::from(tokens.saturating_sub(1)) * latency.seconds_per_output_token;
        let prefill = f64::from(self.prompt_tokens) * latency.prefill_seconds_per_token;
        self.entry.learn(|learned| learned.first_token(seconds, latency.queue_seconds, prefill + decode));
    }

    /// Seconds per output token after the first delta, if this stream can tell.
    fn pace(&self) -> Option<f64> {
        let first = self.first.as_ref()?;
        let time = first.last_at.saturating_duration_since(first.at);
        let told = first.later_tokens >= TIMED_TOKENS_MIN
            && self.held_up.as_secs_f64() <= time.as_secs_f64() * HELD_UP_MAX;
        told.then(|| time.as_secs_f64() / f64::from(first.later_tokens))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.first.is_none() {
            self.entry.begun(self.expected.epoch, self.prompt_tokens);
        }
        self.entry.released();
    }
}
