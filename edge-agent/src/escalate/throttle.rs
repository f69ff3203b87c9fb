//! When this agent holds back what it would ask its upstream: while that asked for quiet, and in the measure in which it
//! refuses. What is held back is answered here, or ends with an error that says so; nothing waits in silence.

mod window;

use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use mesh::telemetry::{About, Attribute, Counter, Meter};
use parking_lot::Mutex;
use policy::Priority;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::Instant;

pub(super) use self::window::Ticket;
use self::window::Window;
use crate::config::ThrottleOptions;

/// So much longer than it was asked to, at most, an agent is quiet: those who were sent away together must not come back
/// together.
const JITTER: f64 = 0.25;

const HELD: About = About {
    name: "causeway.escalation.held_back",
    unit: "{request}",
    description: "Requests that were not sent upstream, because it asked for quiet or refused many.",
};

static HELD_BACK: LazyLock<Option<Counter>> = LazyLock::new(|| Some(Meter::of_process()?.counter(HELD)));

/// What holds back.
#[derive(Debug)]
pub(super) struct Throttle {
    born: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    window: Window,
    /// Until when it is quiet, by priority.
    quiet_until: [Instant; Priority::ALL.len()],
    random: StdRng,
}

/// Why a request is held back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Held {
    /// The upstream asked for it.
    Quiet {
        /// What is left of the time.
        rest: Duration,
    },
    /// The upstream refused many.
    Throttled {
        /// What this agent would have sent lately.
        requests: u64,
        /// What of it the upstream took.
        accepts: u64,
        /// When the odds will have changed.
        rest: Duration,
    },
}

// === impl Throttle ===

impl Throttle {
    /// Nothing was asked yet.
    pub(super) fn new(options: &ThrottleOptions, seed: u64) -> Self {
        let born = Instant::now();
        let state = State {
            window: Window::new(options),
            quiet_until: [born; Priority::ALL.len()],
            random: StdRng::seed_from_u64(seed),
        };
        Self { born, state: Mutex::new(state) }
    }

    /// Whether a request of this priority may be sent now. It is counted as taken until it is [`Throttle::refused`]: an
    /// answer that is slow to begin is no refusal.
    pub(super) fn ask(&self, priority: Priority) -> Result<Ticket, Held> {
        let now = Instant::now();
        let mut state = self.state.lock();
        let rest = state.quiet_until[rank(priority)].saturating_duration_since(now);
        if !rest.is_zero() {
            return Err(Held::Quiet { rest }.counted());
        }
        let lot = state.random.random_range(0.0..1.0);
        state.window.ask(self.us(now), lot).map_err(|window::Refused { requests, accepts, rest }| {
            Held::Throttled { requests, accepts, rest }.counted()
        })
    }

    /// The upstream did not take it. What it asks for holds for requests that are no more urgent than this one.
    pub(super) fn refused(&self, ticket: Ticket, priority: Priority, pushback: Option<Duration>) {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.window.refused(ticket);
        if let Some(pushback) = pushback {
            let first = rank(priority);
            state.quiet(first, (now, pushback));
        }
    }

    /// The upstream asks everybody for quiet.
    pub(super) fn quiet(&self, time: Duration) {
        self.state.lock().quiet(0, (Instant::now(), time));
    }

    fn us(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.born).as_micros()).unwrap_or(u64::MAX)
    }
}

// === impl State ===

impl State {
    fn quiet(&mut self, first: usize, (now, time): (Instant, Duration)) {
        let until = now + time.mul_f64(1.0 + self.random.random_range(0.0..JITTER));
        for quiet_until in &mut self.quiet_until[first..] {
            *quiet_until = until.max(*quiet_until);
        }
    }
}

// === impl Held ===

impl Held {
    /// When it is worth asking again.
    pub(super) fn rest(&self) -> Duration {
        match self {
            Self::Quiet { rest } | Self::Throttled { rest, .. } => *rest,
        }
    }

    fn counted(self) -> Self {
        if let Some(held_back) = &*HELD_BACK {
            let reason = match self {
                Self::Quiet { .. } => "pushback",
                Self::Throttled { .. } => "throttled",
            };
            held_back.add(1, &[Attribute::new("causeway.reason", reason)]);
        }
        self
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quiet { rest } => {
                write!(f, "held back here: the upstream asked for quiet, for {} ms more", rest.as_millis())
            }
            Self::Throttled { requests, accepts, .. } => {
                write!(f, "held back here: the upstream took {accepts} of the last {requests} requests")
            }
        }
    }
}

/// The most urgent first.
fn rank(priority: Priority) -> usize {
    match priority {
        Priority::Interactive => 0,
        Priority::Normal => 1,
        Priority::Background => 2,
    }
}

#[cfg(test)]
mod tests;
