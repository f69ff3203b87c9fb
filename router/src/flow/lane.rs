//! The wait for one tier: what its workers have room for, who waits for it, who is told that it is its turn.

mod place;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use policy::Name;
use tokio::sync::oneshot;
use tokio::time::Instant;

use self::place::{Aside, Fate, Offered};
pub(crate) use self::place::{Place, Turn};
use super::options::FlowOptions;
use super::queue::{Asker, Bounds, CLASSES, Queue, Sharing, Waiting};
use super::rate::{Rate, Running};
use super::refusal::{Refusal, Why};

/// What stands for a wait that nobody can tell.
const WAIT_UNKNOWN: Duration = Duration::from_secs(1);
/// Those that are asked in turn whether they want room that there is; after them only the last is.
const ASKED_MAX: usize = 8;

/// The workers of one tier and those who wait for them.
///
/// Whoever finds nobody waiting and a worker with room reads two numbers and takes no lock of this. Numbers are written
/// in an order that loses nobody: who waits says so before it looks for room again, and who makes room says so before it
/// looks for those who wait.
///
/// Whose turn it is may decline it, where a worker that is full will have answered it sooner. Room that nobody wants who
/// waits is anybody's, until another worker has room.
#[derive(Debug)]
pub(crate) struct Lane {
    tier: Name,
    bounds: Bounds,
    time_max: Duration,
    born: Instant,
    /// Requests that wait.
    waiting: AtomicUsize,
    /// Workers that can be sent one more.
    room: AtomicUsize,
    /// Workers that take work at all.
    alive: AtomicUsize,
    /// Times that a worker began to have room, or to take work, or ceased to.
    changes: AtomicU64,
    /// As many of them as there were when whoever waits had declined all the room that there was.
    declined: AtomicU64,
    /// Tokens that are expected of what runs, thousandths in a second.
    pace: AtomicU64,
    /// Tokens of what runs, and of what was done.
    held: AtomicU64,
    done: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    queue: Queue<oneshot::Sender<Fate>>,
    rate: Rate,
    /// Turns that are given and not yet over.
    turns: usize,
    /// Those that declined a turn while others are still asked. While there are none of these turns, there are none.
    aside: Vec<Aside>,
    /// The changes that there were when those who wait were last asked.
    changes: u64,
}

/// One worker's part in its lane. Dropping it takes the worker out.
#[derive(Debug)]
pub(crate) struct Worker {
    lane: Arc<Lane>,
    alive: bool,
    room: bool,
}

/// What one request adds to its lane while it runs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Taken {
    /// Its tokens, as expected.
    pub(crate) tokens: u64,
    pace: u64,
}

/// A lane as it is told of.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Level {
    /// Tokens that wait.
    pub(crate) tokens: u64,
    /// Seconds since the first of them came.
    pub(crate) age_seconds: f64,
}

// === impl Lane ===

impl Lane {
    /// Of a tier without workers.
    pub(crate) fn new(tier: Name, options: &FlowOptions) -> Self {
        let sharing =
            Sharing { quantum: options.quantum_tokens.into(), class_share_min: options.class_share_min };
        Self {
            tier,
            bounds: Bounds { len: options.queue_len_max, tokens: options.queue_tokens_max },
            time_max: Duration::from_millis(options.queue_ms_max),
            born: Instant::now(),
            waiting: AtomicUsize::new(0),
            room: AtomicUsize::new(0),
            alive: AtomicUsize::new(0),
            changes: AtomicU64::new(1),
            declined: AtomicU64::new(0),
            pace: AtomicU64::new(0),
            held: AtomicU64::new(0),
            done: AtomicU64::new(0),
            state: Mutex::new(State::new(sharing)),
        }
    }

    /// Its tier.
    pub(crate) fn tier(&self) -> &Name {
        &self.tier
    }

    /// Whether somebody waits: then nobody may go before them.
    pub(crate) fn is_busy(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// Whether those who wait have declined all the room that there is, so that it is for whoever comes.
    pub(crate) fn is_declined(&self) -> bool {
        self.declined.load(Ordering::SeqCst) == self.changes.load(Ordering::SeqCst)
    }

    /// Whether nobody goes before one that comes now and takes room that there is.
    pub(crate) fn is_open(&self) -> bool {
        !self.is_busy() || self.is_declined()
    }

    /// Whether it has workers, and none of them has room for one that comes now.
    pub(crate) fn is_full(&self) -> bool {
        self.is_alive() && !(self.is_open() && self.room.load(Ordering::Relaxed) > 0)
    }

    /// Whether it has a worker that takes work.
    pub(crate) fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Relaxed) > 0
    }

    /// Takes a place among those that wait.
    pub(crate) fn join(self: &Arc<Self>, asker: Asker) -> Result<Place, Refusal> {
        let mut state = self.state.lock();
        let running = self.running();
        if state.waiting() == 0 {
            state.rate.begin(&running);
        }
        let (sender, fate) = oneshot::channel();
        let bounds = self.bounds_now(&state);
        let (spot, left) = state
            .queue
            .join(&asker, bounds, (running.now_us, sender))
            .map_err(|_| self.refusal_of(Why::Full, &state))?;
        for one in left {
            let _ = one.kept.send(Fate::Refused(self.refusal_of(Why::Shed, &state)));
        }
        self.waiting.store(state.waiting(), Ordering::SeqCst);
        // Room that came in the meantime did not find it waiting.
        self.pass_on(&mut state);
        Ok(Place::new(self.clone(), (asker, spot, running.now_us), fate))
    }

    /// Seconds that this one would wait; `None`: nobody knows.
    pub(crate) fn wait_seconds(&self, asker: &Asker) -> Option<f64> {
        let state = self.state.lock();
        self.seconds_of(state.queue.ahead(asker), &state)
    }

    /// The refusal of one that could not even wait.
    pub(crate) fn would_refuse(&self, asker: &Asker) -> Option<Refusal> {
        let state = self.state.lock();
        let full = state.queue.would_refuse(asker, self.bounds_now(&state));
        full.then(|| self.refusal_of(Why::Full, &state))
    }

    /// A refusal for one that asks for this tier now.
    pub(crate) fn refusal(&self, why: Why) -> Refusal {
        self.refusal_of(why, &self.state.lock())
    }

    /// A request that is sent to a worker of the tier, which is expected to take so many seconds.
    pub(crate) fn begin(&self, tokens: u64, seconds: Option<f64>) -> Taken {
        let pace = seconds.map_or(0.0, |seconds| tokens as f64 * 1e3 / seconds.max(1e-3));
        // The cast saturates.
        let taken = Taken { tokens, pace: pace as u64 };
        self.pace.fetch_add(taken.pace, Ordering::Relaxed);
        self.held.fetch_add(taken.tokens, Ordering::Relaxed);
        taken
    }

    /// It has left the worker.
    pub(crate) fn end(&self, taken: Taken) {
        self.pace.fetch_sub(taken.pace, Ordering::Relaxed);
        self.held.fetch_sub(taken.tokens, Ordering::Relaxed);
        self.done.fetch_add(taken.tokens, Ordering::Relaxed);
    }

    /// There may be room: whoever is next is told.
    pub(crate) fn freed(&self) {
        if self.is_busy() {
            self.pass_on(&mut self.state.lock());
        }
    }

    /// What waits in each class.
    pub(crate) fn levels(&self) -> [Level; CLASSES] {
        let now_us = self.now_us();
        let state = self.state.lock();
        std::array::from_fn(|class| Level {
            tokens: state.queue.tokens_of(class),
            age_seconds: state
                .queue
                .oldest_us(class)
                .map_or(0.0, |came_us| now_us.saturating_sub(came_us) as f64 / 1e6),
        })
    }

    /// Gives turns for as many workers as have room, to those of whom nobody has declined it yet. Without any worker nothing
    /// is to be waited for: everybody is let go, and finds that out.
    fn pass_on(&self, state: &mut State) {
        state.rate.look(&self.running());
        let changes = self.changes.load(Ordering::SeqCst);
        if state.changes != changes {
            state.gather();
            state.changes = changes;
        }
        while !self.is_alive() || (state.turns < self.room.load(Ordering::SeqCst) && !self.is_declined()) {
            let Some((next, ahead)) = state.next() else {
                if state.turns == 0 && state.waiting() > 0 {
                    self.declined.store(changes, Ordering::SeqCst);
                }
                break;
            };
            let wait_seconds = self.seconds_of(ahead, state);
            if next.kept.send(Fate::Turn(Offered { changes, wait_seconds })).is_ok() {
                state.turns += 1;
            }
        }
        if state.turns == 0 {
            state.gather();
        }
        self.waiting.store(state.waiting(), Ordering::SeqCst);
    }

    /// Seconds that so many tokens take the tier; `None`: nobody knows.
    fn seconds_of(&self, tokens: u64, state: &State) -> Option<f64> {
        state.rate.now(&self.running()).map(|rate| tokens as f64 / rate)
    }

    /// What may wait now: no more than is done in the time that waiting may take.
    fn bounds_now(&self, state: &State) -> Bounds {
        let rate = state.rate.now(&self.running());
        // The cast saturates.
        let tokens = rate.map_or(u64::MAX, |rate| (rate * self.time_max.as_secs_f64()) as u64);
        Bounds { tokens: self.bounds.tokens.min(tokens), ..self.bounds }
    }

    fn refusal_of(&self, why: Why, state: &State) -> Refusal {
        let tokens = state.queue.tokens();
        let wait = self.seconds_of(tokens, state).and_then(|wait| Duration::try_from_secs_f64(wait).ok());
        Refusal::new(why, Some(self.tier.clone()), (tokens, wait.unwrap_or(WAIT_UNKNOWN)))
    }

    fn running(&self) -> Running {
        Running {
            now_us: self.now_us(),
            done: self.done.load(Ordering::Relaxed),
            held: self.held.load(Ordering::Relaxed),
            expected: self.pace.load(Ordering::Relaxed) as f64 / 1e3,
        }
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

// === impl State ===

impl State {
    fn new(sharing: Sharing) -> Self {
        Self { queue: Queue::new(sharing), rate: Rate::default(), turns: 0, aside: Vec::new(), changes: 0 }
    }

    /// Requests that wait.
    fn waiting(&self) -> usize {
        self.queue.len() + self.aside.len()
    }

    /// Whoever is asked next, and the tokens of those that wait before it: some in their order, and then the one that
    /// waits longest. `None`: all of these were.
    fn next(&mut self) -> Option<(Waiting<oneshot::Sender<Fate>>, u64)> {
        let aside: u64 = self.aside.iter().map(Aside::tokens).sum();
        match self.aside.len() {
            0..ASKED_MAX => self.queue.next().map(|next| (next, aside)),
            ASKED_MAX => {
                let next = self.queue.next_last()?;
                let ahead = aside.saturating_add(self.queue.tokens());
                Some((next, ahead))
            }
            _ => None,
        }
    }

    /// Those that declined are where they were.
    fn gather(&mut self) {
        for aside in self.aside.drain(..) {
            aside.again(&mut self.queue);
        }
    }
}

// === impl Worker ===

impl Worker {
    /// A worker that is not known to take work.
    pub(crate) fn new(lane: Arc<Lane>) -> Self {
        Self { lane, alive: false, room: false }
    }

    /// Its lane.
    pub(crate) fn lane(&self) -> &Arc<Lane> {
        &self.lane
    }

    /// Whether it can be sent one more.
    pub(crate) fn has_room(&self) -> bool {
        self.room
    }

    /// Whether it takes work, and has room for it, from now on. The lane is to be told with [`Lane::freed`].
    pub(crate) fn set(&mut self, alive: bool, room: bool) {
        let room = alive && room;
        let changed = self.alive != alive || (room && !self.room);
        flip(&self.lane.alive, std::mem::replace(&mut self.alive, alive), alive);
        flip(&self.lane.room, std::mem::replace(&mut self.room, room), room);
        if changed {
            self.lane.changes.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.set(false, false);
        self.lane.freed();
    }
}

fn flip(count: &AtomicUsize, was: bool, is: bool) {
    match (was, is) {
        (false, true) => _ = count.fetch_add(1, Ordering::SeqCst),
        (true, false) => _ = count.fetch_sub(1, Ordering::SeqCst),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
