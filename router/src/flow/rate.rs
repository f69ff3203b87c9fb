//! How many tokens a tier gets done in a second: as what runs is expected to take, unless it takes longer than that.
//!
//! By Little's law, what runs gets done at the sum of its tokens over the seconds that each request takes. Those seconds
//! are predicted when it is sent, by what was learned of its worker, so that there is a rate as soon as something runs. A
//! tier that gets nothing done has no more than all that runs there over the time since when it has not.

/// No tier is taken to be slower: it would be avoided for ever.
const RATE_MIN: f64 = 1.0;

/// What is looked at while requests wait for a tier.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rate {
    done: u64,
    since_us: u64,
}

/// What runs in a tier at a moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Running {
    /// Microseconds, from any beginning.
    pub(super) now_us: u64,
    /// Tokens that were done so far.
    pub(super) done: u64,
    /// Tokens that what runs is expected to take.
    pub(super) held: u64,
    /// Tokens of it that are expected to be done in a second; 0: nobody knows.
    pub(super) expected: f64,
}

// === impl Rate ===

impl Rate {
    /// Requests begin to wait: what was or was not done before says nothing.
    pub(super) fn begin(&mut self, running: &Running) {
        (self.done, self.since_us) = (running.done, running.now_us);
    }

    /// They still do.
    pub(super) fn look(&mut self, running: &Running) {
        if running.done != self.done {
            self.begin(running);
        }
    }

    /// Tokens in a second; `None`: nobody knows.
    pub(super) fn now(&self, running: &Running) -> Option<f64> {
        if running.expected <= 0.0 {
            return None;
        }
        let stalled = match running.done == self.done {
            true => running.now_us.saturating_sub(self.since_us) as f64 / 1e6,
            false => 0.0,
        };
        let most = if stalled > 0.0 { running.held as f64 / stalled } else { f64::INFINITY };
        Some(running.expected.min(most).max(RATE_MIN))
    }
}

#[cfg(test)]
mod tests;
