//! The room that a worker has for more: how many requests it is sent at once, and what it holds of them.

use std::sync::Arc;

use super::limit::Limit;
use crate::flow::{Lane, Taken, Worker};

/// One worker's room, and its part in the lane of its tier.
#[derive(Debug)]
pub(super) struct Room {
    limit: Limit,
    /// Requests of this router that are there, and the tokens that they are expected to take.
    requests: u32,
    tokens: u64,
    worker: Worker,
}

// === impl Room ===

impl Room {
    /// Of a worker that holds nothing.
    pub(super) fn new(lane: Arc<Lane>, limit: Limit) -> Self {
        Self { limit, requests: 0, tokens: 0, worker: Worker::new(lane) }
    }

    /// The lane of its tier.
    pub(super) fn lane(&self) -> &Arc<Lane> {
        self.worker.lane()
    }

    /// Whether it can be sent one more.
    pub(super) fn has_room(&self) -> bool {
        self.worker.has_room()
    }

    /// Whether a request may go there: there is room, and nobody who waits wants it.
    pub(super) fn is_free(&self) -> bool {
        self.has_room() && self.lane().is_open()
    }

    /// How many requests it is sent at once, if it has them.
    pub(super) fn full_at(&self) -> Option<u32> {
        (!self.worker.has_room()).then(|| self.limit.now())
    }

    /// How many requests it is sent at once.
    pub(super) fn limit(&self) -> u32 {
        self.limit.now()
    }

    /// A request goes there, which is expected to take so many tokens and seconds.
    pub(super) fn enter(&mut self, tokens: u64, seconds: Option<f64>) -> Taken {
        self.requests += 1;
        self.tokens += tokens;
        self.lane().begin(tokens, seconds)
    }

    /// It has left.
    pub(super) fn left(&mut self, taken: Taken) {
        self.requests = self.requests.saturating_sub(1);
        self.tokens = self.tokens.saturating_sub(taken.tokens);
        self.lane().end(taken);
    }

    /// The worker says how many requests it runs at once.
    pub(super) fn stated(&mut self, running_max: u32) {
        self.limit.stated(running_max);
    }

    /// A first token came after so many seconds; without a queue it would have after others.
    pub(super) fn came(&mut self, seconds: f64, alone_seconds: f64) {
        self.limit.came(seconds, alone_seconds, self.requests);
    }

    /// The worker took no more.
    pub(super) fn refused(&mut self) {
        self.limit.refused(self.requests);
    }

    /// Whether there is room now, by requests and, where the worker says how many it can hold (0: it does not), by tokens.
    /// A worker that takes no work has none. The lane is to be told.
    pub(super) fn reckon(&mut self, alive: bool, cache_tokens_max: u64) {
        let tokens = cache_tokens_max == 0 || self.tokens < cache_tokens_max;
        self.worker.set(alive, self.requests < self.limit.now() && tokens);
    }
}

#[cfg(test)]
mod tests;
