//! What was asked and taken lately, and the odds by which more is held back: the client-side throttling of "Site
//! Reliability Engineering" (O'Reilly, 2016), chapter 21. No clock: time is microseconds from any beginning.

use std::time::Duration;

use crate::config::ThrottleOptions;

/// Parts of the window that are forgotten one by one.
const PARTS: u64 = 24;

/// The last while.
#[derive(Clone, Debug)]
pub(super) struct Window {
    factor: f64,
    requests_min: u64,
    part_us: u64,
    ring: [Part; PARTS as usize],
    requests: u64,
    accepts: u64,
    /// The number of the newest part.
    newest: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Part {
    requests: u64,
    accepts: u64,
}

/// A request that was sent, by the part of the window that it was counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::escalate) struct Ticket(u64);

/// One that is not to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// Requests of the last while, this one among them.
    pub(super) requests: u64,
    /// Those that were taken.
    pub(super) accepts: u64,
    /// Until the oldest of them is forgotten.
    pub(super) rest: Duration,
}

// === impl Window ===

impl Window {
    /// Nothing was asked yet.
    pub(super) fn new(options: &ThrottleOptions) -> Self {
        Self {
            factor: options.factor,
            requests_min: options.requests_min.into(),
            part_us: (options.window_ms.saturating_mul(1000) / PARTS).max(1),
            ring: [Part::default(); PARTS as usize],
            requests: 0,
            accepts: 0,
            newest: 0,
        }
    }

    /// Counts a request; by the odds and its lot in [0, 1) it is to be sent, and then taken to be accepted, or not.
    pub(super) fn ask(&mut self, now_us: u64, lot: f64) -> Result<Ticket, Refused> {
        self.pass(now_us);
        let odds = self.odds();
        self.requests += 1;
        self.part().requests += 1;
        if lot < odds {
            let (requests, accepts) = (self.requests, self.accepts);
            return Err(Refused { requests, accepts, rest: Duration::from_micros(self.part_us) });
        }
        self.accepts += 1;
        self.part().accepts += 1;
        Ok(Ticket(self.newest))
    }

    /// It was not taken after all.
    pub(super) fn refused(&mut self, ticket: Ticket) {
        // One that was forgotten meanwhile counts for nothing any more.
        if self.newest - ticket.0 < PARTS {
            let part = &mut self.ring[(ticket.0 % PARTS) as usize];
            part.accepts = part.accepts.saturating_sub(1);
            self.accepts = self.accepts.saturating_sub(1);
        }
    }

    /// The probability of holding back: max(0, (requests − factor × accepts) / (requests + 1)).
    fn odds(&self) -> f64 {
        if self.requests < self.requests_min {
            return 0.0;
        }
        let (requests, accepts) = (self.requests as f64, self.accepts as f64);
        ((requests - self.factor * accepts) / (requests + 1.0)).max(0.0)
    }

    /// Time passes: what is older than the window is forgotten.
    fn pass(&mut self, now_us: u64) {
        let newest = (now_us / self.part_us).max(self.newest);
        let passed = (newest - self.newest).min(PARTS);
        for number in newest + 1 - passed..=newest {
            // The ring is as long as the window: where the next part goes, the oldest was.
            let old = std::mem::take(&mut self.ring[(number % PARTS) as usize]);
            self.requests -= old.requests;
            self.accepts -= old.accepts;
        }
        self.newest = newest;
    }

    fn part(&mut self) -> &mut Part {
        &mut self.ring[(self.newest % PARTS) as usize]
    }
}

#[cfg(test)]
mod tests;
