//! How many tokens a tier gets done in a second: as what runs is expected to take, then as it was seen to.
//!
//! By Little's law, what runs gets done at the sum of its tokens over the seconds that each request takes. Those seconds
//! are predicted when it is sent, by what was learned of its worker, so that there is a rate as soon as something runs.
//! While requests wait, the tier has all that it can do, so that what it gets done then is its rate: answers that end
//! sooner than expected, or are left, make it higher. The expected rate counts there as half a second of having been seen (the
//! mean of a gamma distribution as prior), what was seen less the older it is. A tier that gets nothing done has no more
//! than all that runs there over the time since when it has not.

/// No tier is taken to be slower: it would be avoided for ever.
const RATE_MIN: f64 = 1.0;
/// What the expected rate is worth, seconds of seeing.
const PRIOR_SECONDS: f64 = 0.5;
/// After so many seconds what was seen counts for 1/e.
const MEMORY_SECONDS: f64 = 4.0;

/// What is looked at while requests wait for a tier.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rate {
    done: u64,
    since_us: u64,
    /// Tokens that were seen to be done, and over how many seconds.
    seen_tokens: f64,
    seen_seconds: f64,
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
    /// Requests begin to wait: what was done while none did says nothing, and what was seen before that is older now.
    pub(super) fn begin(&mut self, running: &Running) {
        self.age(running);
        (self.done, self.since_us) = (running.done, running.now_us);
    }

    /// They still do.
    pub(super) fn look(&mut self, running: &Running) {
        if running.done == self.done {
            return;
        }
        self.seen_seconds += self.age(running);
        self.seen_tokens += running.done.saturating_sub(self.done) as f64;
        (self.done, self.since_us) = (running.done, running.now_us);
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
        let tokens = running.expected * PRIOR_SECONDS + self.seen_tokens;
        let seen = tokens / (PRIOR_SECONDS + self.seen_seconds);
        Some(seen.min(most).max(RATE_MIN))
    }

    /// What was seen counts less for the seconds since it was last looked at, which come back.
    fn age(&mut self, running: &Running) -> f64 {
        let seconds = running.now_us.saturating_sub(self.since_us) as f64 / 1e6;
        let kept = (-seconds / MEMORY_SECONDS).exp();
        self.seen_tokens *= kept;
        self.seen_seconds *= kept;
        seconds
    }
}

#[cfg(test)]
mod tests;
