//! When a worker that fails is no longer sent work, and for how long.

use mesh::config::Invalid;
use serde::{Deserialize, Serialize};

/// The breaker of each worker. The best of a tier's workers stays, whatever it does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BreakerOptions {
    /// A worker that fails so many requests in a row is ejected.
    pub failures_max: u32,
    /// One that answers less than this share of its requests is ejected as well, from 0 to 1; 0: however many.
    pub success_rate_min: f64,
    /// Requests within the window below which the share says nothing. A small fleet has few.
    pub requests_min: u32,
    /// Milliseconds for which a request counts in that share.
    pub window_ms: u64,
    /// Milliseconds of the first ejection, give or take a fifth by chance; each further one is twice as long.
    pub eject_min_ms: u64,
    /// The longest.
    pub eject_max_ms: u64,
    /// What a failure weighs, as milliseconds that the worker would take; failures in a row weigh up to five times as
    /// much, and half of it is forgotten after two and a half seconds.
    pub penalty_ms: u64,
}

// === impl BreakerOptions ===

impl Default for BreakerOptions {
    fn default() -> Self {
        Self {
            // linkerd's own.
            failures_max: 7,
            success_rate_min: 0.5,
            requests_min: 5,
            window_ms: 30_000,
            eject_min_ms: 1_000,
            eject_max_ms: 100_000,
            penalty_ms: 1_000,
        }
    }
}

impl BreakerOptions {
    pub(super) fn invalid(&self, found: &mut Vec<Invalid>) {
        let mut rule = |holds: bool, key: &str, problem: &str, mend: &str| {
            Invalid::unless(found, holds, &format!("breaker.{key}"), problem, mend);
        };
        let more = "give 1 or more";
        rule(self.failures_max > 0, "failures_max", "is zero, so nobody would ever be sent anything", more);
        let share = (0.0..=1.0).contains(&self.success_rate_min);
        rule(share, "success_rate_min", "is not from 0 to 1", "0.5 suits most");
        rule(self.requests_min > 0, "requests_min", "is zero", more);
        rule(self.window_ms >= 10, "window_ms", "is too short to count in", "give 10 milliseconds or more");
        rule(
            self.eject_min_ms > 0,
            "eject_min_ms",
            "is zero, so that nobody would be spared a failing worker",
            more,
        );
        let ordered = self.eject_max_ms >= self.eject_min_ms;
        rule(ordered, "eject_max_ms", "is less than breaker.eject_min_ms", "give at least as much");
        let day = self.eject_max_ms <= DAY_MS;
        rule(day, "eject_max_ms", "is more than a day", "100000 suits most");
        rule(self.penalty_ms <= DAY_MS, "penalty_ms", "is more than a day", "1000 suits most");
    }
}

const DAY_MS: u64 = 24 * 3600 * 1000;
