//! When in the batch: a pure state machine that says which rows of which sequences the next step computes, and who gives
//! its blocks up when there are too few.

use std::collections::HashMap;

mod order;
#[cfg(test)]
mod tests;

use order::{Running, Waiting};

/// The bounds that a plan keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Sequences that run at once.
    pub(crate) sequences_max: usize,
    /// Rows of one step; at least `sequences_max`, so that every decode row fits.
    pub(crate) step_tokens_max: usize,
}

/// A sequence as the scheduler sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) id: u64,
    /// Tokens known at submission: conversation and resumed ids. At least 1.
    pub(crate) prefill_tokens: usize,
    /// 0 goes first.
    pub(crate) priority: u8,
    /// Earlier goes first among equals, in any unit; none goes last.
    pub(crate) deadline: Option<u64>,
}

/// Rows of one sequence in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Work {
    pub(crate) id: u64,
    /// Tokens to compute, starting after those computed already.
    pub(crate) tokens: usize,
    /// Whether they are tokens known at admission.
    pub(crate) prefill: bool,
    /// Whether the last row's scores choose the next token.
    pub(crate) samples: bool,
}

/// Where sequences have their blocks. It must have room for any one sequence alone.
pub(crate) trait Room {
    /// Blocks that can be taken.
    fn free(&self) -> usize;
    /// Blocks that `tokens` more tokens of a sequence would take from those.
    fn need(&self, id: u64, tokens: usize) -> usize;
    /// Blocks that it would take to its end.
    fn need_to_end(&self, id: u64) -> usize;
    /// Begins a sequence with what is held of it already. Says how many of its tokens so far are left to compute, at
    /// least 1.
    fn enter(&mut self, id: u64) -> usize;
    /// Takes the blocks of `tokens` more tokens of a sequence.
    fn take(&mut self, id: u64, tokens: usize);
    /// Takes all blocks from a sequence. Says how many tokens it has so far.
    fn leave(&mut self, id: u64) -> usize;
}

/// The oldest sequence in prefill gets at least this part of what decode leaves, whatever its priority.
const OLDEST_PREFILL_PART: usize = 4;
/// A sequence loses its blocks so many times at most: then it waits until there is room to its end, and keeps it.
pub(crate) const PREEMPTIONS_MAX: u32 = 3;

/// Waiting and running sequences.
#[derive(Debug)]
pub(crate) struct Scheduler {
    limits: Limits,
    /// In order of arrival, those that lost their blocks at the end.
    waiting: Vec<Waiting>,
    /// In order of admission.
    running: Vec<Running>,
    arrivals: u64,
    preemptions: u64,
}

impl Scheduler {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, waiting: Vec::new(), running: Vec::new(), arrivals: 0, preemptions: 0 }
    }

    /// Lets a sequence wait. The caller bounds how many do.
    pub(crate) fn submit(&mut self, ticket: Ticket) {
        self.waiting.push(Waiting::new(ticket, self.arrivals));
        self.arrivals += 1;
    }

    /// Removes a sequence, whether it waits or runs, and frees its place. False where it is unknown.
    pub(crate) fn remove(&mut self, id: u64) -> bool {
        let before = self.waiting.len() + self.running.len();
        self.waiting.retain(|waiting| waiting.ticket.id != id);
        self.running.retain(|running| running.ticket.id != id);
        self.waiting.len() + self.running.len() < before
    }

    /// Admits what fits, sees to it that what runs has its blocks, and says what the next step computes. Empty only where
    /// nothing is left to do.
    pub(crate) fn plan(&mut self, room: &mut impl Room) -> Vec<Work> {
        self.admit(room);
        let mut plan = self.plan_decode(room);
        let left = self.limits.step_tokens_max.saturating_sub(plan.len());
        for (id, tokens) in self.share_prefill(left) {
            plan.extend(self.plan_prefill(room, id, tokens));
        }
        // Who was planned first may have been made to leave by who comes before it in order.
        plan.retain(|work| self.running.iter().any(|running| running.ticket.id == work.id));
        plan
    }

    /// Takes note that `work` of the last plan was computed.
    pub(crate) fn advance(&mut self, work: &Work) {
        if let Some(running) = self.running.iter_mut().find(|r| r.ticket.id == work.id)
            && work.prefill
        {
            running.prefill_left = running.prefill_left.saturating_sub(work.tokens);
        }
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn running(&self) -> usize {
        self.running.len()
    }

    /// Times that a sequence lost its blocks.
    pub(crate) fn preemptions(&self) -> u64 {
        self.preemptions
    }

    /// Known tokens that are still to be computed.
    pub(crate) fn queued_tokens(&self) -> usize {
        let waiting: usize = self.waiting.iter().map(|w| w.ticket.prefill_tokens).sum();
        waiting + self.running.iter().map(|r| r.prefill_left).sum::<usize>()
    }

    /// Admits in order and stops at the first that does not fit, so that a large one is not passed by for ever. What fits
    /// leaves those that run what they have been promised, and a block each to go on with.
    fn admit(&mut self, room: &mut impl Room) {
        while self.running.len() < self.limits.sequences_max {
            let Some(next) = (0..self.waiting.len()).min_by_key(|&at| self.waiting[at].order()) else {
                return;
            };
            let id = self.waiting[next].ticket.id;
            let left = room.enter(id);
            let running = self.waiting[next].enter(left);
            let promised: usize = self.running.iter().map(|other| other.claim(room)).sum();
            let fits = promised.saturating_add(running.claim(room)) <= room.free();
            // One alone has all the room that there is.
            if !fits && !self.running.is_empty() {
                room.leave(id);
                return;
            }
            let arrival = self.waiting.remove(next).arrival;
            for passed in self.waiting.iter_mut().filter(|w| w.arrival < arrival) {
                passed.passes += 1;
            }
            self.running.push(running);
        }
    }

    /// One row for each sequence in decode, the first in order first.
    fn plan_decode(&mut self, room: &mut impl Room) -> Vec<Work> {
        let mut decodes: Vec<&Running> = self.running.iter().filter(|r| r.prefill_left == 0).collect();
        decodes.sort_by_key(|running| running.order());
        let ids: Vec<u64> = decodes.iter().map(|running| running.ticket.id).collect();
        let mut plan = Vec::new();
        for id in ids {
            if self.secure(room, id, 1) == 1 {
                room.take(id, 1);
                plan.push(Work { id, tokens: 1, prefill: false, samples: true });
            }
        }
        plan
    }

    /// Up to `tokens` rows of a sequence in prefill.
    fn plan_prefill(&mut self, room: &mut impl Room, id: u64, tokens: usize) -> Option<Work> {
        let tokens = self.secure(room, id, tokens);
        let left = self.running.iter().find(|r| r.ticket.id == id)?.prefill_left;
        if tokens == 0 {
            return None;
        }
        room.take(id, tokens);
        Some(Work { id, tokens, prefill: true, samples: tokens == left })
    }

    /// How many of `tokens` more tokens a sequence may compute. Where not even one has a block, the last in order loses
    /// its blocks, be it the one that asks: then it is none.
    fn secure(&mut self, room: &mut impl Room, id: u64, tokens: usize) -> usize {
        while self.running.iter().any(|running| running.ticket.id == id) {
            let others = self.running.iter().filter(|other| other.settled() && other.ticket.id != id);
            let promised: usize = others.map(|other| other.claim(room)).sum();
            let free = room.free().saturating_sub(promised);
            let most = most_that_fit(tokens, |tokens| room.need(id, tokens) <= free);
            let last = self.running.iter().filter(|other| !other.settled()).max_by_key(|r| r.order());
            match last.map(|last| last.ticket.id) {
                Some(last) if most == 0 => self.preempt(room, last),
                _ => return most,
            }
        }
        0
    }

    /// Takes a sequence's blocks away; it waits with all its tokens to be computed again.
    fn preempt(&mut self, room: &mut impl Room, id: u64) {
        if let Some(at) = self.running.iter().position(|running| running.ticket.id == id) {
            let left = room.leave(id);
            self.waiting.push(self.running.remove(at).leave(left));
            self.preemptions += 1;
        }
    }

    /// Shares `budget` rows among sequences in prefill: by order, but never nothing for the oldest.
    fn share_prefill(&self, budget: usize) -> Vec<(u64, usize)> {
        let mut queue: Vec<&Running> = self.running.iter().filter(|r| r.prefill_left > 0).collect();
        let Some(oldest) = queue.first().map(|r| r.ticket.id) else { return Vec::new() };
        queue.sort_by_key(|running| running.order());
        let mut shares: HashMap<u64, usize> = HashMap::new();
        let mut left = budget;
        let reserved = (budget / OLDEST_PREFILL_PART).max(1);
        let first = queue.iter().find(|r| r.ticket.id == oldest).map(|r| (r, reserved));
        for (running, limit) in first.into_iter().chain(queue.iter().map(|r| (r, usize::MAX))) {
            let share = shares.entry(running.ticket.id).or_default();
            let more = (running.prefill_left - *share).min(limit).min(left);
            *share += more;
            left -= more;
        }
        let shares = queue.iter().map(|r| (r.ticket.id, shares.get(&r.ticket.id).copied().unwrap_or(0)));
        shares.filter(|(_, tokens)| *tokens > 0).collect()
    }
}

/// The greatest number up to `most` that fits, where less fits whenever more does.
fn most_that_fit(most: usize, fits: impl Fn(usize) -> bool) -> usize {
    if fits(most) {
        return most;
    }
    let (mut fitting, mut not) = (0, most);
    while not - fitting > 1 {
        let middle = fitting.midpoint(not);
        *if fits(middle) { &mut fitting } else { &mut not } = middle;
    }
    fitting
}
