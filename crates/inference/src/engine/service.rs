//! The loop: takes requests in, plans a step, computes it, sends what it gave.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use super::{
    inbox::{Inbox, Shared, State},
    meter::{Meter, StepShape},
    places::Places,
    sequence::{Progress, Sequence},
    speculate::Speculation,
};
use crate::{
    Error, Finish, Load, Options,
    kernels::Team,
    model::{Cache, Executor, Pool, Segment},
    scheduler::{Limits, Scheduler, Work},
};

/// Owns the model and every sequence. Run it on a thread of its own.
#[derive(Debug)]
pub struct Service {
    shared: Arc<Shared>,
    computing: Computing,
    scheduler: Scheduler,
    sequences: BTreeMap<u64, Sequence>,
    meter: Meter,
    step_interval_min: Duration,
    /// Whether sequences that begin alike share blocks.
    kv_shared: bool,
    /// Deadlines are ordered by their distance from here.
    epoch: Instant,
    batch: usize,
    /// Tokens chosen in the last step by those in decode.
    chosen: usize,
}

/// What steps are computed with.
#[derive(Debug)]
pub(super) struct Computing {
    pub(super) executor: Executor,
    pub(super) team: Arc<Team>,
    /// The blocks of all sequences.
    pub(super) pool: Arc<Pool>,
    pub(super) speculation: Speculation,
}

impl Service {
    pub(super) fn new(shared: Arc<Shared>, computing: Computing, options: &Options, meter: Meter) -> Self {
        let limits =
            Limits { sequences_max: options.sequences_max, step_tokens_max: options.step_tokens_max };
        let service = Self {
            shared,
            computing,
            scheduler: Scheduler::new(limits),
            sequences: BTreeMap::new(),
            meter,
            step_interval_min: options.step_interval_min,
            kv_shared: options.kv_shared,
            epoch: Instant::now(),
            batch: 0,
            chosen: 0,
        };
        service.publish();
        service
    }

    /// Serves until the engine was drained or stopped; blocks the calling thread.
    pub fn run(mut self) {
        // The loop's thread is one of the team, and takes its part of what it shares out.
        let team = Arc::clone(&self.computing.team);
        team.install(|| self.serve());
    }

    fn serve(&mut self) {
        while self.take_in() {
            self.reap(Instant::now());
            let plan = self.plan();
            if !plan.is_empty() {
                let started = Instant::now();
                self.step(&plan);
                self.hold(started + self.step_interval_min);
                self.measure(&plan, started.elapsed());
            }
            self.publish();
        }
        for sequence in self.sequences.values_mut() {
            sequence.fail(Error::Stopped);
        }
    }

    fn plan(&mut self) -> Vec<Work> {
        let shares = self.kv_shared.then_some(&self.shared.model.hash);
        let mut places = Places { sequences: &mut self.sequences, pool: &self.computing.pool, shares };
        self.scheduler.plan(&mut places)
    }

    /// Moves what arrived to the scheduler; waits while there is nothing to do. False at the end.
    fn take_in(&mut self) -> bool {
        let shared = Arc::clone(&self.shared);
        let mut inbox = shared.inbox();
        loop {
            self.empty(&mut inbox);
            match inbox.state {
                State::Stopping | State::Ended => return false,
                State::Draining if self.sequences.is_empty() => return false,
                _ if !self.sequences.is_empty() => return true,
                _ => {}
            }
            inbox = shared.changed.wait(inbox).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    /// Lets what arrived wait in the scheduler.
    fn empty(&mut self, inbox: &mut Inbox) {
        let arrived = std::mem::take(&mut inbox.arrived);
        let changed = !arrived.is_empty();
        for sequence in arrived {
            self.scheduler.submit(sequence.ticket(self.epoch));
            self.sequences.insert(sequence.id, sequence);
        }
        inbox.waiting = self.scheduler.waiting();
        if changed {
            // Under the lock of the inbox, so that nobody sees requests neither there nor in the load.
            self.publish();
        }
    }

    /// Ends what was abandoned or is late.
    fn reap(&mut self, now: Instant) {
        let mut gone = Vec::new();
        for (id, sequence) in &mut self.sequences {
            if sequence.is_abandoned() {
                self.shared.tally.cancelled.fetch_add(1, Ordering::Relaxed);
                gone.push(*id);
            } else if sequence.is_late(now) {
                sequence.finish(Finish::Deadline);
                gone.push(*id);
            }
        }
        for id in gone {
            self.remove(id);
        }
    }

    fn remove(&mut self, id: u64) {
        self.scheduler.remove(id);
        self.sequences.remove(&id);
        self.computing.speculation.forget(id);
    }

    /// Computes a plan and gives every sequence its scores.
    fn step(&mut self, plan: &[Work]) {
        self.count_begun(plan);
        let Computing { speculation, pool, .. } = &mut self.computing;
        speculation.guess(plan, (&mut self.sequences, pool), &self.shared.tokenizer);
        let mut caches: Vec<Cache> = plan
            .iter()
            .map(|work| {
                self.sequences.get_mut(&work.id).map(|s| std::mem::take(&mut s.cache)).unwrap_or_default()
            })
            .collect();
        let tokens: Vec<Cow<'_, [u32]>> = plan
            .iter()
            .zip(&caches)
            .map(|(work, cache)| match self.sequences.get(&work.id) {
                Some(sequence) => sequence.to_compute(cache, work.tokens),
                None => Cow::default(),
            })
            .collect();
        let last: Vec<usize> = plan.iter().map(|work| self.rows_scored(work)).collect();
        let mut segments: Vec<Segment<'_>> = plan
            .iter()
            .zip(&mut caches)
            .zip(&tokens)
            .map(|((work, cache), tokens)| Segment { tokens, cache, scores: work.samples })
            .collect();
        let computed = self.computing.executor.forward_last(&mut segments, &last);
        for (work, cache) in plan.iter().zip(caches) {
            if let Some(sequence) = self.sequences.get_mut(&work.id) {
                sequence.cache = cache;
            }
        }
        match computed {
            Ok(scores) => self.give_out(plan, scores),
            Err(error) => {
                for work in plan {
                    if let Some(sequence) = self.sequences.get_mut(&work.id) {
                        sequence.fail(error.clone());
                    }
                    self.remove(work.id);
                }
            }
        }
    }

    /// Counts the tokens of those that are computed for the first time.
    fn count_begun(&mut self, plan: &[Work]) {
        for work in plan {
            if let Some([all, cached]) = self.sequences.get_mut(&work.id).and_then(Sequence::begin) {
                self.shared.tally.prompt_tokens.fetch_add(all as u64, Ordering::Relaxed);
                self.shared.tally.cached_tokens.fetch_add(cached as u64, Ordering::Relaxed);
            }
        }
    }

    /// Rows of the step whose scores choose tokens of this sequence: its last, and those of its guesses.
    fn rows_scored(&self, work: &Work) -> usize {
        let guesses = self.sequences.get(&work.id).map_or(0, |sequence| sequence.guesses().len());
        if work.samples { 1 + guesses } else { 0 }
    }

    /// Lets each sequence choose its tokens; a sequence that fails or ends leaves the others alone.
    fn give_out(&mut self, plan: &[Work], scores: Vec<Vec<f32>>) {
        // Counted before anyone can have seen the step's end.
        let tally = &self.shared.tally;
        tally.steps.fetch_add(1, Ordering::Relaxed);
        tally.prefill_tokens.fetch_add(tokens(plan, true) as u64, Ordering::Relaxed);
        self.chosen = 0;
        let mut scores = scores.into_iter();
        for work in plan {
            self.scheduler.advance(work);
            let rows = self.rows_scored(work);
            let Some(sequence) = self.sequences.get_mut(&work.id) else { continue };
            if rows == 0 {
                continue;
            }
            let rows: Vec<Vec<f32>> = scores.by_ref().take(rows).collect();
            let (progress, chosen) = sequence.extend(&rows, &self.shared);
            if !work.prefill {
                self.chosen += chosen;
            }
            if progress == Progress::Ended {
                self.remove(work.id);
            }
        }
    }

    /// Waits until the step has lasted its least time. What arrives is put in line meanwhile, and what is cancelled
    /// or late gives its place back; only a stop ends the wait.
    fn hold(&mut self, until: Instant) {
        let shared = Arc::clone(&self.shared);
        loop {
            let now = Instant::now();
            let mut inbox = shared.inbox();
            self.empty(&mut inbox);
            if until <= now || matches!(inbox.state, State::Stopping | State::Ended) {
                return;
            }
            // Looked for under the lock that a dropped stream takes before it signals, so that no signal is missed.
            if !self.sequences.values().any(Sequence::is_abandoned) {
                let next = self.sequences.values().filter_map(Sequence::deadline).fold(until, Instant::min);
                drop(shared.changed.wait_timeout(inbox, next.saturating_duration_since(now)));
            }
            self.reap(Instant::now());
        }
    }

    fn measure(&mut self, plan: &[Work], took: Duration) {
        let shape = StepShape {
            prefill_tokens: tokens(plan, true),
            decode_tokens: tokens(plan, false),
            decoding: plan.iter().filter(|work| !work.prefill).count(),
            chosen: self.chosen,
        };
        self.meter.step(shape, took);
        self.batch = plan.len();
    }

    fn publish(&self) {
        let pool = &self.computing.pool;
        let (fill, block) = (pool.fill(), pool.layout().block());
        self.shared.tally.preemptions.store(self.scheduler.preemptions(), Ordering::Relaxed);
        self.shared.tally.evictions.store(fill.given_up, Ordering::Relaxed);
        self.shared.publish(Load {
            running: self.scheduler.running(),
            waiting: self.scheduler.waiting(),
            queued_tokens: self.scheduler.queued_tokens(),
            batch: if self.sequences.is_empty() { 0 } else { self.batch },
            prefill_tokens_per_s: self.meter.prefill_tokens_per_s(),
            seconds_per_token: self.meter.seconds_per_token(),
            seconds_per_token_at: self.meter.seconds_per_token_at(),
            kv_tokens_used: fill.held * block,
            kv_tokens_kept: fill.kept * block,
            kv_tokens_max: fill.max * block,
            kv_block_tokens: block,
            expert_load: Vec::new(),
        });
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.shared.enter(State::Ended);
    }
}

/// Tokens of a plan that were known at submission, or that were not.
fn tokens(plan: &[Work], prefill: bool) -> usize {
    plan.iter().filter(|work| work.prefill == prefill).map(|work| work.tokens).sum()
}
