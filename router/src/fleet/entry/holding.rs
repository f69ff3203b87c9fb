//! What a worker is sent and holds, and the room that this leaves for those who wait.

use std::sync::Arc;

use parking_lot::MutexGuard;
use tokio::time::Instant;

use super::super::breaker::{Outcome, Pass};
use super::super::lease::Lease;
use super::super::predict::{Seen, Ticket, Work};
use super::super::prefix::Prompt;
use super::super::room::Room;
use super::{Entry, Link, State};
use crate::flow::Taken;

// === impl Entry ===

impl Entry {
    /// Counts a request that is about to be sent, until the lease is dropped. `None`: there is no room, or others wait for
    /// it; `at_once` asks for neither. `resumed`: it goes on with an answer.
    pub(in crate::fleet) fn lease(
        self: &Arc<Self>,
        work: Work,
        (prompt, resumed): (Prompt, bool),
        at_once: bool,
    ) -> Option<Lease> {
        let now = Instant::now();
        let mut state = self.state.lock();
        if !at_once && !state.room.is_free() {
            return None;
        }
        let moment = self.moment(&state, now);
        let ticket = state.predictor.sent(work, &moment);
        let seconds =
            ticket.predicted().map(|predicted| predicted.total(work.output_tokens) / predicted.caution);
        let taken = state.room.enter(work.tokens(), seconds);
        state.reckon();
        let pass = state.breaker.enter(now);
        let held = state.cache.sent(prompt, work.prompt_tokens, resumed);
        self.rank(&mut state, now);
        drop(state);
        self.signs.asked();
        Some(Lease::new(self.clone(), (ticket, pass), (taken, held)))
    }

    /// A leased request has ended.
    pub(in crate::fleet) fn ended(&self, pass: &Pass, outcome: Outcome) {
        let mut state = self.state.lock();
        if matches!(outcome, Outcome::Busy(_)) {
            state.room.refused();
            state.reckon();
        }
        let change = state.breaker.ended(pass, outcome, Instant::now());
        drop(state);
        self.tell(change);
    }

    /// A leased request has been answered; see [`Predictor::done`](super::Predictor::done).
    pub(in crate::fleet) fn done(
        &self,
        (ticket, taken): (Ticket, Taken),
        timed: Option<(u32, f64)>,
        output_tokens: u32,
    ) -> Option<Seen> {
        let mut state = self.state.lock();
        let now = Instant::now();
        let seen = state.predictor.done(ticket, timed, output_tokens, self.seconds(now));
        self.count(&mut state);
        self.rank(&mut state, now);
        self.left(state, taken);
        seen
    }

    /// A leased request has ended without an answer.
    pub(in crate::fleet) fn dropped(&self, ticket: &Ticket, taken: Taken) {
        let mut state = self.state.lock();
        state.predictor.dropped(ticket, self.seconds(Instant::now()));
        self.left(state, taken);
    }

    /// What of its room is asked for.
    pub(in crate::fleet) fn room<T>(&self, of: impl FnOnce(&Room) -> T) -> T {
        of(&self.state.lock().room)
    }

    /// A request has left.
    fn left(&self, mut state: MutexGuard<'_, State>, taken: Taken) {
        state.room.left(taken);
        self.changed(state);
    }

    /// Whoever waits is told if there is room now.
    pub(super) fn changed(&self, mut state: MutexGuard<'_, State>) {
        state.reckon();
        if state.room.lane().is_busy() {
            let lane = state.room.lane().clone();
            drop(state);
            lane.freed();
        }
    }
}

// === impl State ===

impl State {
    /// Whether it takes work, and has room for more.
    pub(super) fn reckon(&mut self) {
        let heard = self.heard.as_ref().map(|(heard, _)| heard);
        let ending =
            self.leaving || self.resting || self.retired || heard.is_some_and(|heard| heard.draining);
        let cache = heard.map_or(0, |heard| heard.cache_tokens_max);
        self.room.reckon(self.link != Link::Down && !ending, cache);
    }
}
