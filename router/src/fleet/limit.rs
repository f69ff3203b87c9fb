//! How many requests a worker is sent at once, learned from how late its first tokens come.
//!
//! After the gradient of Netflix's concurrency-limits (`Gradient2Limit`): the limit is multiplied by the ratio of what a
//! request should take to what it took, and the square root of it is added as the queue that may stand. What a first token
//! should take differs with its prompt, so that each is measured against what it was expected to take on a worker without
//! a queue, and that ratio against the least that was seen, as TCP Vegas does with round trips (Brakmo and Peterson, 1995).

use crate::flow::LimitOptions;

/// First tokens after which the limit moves.
const WINDOW: u32 = 10;
/// The limit moves so much of the way at once.
const SMOOTHING: f64 = 0.3;
/// It is never cut to less than this share at once.
const GRADIENT_MIN: f64 = 0.5;
/// What the least that was seen grows by in each window: a worker may have become slower for good.
const LEAST_DRIFT: f64 = 1.001;
/// What is left of it when the worker refuses a request.
const REFUSED: f64 = 0.9;

/// The limit of one worker.
#[derive(Clone, Debug)]
pub(super) struct Limit {
    options: LimitOptions,
    limit: f64,
    /// What the worker said that it runs at once; 0: nothing.
    stated: u32,
    least: Option<f64>,
    lateness: f64,
    seen: u32,
    held_max: u32,
}

// === impl Limit ===

impl Limit {
    /// Of a worker that nothing is known of.
    pub(super) fn new(options: LimitOptions) -> Self {
        let limit = f64::from(options.initial);
        Self { options, limit, stated: 0, least: None, lateness: 0.0, seen: 0, held_max: 0 }
    }

    /// Requests that may be there at once.
    pub(super) fn now(&self) -> u32 {
        // The cast saturates.
        self.limit as u32
    }

    /// The worker says how many it runs at once: there the limit begins, and again when it says otherwise.
    pub(super) fn stated(&mut self, running_max: u32) {
        if running_max > 0 && running_max != self.stated {
            self.stated = running_max;
            self.set(f64::from(running_max));
        }
    }

    /// A first token came: it took so many seconds, and would have without a queue taken others. So many requests were
    /// there with it.
    pub(super) fn came(&mut self, seconds: f64, alone_seconds: f64, held: u32) {
        let lateness = seconds / alone_seconds.max(1e-6);
        if !(lateness.is_finite() && lateness > 0.0) {
            return;
        }
        self.lateness += lateness;
        self.seen += 1;
        self.held_max = self.held_max.max(held);
        if self.seen == WINDOW {
            let lateness = self.lateness / f64::from(WINDOW);
            let held_max = self.held_max;
            (self.lateness, self.seen, self.held_max) = (0.0, 0, 0);
            self.turn(lateness, held_max);
        }
    }

    /// The worker took no more while so many were there.
    pub(super) fn refused(&mut self, held: u32) {
        self.set(self.limit.min(f64::from(held.max(1))) * REFUSED);
    }

    fn turn(&mut self, lateness: f64, held_max: u32) {
        let least = self.least.map_or(lateness, |least| (least * LEAST_DRIFT).min(lateness));
        self.least = Some(least);
        let gradient = (self.options.tolerance * least / lateness).clamp(GRADIENT_MIN, 1.0);
        let wanted = self.limit * gradient + self.limit.sqrt();
        // A limit that nobody reached was not tried.
        if wanted > self.limit && f64::from(held_max) < self.limit / 2.0 {
            return;
        }
        self.set(self.limit + (wanted - self.limit) * SMOOTHING);
    }

    fn set(&mut self, limit: f64) {
        self.limit = limit.clamp(f64::from(self.options.min), f64::from(self.options.max));
    }
}

#[cfg(test)]
mod tests;
