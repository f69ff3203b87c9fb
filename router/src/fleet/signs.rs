//! Signs of life of one worker: when it was last heard, and what waits for it to be heard again.
//!
//! A worker whose process is stopped keeps its connections, and refuses nothing. What tells it from a slow one is that
//! nothing at all comes of it, neither reports nor tokens.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Signs of one worker. Times are since it became known, so that a token costs no lock.
#[derive(Debug, Default)]
pub(super) struct Signs {
    /// When it was last heard, microseconds.
    heard_us: AtomicU64,
    /// When an answer of it had been silent for too long, microseconds; 0: never.
    doubted_us: AtomicU64,
    /// Requests that it has not answered at all so far.
    unanswered: AtomicU32,
}

// === impl Signs ===

impl Signs {
    /// A report or a token came.
    pub(super) fn heard(&self, at: Duration) {
        self.heard_us.fetch_max(micros(at), Ordering::Relaxed);
    }

    /// One of its answers is silent for longer than an answer should be.
    pub(super) fn doubt(&self, at: Duration) {
        self.doubted_us.fetch_max(micros(at).max(1), Ordering::Relaxed);
    }

    /// A request was sent.
    pub(super) fn asked(&self) {
        self.unanswered.fetch_add(1, Ordering::Relaxed);
    }

    /// One that was sent has been answered, or was given up.
    pub(super) fn settled(&self) {
        self.unanswered.fetch_sub(1, Ordering::Relaxed);
    }

    /// For how long it has been silent, if that speaks against more work: an answer was silent for too long and nothing
    /// came since; or nothing came for `patience`, and a request waits for just that. One that never `reports` says
    /// nothing between its answers, so that a doubt of it ends by itself.
    pub(super) fn silent(&self, now: Duration, patience: Duration, reports: bool) -> Option<Duration> {
        let heard = Duration::from_micros(self.heard_us.load(Ordering::Relaxed));
        let doubted = Duration::from_micros(self.doubted_us.load(Ordering::Relaxed));
        let silence = now.saturating_sub(heard);
        let in_doubt = doubted > heard && (reports || now.saturating_sub(doubted) < patience);
        let waits = reports && silence > patience && self.unanswered.load(Ordering::Relaxed) > 0;
        (in_doubt || waits).then_some(silence)
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
