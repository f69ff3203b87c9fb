//! The tables that every hop that decides has alike.

use std::path::PathBuf;

use mesh::config::Invalid;
use mesh::journal::{Bind, JournalOptions};
use serde::{Deserialize, Serialize};

/// More free retries a second bound nothing.
const RETRIES_PER_SECOND_MAX: u32 = 1_000_000;

/// What a desk is opened with.
#[derive(Clone, Copy, Debug)]
pub struct DeskOptions<'a> {
    /// What the hop is called in decisions.
    pub hop: &'static str,
    /// Its log of decisions.
    pub decisions: &'a JournalOptions,
    /// What makes Parquet of the log's finished files; `None`: this hop writes lines only.
    pub bind: Option<Bind>,
    /// What it counts.
    pub budgets: &'a BudgetOptions,
    /// What it remembers.
    pub feedback: &'a FeedbackOptions,
}

/// What a hop counts of the policy's budgets and escalation caps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BudgetOptions {
    /// Tenants, devices and classes that are counted apart; who comes later shares one of each budget and cap.
    pub accounts_max: usize,
    /// The file in which what was spent outlives the process; unset: it stands beside the log of decisions, as
    /// `FILE.books`, and nowhere where no log is written.
    pub path: Option<PathBuf>,
    /// Least milliseconds between two writings of that file: what a kill may forget.
    pub write_interval_ms: u64,
}

/// What a hop does when a place fails before its first token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryOptions {
    /// Places that are tried for one request.
    pub attempts_max: u32,
    /// Attempts after the first that are made for every hundred requests, over ten seconds; see [`mesh::retry`].
    pub budget_percent: f64,
    /// Such attempts besides, for each second.
    pub budget_per_second: u32,
}

/// What a hop remembers of the answers that it gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeedbackOptions {
    /// Answers that feedback may still be given on.
    pub ids_max: usize,
}

// === impl BudgetOptions ===

impl Default for BudgetOptions {
    fn default() -> Self {
        Self { accounts_max: 4_096, path: None, write_interval_ms: 1_000 }
    }
}

impl BudgetOptions {
    /// Checks the ranges; `table` is the dotted key that holds these fields.
    #[must_use]
    pub fn invalid(&self, table: &str) -> Vec<Invalid> {
        let mut found = Vec::new();
        let mut rule = |holds: bool, field: &str, problem: &str, mend: &str| {
            Invalid::unless(&mut found, holds, &format!("{table}.{field}"), problem, mend);
        };
        let counts = self.accounts_max > 0;
        rule(counts, "accounts_max", "is zero, so nothing could be counted", "give 1 or more");
        let given = self.path.as_ref().is_none_or(|path| !path.as_os_str().is_empty());
        rule(given, "path", "is empty", "name a file, or leave it out");
        rule(self.write_interval_ms > 0, "write_interval_ms", "is zero", "1000 suits most");
        found
    }
}

// === impl RetryOptions ===

impl Default for RetryOptions {
    fn default() -> Self {
        // What Finagle and tower begin with.
        Self { attempts_max: 3, budget_percent: 20.0, budget_per_second: 10 }
    }
}

impl RetryOptions {
    /// Checks the ranges; `table` is the dotted key that holds these fields.
    #[must_use]
    pub fn invalid(&self, table: &str) -> Vec<Invalid> {
        let mut found = Vec::new();
        let mut rule = |holds: bool, field: &str, problem: &str, mend: &str| {
            Invalid::unless(&mut found, holds, &format!("{table}.{field}"), problem, mend);
        };
        let tried = self.attempts_max > 0;
        rule(tried, "attempts_max", "is zero, so no place would be tried", "give 1 or more");
        let percent = (0.0..=1000.0).contains(&self.budget_percent);
        rule(percent, "budget_percent", "is not from 0 to 1000", "20 suits most");
        let rate = self.budget_per_second <= RETRIES_PER_SECOND_MAX;
        rule(rate, "budget_per_second", "is more than 1000000, which is no bound", "10 suits most");
        found
    }

    /// The budget of this hop.
    #[must_use]
    pub fn budget(&self) -> mesh::retry::Budget {
        mesh::retry::Budget::new(self.budget_percent, self.budget_per_second)
    }
}

// === impl FeedbackOptions ===

impl Default for FeedbackOptions {
    fn default() -> Self {
        Self { ids_max: 4_096 }
    }
}
