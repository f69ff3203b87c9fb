//! The files of rules, and the bounds of a canary.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::Invalid;

/// The largest share that a canary may have: with more it is no canary.
const SHARE_MAX: f64 = 0.5;

/// What is decided by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RolloutOptions {
    /// The policy file.
    pub file: PathBuf,
    /// Milliseconds between two looks at the files; a change is taken when two looks see the same. 0: never again.
    pub reload_interval_ms: u64,
    /// Whether a policy is refused in which checking it finds an error, such as a class that no request reaches.
    pub checked: bool,
    /// Whether a policy is refused that has no checksum of what it says.
    pub sealed: bool,
    /// A policy that decides beside the one in force; what it would have changed is counted and logged.
    pub shadow: Option<PathBuf>,
    /// A policy that decides a share of the requests, until it leaves its bounds.
    pub canary: Option<PathBuf>,
    /// The file that remembers which canaries were taken back, so that a restart does not try them again; unset: it
    /// stands beside the canary's, as `FILE.verdicts`.
    pub canary_verdicts: Option<PathBuf>,
    /// Share of the requests that the canary decides, by a hash of the conversation or the tenant; at most 0.5.
    pub canary_share: f64,
    /// Share of its requests that may fail.
    pub canary_error_rate_max: f64,
    /// Its mean cost of an answer over that of the policy in force.
    pub canary_cost_ratio_max: f64,
    /// Its mean seconds to the last token over those of the policy in force.
    pub canary_latency_ratio_max: f64,
    /// Milliseconds that it is judged over.
    pub canary_window_ms: u64,
    /// Requests without which nothing is judged.
    pub canary_requests_min: u32,
}

// === impl RolloutOptions ===

impl Default for RolloutOptions {
    fn default() -> Self {
        Self {
            file: PathBuf::new(),
            reload_interval_ms: 1_000,
            checked: true,
            sealed: false,
            shadow: None,
            canary: None,
            canary_verdicts: None,
            canary_share: 0.05,
            canary_error_rate_max: 0.05,
            canary_cost_ratio_max: 1.5,
            canary_latency_ratio_max: 1.5,
            canary_window_ms: 30_000,
            canary_requests_min: 20,
        }
    }
}

impl RolloutOptions {
    /// Checks the ranges; `table` is the dotted key that holds these fields.
    #[must_use]
    pub fn invalid(&self, table: &str) -> Vec<Invalid> {
        let mut found = Vec::new();
        let mut rule = |holds: bool, field: &str, problem: &str, mend: &str| {
            Invalid::unless(&mut found, holds, &format!("{table}.{field}"), problem, mend);
        };
        let given = |file: &Option<PathBuf>| file.as_ref().is_none_or(|file| !file.as_os_str().is_empty());
        let policy = !self.file.as_os_str().is_empty();
        rule(policy, "file", "is not set", "name the policy file that requests are decided by");
        rule(given(&self.shadow), "shadow", "is empty", "name a policy file, or leave it out");
        rule(given(&self.canary), "canary", "is empty", "name a policy file, or leave it out");
        rule(given(&self.canary_verdicts), "canary_verdicts", "is empty", "name a file, or leave it out");
        let share = self.canary_share > 0.0 && self.canary_share <= SHARE_MAX;
        rule(share, "canary_share", "is not above 0 and at most 0.5", "0.05 suits most");
        let rate = (0.0..1.0).contains(&self.canary_error_rate_max);
        rule(rate, "canary_error_rate_max", "is not from 0 to below 1", "0.05 suits most");
        let ratio = |ratio: f64| ratio.is_finite() && ratio > 0.0;
        let mend = "1.5 suits most";
        rule(ratio(self.canary_cost_ratio_max), "canary_cost_ratio_max", "is no ratio above 0", mend);
        rule(ratio(self.canary_latency_ratio_max), "canary_latency_ratio_max", "is no ratio above 0", mend);
        let mend = "30000 suits most";
        rule(self.canary_window_ms >= 100, "canary_window_ms", "is below 100", mend);
        rule(self.canary_requests_min > 0, "canary_requests_min", "is zero", "20 suits most");
        let watched = self.canary.is_none() || self.reload_interval_ms > 0;
        rule(
            watched,
            "reload_interval_ms",
            "is zero, so nobody would look after the canary",
            "1000 suits most",
        );
        found
    }
}
