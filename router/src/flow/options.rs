//! How long requests may wait, how they share, and how far a worker's limit may move.

use std::collections::BTreeMap;

use mesh::config::Invalid;
use serde::{Deserialize, Serialize};

/// How requests wait for a tier whose workers are full.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FlowOptions {
    /// Requests that wait for one tier at once.
    pub queue_len_max: usize,
    /// Tokens that all of them together are expected to take, prompts and answers.
    pub queue_tokens_max: u64,
    /// The same in time, milliseconds: no more waits than the tier is expected to take in this time.
    pub queue_ms_max: u64,
    /// Tokens that a tenant of weight 1 may take in its turn (the quantum of deficit round robin).
    pub quantum_tokens: u32,
    /// The share of its tier that a class is kept while classes above it want all of it; 0: none.
    pub class_share_min: f64,
    /// The weight of a tenant, by the name that its certificate gives it; of any other it is 1.
    pub weights: BTreeMap<String, f64>,
    /// How many requests a worker is sent at once.
    pub limit: LimitOptions,
}

/// How many requests a worker is sent at once: as many as do not make the first token late.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitOptions {
    /// Where it begins for a worker that does not say how many it runs.
    pub initial: u32,
    /// It is never less.
    pub min: u32,
    /// It is never more.
    pub max: u32,
    /// First tokens may take so many times the least that they were seen to take before the limit is lowered.
    pub tolerance: f64,
}

// === impl FlowOptions ===

impl Default for FlowOptions {
    fn default() -> Self {
        Self {
            queue_len_max: 1024,
            queue_tokens_max: 1 << 20,
            queue_ms_max: 2_000,
            quantum_tokens: 1024,
            class_share_min: 0.05,
            weights: BTreeMap::new(),
            limit: LimitOptions::default(),
        }
    }
}

impl FlowOptions {
    /// Checks the ranges; `table` is the dotted key that holds these fields.
    #[must_use]
    pub fn invalid(&self, table: &str) -> Vec<Invalid> {
        let mut found = Vec::new();
        let mut rule = |holds: bool, field: &str, problem: &str, mend: &str| {
            Invalid::unless(&mut found, holds, &format!("{table}.{field}"), problem, mend);
        };
        let none = "is zero, so that nothing could wait";
        rule(self.queue_len_max > 0, "queue_len_max", none, "1024 suits most");
        rule(self.queue_tokens_max > 0, "queue_tokens_max", none, "1048576 suits most");
        rule(self.queue_ms_max > 0, "queue_ms_max", none, "2000 suits most");
        rule(
            self.quantum_tokens > 0,
            "quantum_tokens",
            "is zero, so that no turn would come",
            "give 1 or more",
        );
        let share = (0.0..=0.5).contains(&self.class_share_min);
        rule(share, "class_share_min", "is not from 0 to 0.5", "0.05 suits most");
        for (tenant, weight) in &self.weights {
            let field = format!("weights.{tenant}");
            rule(
                (0.001..=1000.0).contains(weight),
                &field,
                "is not from 0.001 to 1000",
                "1 is the usual weight",
            );
        }
        let LimitOptions { initial, min, max, tolerance } = self.limit;
        rule(min > 0, "limit.min", "is zero, so that a worker could be sent nothing", "give 1 or more");
        let within = (min..=max).contains(&initial);
        rule(within, "limit.initial", "is not from limit.min to limit.max", "16 suits most");
        let tolerant = (1.0..=100.0).contains(&tolerance);
        rule(tolerant, "limit.tolerance", "is not from 1 to 100", "2 suits most");
        found
    }
}

// === impl LimitOptions ===

impl Default for LimitOptions {
    fn default() -> Self {
        Self { initial: 16, min: 1, max: 1024, tolerance: 2.0 }
    }
}
