//! How much a router remembers of what its workers' caches hold.

use mesh::config::Invalid;
use serde::{Deserialize, Serialize};

/// Most holds: each takes about a hundred and fifty bytes.
const HOLDS_MAX: usize = 1 << 24;
/// Bounds of a chunk, bytes.
const CHUNK_BYTES: std::ops::RangeInclusive<usize> = 64..=65_536;

/// What is remembered of prompts: names of their beginnings, none of their text. A hold is one beginning at one worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PrefixOptions {
    /// Bytes of a turn after which another beginning is named; every turn's end is.
    pub chunk_bytes: usize,
    /// Holds of all workers; 0: nothing is remembered.
    pub holds_max: usize,
    /// Holds of one worker.
    pub worker_holds_max: usize,
    /// Workers that are known to hold the same beginning.
    pub holders_max: usize,
    /// Room of the cache of a worker that does not say, tokens.
    pub tokens_unsaid: u64,
}

// === impl PrefixOptions ===

impl Default for PrefixOptions {
    fn default() -> Self {
        Self {
            chunk_bytes: 512,
            holds_max: 1 << 18,
            worker_holds_max: 1 << 16,
            holders_max: 128,
            tokens_unsaid: 1 << 16,
        }
    }
}

impl PrefixOptions {
    /// What makes it unusable, its keys within `table`.
    pub(super) fn invalid(&self, table: &str, found: &mut Vec<Invalid>) {
        let mut rule = |holds: bool, key: &str, problem: &str, mend: &str| {
            Invalid::unless(found, holds, &format!("{table}.{key}"), problem, mend);
        };
        rule(
            CHUNK_BYTES.contains(&self.chunk_bytes),
            "chunk_bytes",
            "is not from 64 to 65536",
            "512 suits most",
        );
        let most = "is more than 16777216";
        rule(self.holds_max <= HOLDS_MAX, "holds_max", most, "0 turns it off, 262144 suits most");
        let some = (1..=HOLDS_MAX).contains(&self.worker_holds_max);
        rule(some, "worker_holds_max", "is not from 1 to 16777216", "65536 suits most");
        let some = (1..=4096).contains(&self.holders_max);
        rule(some, "holders_max", "is not from 1 to 4096", "128 suits most");
    }
}
