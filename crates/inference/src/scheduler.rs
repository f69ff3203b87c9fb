//! When in the batch: a pure state machine that says which rows of which sequences the next step computes.

use std::collections::HashMap;

#[cfg(test)]
mod tests;

/// The bounds that a plan keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Sequences that run at once.
    pub(crate) sequences_max: usize,
    /// Rows of one step; at least `sequences_max`, so that every decode row fits.
    pub(crate) step_tokens_max: usize,
    /// Tokens that all running sequences may come to hold.
    pub(crate) kv_tokens_max: usize,
}

/// A sequence as the scheduler sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) id: u64,
    /// Tokens known at submission: conversation and resumed ids. At least 1.
    pub(crate) prefill_tokens: usize,
    /// Tokens that the sequence may come to hold in all.
    pub(crate) tokens_max: usize,
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
    /// Whether they are tokens known at submission.
    pub(crate) prefill: bool,
    /// Whether the last row's scores choose the next token.
    pub(crate) samples: bool,
}

/// An admission passes over those that wait; so many passes are worth one class of priority.
const PASSES_PER_CLASS: u64 = 8;
/// The oldest sequence in prefill gets at least this part of what decode leaves, whatever its priority.
const OLDEST_PREFILL_PART: usize = 4;

/// Waiting and running sequences.
#[derive(Debug)]
pub(crate) struct Scheduler {
    limits: Limits,
    /// In order of arrival.
    waiting: Vec<Waiting>,
    /// In order of admission.
    running: Vec<Running>,
    arrivals: u64,
    kv_tokens_reserved: usize,
}

#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    arrival: u64,
    passes: u64,
}

#[derive(Debug)]
struct Running {
    ticket: Ticket,
    arrival: u64,
    /// Known tokens not yet computed; 0 in decode.
    prefill_left: usize,
}

impl Scheduler {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, waiting: Vec::new(), running: Vec::new(), arrivals: 0, kv_tokens_reserved: 0 }
    }

    /// Lets a sequence wait. The caller bounds how many do.
    pub(crate) fn submit(&mut self, ticket: Ticket) {
        let arrival = self.arrivals;
        self.arrivals += 1;
        self.waiting.push(Waiting { ticket, arrival, passes: 0 });
    }

    /// Removes a sequence, whether it waits or runs, and frees its place. False where it is unknown.
    pub(crate) fn remove(&mut self, id: u64) -> bool {
        if let Some(at) = self.waiting.iter().position(|w| w.ticket.id == id) {
            self.waiting.remove(at);
            return true;
        }
        if let Some(at) = self.running.iter().position(|r| r.ticket.id == id) {
            let gone = self.running.remove(at);
            self.kv_tokens_reserved -= gone.ticket.tokens_max;
            return true;
        }
        false
    }

    /// Admits what fits and says what the next step computes. Empty only where nothing is left to do.
    pub(crate) fn plan(&mut self) -> Vec<Work> {
        self.admit();
        let decodes = self.running.iter().filter(|r| r.prefill_left == 0);
        let mut plan: Vec<Work> =
            decodes.map(|r| Work { id: r.ticket.id, tokens: 1, prefill: false, samples: true }).collect();
        let left = self.limits.step_tokens_max.saturating_sub(plan.len());
        plan.extend(self.plan_prefill(left));
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

    /// Known tokens that are still to be computed.
    pub(crate) fn queued_tokens(&self) -> usize {
        let waiting: usize = self.waiting.iter().map(|w| w.ticket.prefill_tokens).sum();
        waiting + self.running.iter().map(|r| r.prefill_left).sum::<usize>()
    }

    /// Admits in order and stops at the first that does not fit, so that a large one is not passed by for ever.
    fn admit(&mut self) {
        while self.running.len() < self.limits.sequences_max {
            let Some(next) = (0..self.waiting.len()).min_by_key(|&at| self.waiting[at].order()) else {
                return;
            };
            let tokens = self.waiting[next].ticket.tokens_max;
            let fits = self.kv_tokens_reserved.saturating_add(tokens) <= self.limits.kv_tokens_max;
            // One that exceeds the whole cache runs alone: the caller has bounded it by the context.
            if !fits && !self.running.is_empty() {
                return;
            }
            let Waiting { ticket, arrival, .. } = self.waiting.remove(next);
            for passed in self.waiting.iter_mut().filter(|w| w.arrival < arrival) {
                passed.passes += 1;
            }
            self.kv_tokens_reserved += tokens;
            self.running.push(Running { ticket, arrival, prefill_left: ticket.prefill_tokens });
        }
    }

    /// Shares `budget` rows among sequences in prefill: by order, but never nothing for the oldest.
    fn plan_prefill(&self, budget: usize) -> Vec<Work> {
        let mut queue: Vec<&Running> = self.running.iter().filter(|r| r.prefill_left > 0).collect();
        let Some(oldest) = queue.first().map(|r| r.ticket.id) else { return Vec::new() };
        queue.sort_by_key(|r| (r.ticket.priority, r.ticket.deadline.unwrap_or(u64::MAX), r.arrival));
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
        let planned = queue.iter().map(|r| (*r, shares.get(&r.ticket.id).copied().unwrap_or(0)));
        planned
            .filter(|(_, tokens)| *tokens > 0)
            .map(|(r, tokens)| Work {
                id: r.ticket.id,
                tokens,
                prefill: true,
                samples: tokens == r.prefill_left,
            })
            .collect()
    }
}

impl Waiting {
    /// Least first. Who was passed often rises class by class, and past the highest becomes first come, first
    /// served, so that no stream of urgent requests can keep another out for ever.
    fn order(&self) -> (i64, u64, u64) {
        let class = i64::from(self.ticket.priority) - (self.passes / PASSES_PER_CLASS) as i64;
        if class < 0 {
            return (-1, 0, self.arrival);
        }
        (class, self.ticket.deadline.unwrap_or(u64::MAX), self.arrival)
    }
}
