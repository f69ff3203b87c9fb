//! What the loop and its handles share: the line of accepted requests, the engine's state, and its reports.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::sequence::Sequence;
use crate::{
    Counters, Error, Load, ModelInfo, Sampling,
    constraint::Grammars,
    model::{Events, ExpertLoad},
    text::Tokenizer,
};

/// Bounds that handles need.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) queue_len_max: usize,
    pub(super) draft_tokens_max: usize,
}

/// Shared by the service, its handles and its streams.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) model: ModelInfo,
    pub(super) tokenizer: Tokenizer,
    /// What the model's files say where a request says nothing.
    pub(super) sampling: Sampling,
    pub(super) grammars: Grammars,
    pub(super) bounds: Bounds,
    pub(super) tally: Tally,
    pub(super) expert_load: ExpertLoad,
    /// Changes of the cache's blocks.
    pub(super) events: Arc<Events>,
    inbox: Mutex<Inbox>,
    /// Signalled on every change of the inbox and when a stream is dropped.
    pub(super) changed: Condvar,
    load: Mutex<Load>,
    ids: AtomicU64,
}

/// Counters, each added to by the loop only.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) steps: AtomicU64,
    pub(super) prefill_tokens: AtomicU64,
    pub(super) output_tokens: AtomicU64,
    pub(super) cancelled: AtomicU64,
    pub(super) tokens_after_cancel: AtomicU64,
    pub(super) prompt_tokens: AtomicU64,
    pub(super) cached_tokens: AtomicU64,
    pub(super) preemptions: AtomicU64,
    pub(super) evictions: AtomicU64,
    pub(super) drafted_tokens: AtomicU64,
    pub(super) accepted_tokens: AtomicU64,
}

/// Whether requests are taken, and whether those taken are finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(super) enum State {
    Open,
    Draining,
    Stopping,
    Ended,
}

/// Accepted requests that the loop has not seen yet.
#[derive(Debug)]
pub(super) struct Inbox {
    pub(super) arrived: VecDeque<Sequence>,
    /// Requests that wait in the scheduler.
    pub(super) waiting: usize,
    pub(super) state: State,
}

impl Shared {
    pub(super) fn new(
        model: ModelInfo,
        (tokenizer, sampling): (Tokenizer, Sampling),
        bounds: Bounds,
        expert_load: ExpertLoad,
        events: Arc<Events>,
    ) -> Self {
        Self {
            model,
            tokenizer,
            sampling,
            grammars: Grammars::default(),
            bounds,
            tally: Tally::default(),
            expert_load,
            events,
            inbox: Mutex::new(Inbox { arrived: VecDeque::new(), waiting: 0, state: State::Open }),
            changed: Condvar::new(),
            load: Mutex::new(Load::default()),
            ids: AtomicU64::new(0),
        }
    }

    /// The inbox. A panic elsewhere leaves it whole: every change is one statement.
    pub(super) fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes a request into the line, or says why not.
    pub(super) fn accept(&self, sequence: Sequence) -> Result<(), Error> {
        let mut inbox = self.inbox();
        match inbox.state {
            State::Open => {}
            State::Draining => return Err(Error::Draining),
            State::Stopping | State::Ended => return Err(Error::Stopped),
        }
        let waiting = inbox.waiting + inbox.arrived.len();
        if waiting >= self.bounds.queue_len_max {
            return Err(Error::QueueFull { waiting, max: self.bounds.queue_len_max });
        }
        inbox.arrived.push_back(sequence);
        drop(inbox);
        self.changed.notify_all();
        Ok(())
    }

    /// Wakes the loop. The lock makes sure that it either has not looked yet or waits already.
    pub(super) fn signal(&self) {
        drop(self.inbox());
        self.changed.notify_all();
    }

    /// Moves to `state` unless a later one was reached.
    pub(super) fn enter(&self, state: State) {
        let mut inbox = self.inbox();
        if inbox.state < state {
            inbox.state = state;
        }
        if state == State::Ended {
            inbox.arrived.clear();
        }
        drop(inbox);
        self.changed.notify_all();
    }

    pub(super) fn publish(&self, load: Load) {
        *self.load.lock().unwrap_or_else(PoisonError::into_inner) = load;
    }

    /// The last published load with what has arrived since.
    pub(super) fn load(&self) -> Load {
        let inbox = self.inbox();
        let mut load = self.load.lock().unwrap_or_else(PoisonError::into_inner).clone();
        load.waiting += inbox.arrived.len();
        load.queued_tokens += inbox.arrived.iter().map(Sequence::tokens_known).sum::<usize>();
        load.expert_load = self.expert_load.rows();
        load
    }

    pub(super) fn counters(&self) -> Counters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            steps: read(&self.tally.steps),
            prefill_tokens: read(&self.tally.prefill_tokens),
            prompt_tokens: read(&self.tally.prompt_tokens),
            cached_tokens: read(&self.tally.cached_tokens),
            preemptions: read(&self.tally.preemptions),
            evictions: read(&self.tally.evictions),
            output_tokens: read(&self.tally.output_tokens),
            expert_rows: self.expert_load.rows().iter().sum(),
            cancelled: read(&self.tally.cancelled),
            tokens_after_cancel: read(&self.tally.tokens_after_cancel),
            drafted_tokens: read(&self.tally.drafted_tokens),
            accepted_tokens: read(&self.tally.accepted_tokens),
            experts: self.expert_load.residency(),
        }
    }
}
