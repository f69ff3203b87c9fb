//! A request at a worker, counted there until the lease is dropped, and timed so that the worker's speed is learned.

use std::sync::Arc;
use std::time::Duration;

use mesh::connect::Channel;
use policy::Name;
use proto::v1;
use tokio::time::Instant;

use super::breaker::{Outcome, Pass};
use super::entry::Entry;
use super::gauge;
use super::predict::Ticket;
use super::prefix::Held;
use super::trailing::Trailing;
use crate::flow::Taken;
use crate::relay::{Event, Frames};

/// A stream whose reader held it up for more than this share of its time says nothing of the worker.
const HELD_UP_MAX: f64 = 0.1;

/// One request at one worker. Dropping it releases the worker.
#[derive(Debug)]
pub struct Lease {
    entry: Arc<Entry>,
    /// `None`: it has ended.
    ticket: Option<Ticket>,
    /// `None`: the breaker knows what became of it.
    pass: Option<Pass>,
    taken: Taken,
    first: Option<First>,
    /// What it leaves in the worker's cache.
    held: Option<Held>,
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
    pub(super) fn new(
        entry: Arc<Entry>,
        (ticket, pass): (Ticket, Pass),
        (taken, held): (Taken, Option<Held>),
    ) -> Self {
        let (ticket, pass, held_up) = (Some(ticket), Some(pass), Duration::ZERO);
        Self { entry, ticket, pass, taken, first: None, held, held_up }
    }

    /// `tier/worker`.
    pub(crate) fn place(&self) -> &Name {
        &self.entry.who.place
    }

    /// The way there.
    pub(crate) fn channel(&self) -> Channel {
        self.entry.who.channel.clone()
    }

    /// How long its first token was expected to take; `None`: nothing was known.
    pub(crate) fn first_token(&self) -> Option<Duration> {
        let predicted = self.ticket.as_ref().and_then(Ticket::predicted)?;
        Duration::try_from_secs_f64(predicted.first_token()).ok()
    }

    /// Tokens came, at the moment that is given back.
    pub fn came(&mut self, count: u32) -> Instant {
        let now = Instant::now();
        self.entry.spoke(now);
        match &mut self.first {
            Some(first) => {
                first.later_tokens = first.later_tokens.saturating_add(count);
                first.last_at = now;
            }
            None => self.begin(count, now),
        }
        now
    }

    /// Whether any token came.
    pub(crate) fn has_begun(&self) -> bool {
        self.first.is_some()
    }

    /// The time to expect between two tokens, as its worker implied it or as it was seen so far, whichever is longer.
    pub(crate) fn gap(&self) -> Option<Duration> {
        let predicted =
            self.ticket.as_ref().and_then(Ticket::predicted).map(|predicted| predicted.output_token);
        let timed = self.timed().filter(|(tokens, _)| *tokens > 0);
        let seen = timed.map(|(tokens, seconds)| seconds / f64::from(tokens));
        let seconds = [predicted, seen].into_iter().flatten().reduce(f64::max);
        seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    }

    /// The caller is shown this.
    pub(crate) fn shows(&mut self, shown: &Event) {
        if let Some(held) = &mut self.held {
            held.shows(shown);
        }
    }

    /// Takes out of an answer's end what it tells of its worker's cache, which is not its caller's to know.
    pub(crate) fn learn(&mut self, done: &mut v1::Done) {
        let blocks = std::mem::take(&mut done.cache_blocks);
        let Some(held) = self.held.take() else { return };
        if done.finish_reason() == v1::FinishReason::Interrupted {
            return;
        }
        let usage = done.usage.unwrap_or_default();
        let block_tokens = self.entry.learn(held.share(), &usage);
        held.done(&usage, (&blocks, block_tokens));
    }

    /// The caller took this long to take what came.
    pub(crate) fn held_up(&mut self, time: Duration) {
        self.held_up += time;
    }

    /// No token came for longer than it should take.
    pub(crate) fn silent(&self) {
        self.entry.doubt();
    }

    /// Another worker was quicker: the first token would have come no sooner than now.
    pub(crate) fn outrun(&mut self) {
        if let (Some(ticket), None) = (&mut self.ticket, &self.first) {
            self.entry.began((ticket, None), 0, Instant::now());
        }
    }

    /// The request has ended so. What is said first stands.
    pub(crate) fn ended(&mut self, outcome: Outcome) {
        if let Some(pass) = self.pass.take() {
            self.entry.ended(&pass, outcome);
        }
    }

    /// What stands behind the last event of its answer.
    pub(crate) fn trailing(&self, rest: Option<Frames>) -> Trailing {
        Trailing::new(self.entry.clone(), rest)
    }

    /// The answer is complete.
    pub fn done(&mut self, output_tokens: u32) {
        self.ended(Outcome::Answered);
        let Some(ticket) = self.ticket.take() else { return };
        if let Some(seen) = self.entry.done((ticket, self.taken), self.timed(), output_tokens) {
            gauge::seen(&self.entry.who.tier, gauge::What::OutputToken, seen);
        }
    }

    fn begin(&mut self, tokens: u32, now: Instant) {
        self.first = Some(First { at: now, last_at: now, later_tokens: 0 });
        self.entry.settled();
        if let Some(held) = &mut self.held {
            held.begun();
        }
        let Some(ticket) = &mut self.ticket else { return };
        // The first delta may hold more than one token: those after the first were decoded, not prefilled.
        if let Some(seen) = self.entry.began((ticket, self.pass.as_ref()), tokens.saturating_sub(1), now) {
            gauge::seen(&self.entry.who.tier, gauge::What::FirstToken, seen);
        }
    }

    /// Tokens after the first delta and the seconds over which they came, if this stream can tell.
    fn timed(&self) -> Option<(u32, f64)> {
        let first = self.first.as_ref()?;
        let time = first.last_at.saturating_duration_since(first.at);
        let told = self.held_up.as_secs_f64() <= time.as_secs_f64() * HELD_UP_MAX;
        told.then_some((first.later_tokens, time.as_secs_f64()))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.entry.dropped(&ticket, self.taken);
        }
        if self.first.is_none() {
            self.entry.settled();
        }
        self.ended(Outcome::Unknown);
    }
}
