//! Who comes first: among those that wait, and among those that run when blocks are short.

use super::{PREEMPTIONS_MAX, Room, Ticket};

/// An admission passes over those that wait; so many passes are worth one class of priority.
const PASSES_PER_CLASS: u64 = 8;

/// A sequence without a place.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) ticket: Ticket,
    pub(super) arrival: u64,
    pub(super) passes: u64,
    preempted: u32,
}

/// A sequence with a place.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) ticket: Ticket,
    arrival: u64,
    passes: u64,
    preempted: u32,
    /// Known tokens not yet computed; 0 in decode.
    pub(super) prefill_left: usize,
}

impl Waiting {
    pub(super) fn new(ticket: Ticket, arrival: u64) -> Self {
        Self { ticket, arrival, passes: 0, preempted: 0 }
    }

    /// The same with a place, and so many tokens to compute first.
    pub(super) fn enter(&self, prefill_left: usize) -> Running {
        let Self { ticket, arrival, passes, preempted } = *self;
        Running { ticket, arrival, passes, preempted, prefill_left }
    }

    /// Least first. Who was passed often rises class by class, and past the highest becomes first come, first
    /// served, so that no stream of urgent requests can keep another out for ever.
    pub(super) fn order(&self) -> (i64, u64, u64) {
        let class = i64::from(self.ticket.priority) - (self.passes / PASSES_PER_CLASS) as i64;
        if class < 0 {
            return (-1, 0, self.arrival);
        }
        (class, self.ticket.deadline.unwrap_or(u64::MAX), self.arrival)
    }
}

impl Running {
    /// Least first; the last loses its blocks first.
    pub(super) fn order(&self) -> (u8, u64, u64) {
        (self.ticket.priority, self.ticket.deadline.unwrap_or(u64::MAX), self.arrival)
    }

    /// Whether it keeps its blocks, having lost them often enough.
    pub(super) fn settled(&self) -> bool {
        self.preempted >= PREEMPTIONS_MAX
    }

    /// Free blocks that others leave to it when they ask for a place.
    pub(super) fn claim(&self, room: &impl Room) -> usize {
        if self.settled() {
            return room.need_to_end(self.ticket.id);
        }
        // All that it knows, and the block after.
        room.need(self.ticket.id, self.prefill_left) + 1
    }

    /// The same without a place, and so many tokens to compute again.
    pub(super) fn leave(self, prefill_tokens: usize) -> Waiting {
        let ticket = Ticket { prefill_tokens, ..self.ticket };
        let Self { arrival, passes, preempted, .. } = self;
        Waiting { ticket, arrival, passes, preempted: preempted + 1 }
    }
}
