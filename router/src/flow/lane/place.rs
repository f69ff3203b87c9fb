//! A place among those who wait for a tier, and the turn that comes of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::Lane;
use crate::flow::queue::{Asker, Queue, Spot};
use crate::flow::refusal::{Refusal, Why};

/// What becomes of one that waits.
#[derive(Debug)]
pub(super) enum Fate {
    Turn(Offered),
    Refused(Refusal),
}

/// A turn as it is given.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offered {
    /// The lane's changes that there were by then.
    pub(super) changes: u64,
    /// What those before it are expected to take; `None`: nobody knows.
    pub(super) wait_seconds: Option<f64>,
}

/// The right to take a place at a worker of the tier. Dropping it passes it on.
#[derive(Debug)]
pub(crate) struct Turn {
    lane: Arc<Lane>,
    offered: Offered,
}

/// A place in the queue. Dropping it gives it up.
#[derive(Debug)]
pub(crate) struct Place {
    lane: Arc<Lane>,
    asker: Asker,
    spot: Spot,
    came_us: u64,
    fate: oneshot::Receiver<Fate>,
}

/// One that declined its turn.
#[derive(Debug)]
pub(super) struct Aside {
    asker: Asker,
    spot: Spot,
    came_us: u64,
    fate: oneshot::Sender<Fate>,
}

// === impl Place ===

impl Place {
    pub(super) fn new(
        lane: Arc<Lane>,
        (asker, spot, came_us): (Asker, Spot, u64),
        fate: oneshot::Receiver<Fate>,
    ) -> Self {
        Self { lane, asker, spot, came_us, fate }
    }

    /// Waits for its turn, until this moment at most; `None`: it has not come by then, and may still.
    pub(crate) async fn turn(&mut self, until: Instant) -> Result<Option<Turn>, Refusal> {
        let fate = tokio::select! {
            biased;
            fate = &mut self.fate => fate,
            () = sleep_until(until) => return Ok(None),
        };
        match fate {
            Ok(Fate::Turn(offered)) => Ok(Some(Turn { lane: self.lane.clone(), offered })),
            Ok(Fate::Refused(refusal)) => Err(refusal),
            // Only a lane that is gone forgets its own.
            Err(_) => Err(self.lane.refusal(Why::Expired)),
        }
    }

    /// What is before it, seconds; `None`: nobody knows.
    pub(crate) fn wait_seconds(&self) -> Option<f64> {
        let state = self.lane.state.lock();
        self.lane.seconds_of(state.queue.ahead_of(&self.asker, &self.spot), &state)
    }

    /// It does not take its turn, and waits on where it was; others are asked whether they do. Should there have been room
    /// since that it was not asked about, it is asked again.
    pub(crate) fn decline(&mut self, turn: Turn) {
        let (sender, fate) = oneshot::channel();
        self.fate = fate;
        let mut state = self.lane.state.lock();
        let aside =
            Aside { asker: self.asker.clone(), spot: self.spot.clone(), came_us: self.came_us, fate: sender };
        match turn.offered.changes == state.changes {
            true => state.aside.push(aside),
            false => aside.again(&mut state.queue),
        }
        drop(state);
        drop(turn);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.lane.state.lock();
        let before = state.aside.len();
        state.aside.retain(|aside| aside.spot != self.spot);
        if state.aside.len() < before || state.queue.leave(&self.spot).is_some() {
            self.lane.waiting.store(state.waiting(), Ordering::SeqCst);
            return;
        }
        // Nothing more comes; a turn that did, and was not taken, is somebody else's.
        self.fate.close();
        if let Ok(Fate::Turn(_)) = self.fate.try_recv() {
            state.turns -= 1;
            self.lane.pass_on(&mut state);
        }
    }
}

// === impl Turn ===

impl Turn {
    /// What those before it are expected to take, seconds; `None`: nobody knows.
    pub(crate) fn wait_seconds(&self) -> Option<f64> {
        self.offered.wait_seconds
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.lane.state.lock();
        state.turns -= 1;
        self.lane.pass_on(&mut state);
    }
}

// === impl Aside ===

impl Aside {
    /// What it is expected to take.
    pub(super) fn tokens(&self) -> u64 {
        self.asker.tokens
    }

    /// It waits where it did.
    pub(super) fn again(self, queue: &mut Queue<oneshot::Sender<Fate>>) {
        queue.again(&self.asker, &self.spot, (self.came_us, self.fate));
    }
}
