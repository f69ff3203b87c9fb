//! Everything that happens, with its virtual time: hashed, so that two runs can be compared, and shown where asked for.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::given;

/// The course of one simulation.
pub(crate) struct Trace {
    begun: Instant,
    shown: bool,
    bytes: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    hasher: DefaultHasher,
    events: u64,
    violations: Vec<String>,
}

/// What a trace comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Course {
    /// Of all events and their times.
    pub(crate) hash: u64,
    pub(crate) events: u64,
    pub(crate) violations: Vec<String>,
}

// === impl Trace ===

impl Trace {
    /// Begins now. What happens is printed where it is to be `shown`, what arrives where `bytes` are, too.
    pub(crate) fn begin(shown: bool, bytes: bool) -> Self {
        Self { begun: Instant::now(), shown, bytes, state: Mutex::default() }
    }

    /// Virtual time since the beginning.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// The instant so many milliseconds after the beginning.
    pub(crate) fn at(&self, ms: u64) -> Instant {
        self.begun + Duration::from_millis(ms)
    }

    /// Something happened.
    pub(crate) fn note(&self, what: fmt::Arguments<'_>) {
        let elapsed = self.elapsed();
        given::elapsed(elapsed);
        let line = what.to_string();
        let state = &mut *self.state.lock();
        elapsed.hash(&mut state.hasher);
        line.hash(&mut state.hasher);
        state.events += 1;
        if self.shown {
            println!("{:>9.3} {line}", elapsed.as_secs_f64());
        }
    }

    /// Bytes arrived: all of them count, and their text is shown.
    pub(crate) fn arrived(&self, wire: u64, bytes: &[u8]) {
        let elapsed = self.elapsed();
        given::elapsed(elapsed);
        let state = &mut *self.state.lock();
        (elapsed, wire, bytes).hash(&mut state.hasher);
        state.events += 1;
        if self.bytes {
            println!("{:>9.3} wire {wire}: {}", elapsed.as_secs_f64(), bytes.escape_ascii());
        }
    }

    /// Something happened that must not.
    pub(crate) fn violated(&self, what: fmt::Arguments<'_>) {
        self.note(format_args!("VIOLATION {what}"));
        let at = self.elapsed().as_secs_f64();
        self.state.lock().violations.push(format!("at {at:.3} s: {what}"));
    }

    /// What it comes to.
    pub(crate) fn course(&self) -> Course {
        let state = self.state.lock();
        Course { hash: state.hasher.finish(), events: state.events, violations: state.violations.clone() }
    }
}
