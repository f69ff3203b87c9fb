//! Where a journal is written, and its bounds.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::Invalid;

/// Most files of one journal.
const FILES_MAX: u32 = 1_000;

/// How finished files are kept. The present one is always lines of JSON: a crash tears at most the last of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JournalFormat {
    /// JSON Lines.
    #[default]
    Jsonl,
    /// Parquet: a file is bound when it is full and when the process ends, and its lines are then removed.
    Parquet,
    /// Parquet beside JSON Lines.
    Both,
}

/// The log of decisions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JournalOptions {
    /// The file; older ones stand beside it as `FILE.1`, `FILE.2` and so on. Empty: no log is written.
    pub path: PathBuf,
    /// How finished files are kept: `jsonl`, `parquet` (as `FILE.1.parquet` and so on), or `both`.
    pub format: JournalFormat,
    /// Writes the text of requests too. Only where everyone who reads the log may read what people say.
    pub log_text: bool,
    /// Bytes of a file after which the next one is begun.
    pub file_bytes_max: u64,
    /// Files that are kept, the present one included.
    pub files_max: u32,
    /// Lines that wait for the disk; more are dropped and counted.
    pub queue_len_max: usize,
    /// Milliseconds that a line waits in memory for feedback about its answer; 0: no line waits.
    pub feedback_wait_ms: u64,
    /// Lines that wait for feedback, at most; where there are more, the oldest is written without.
    pub feedback_waiting_max: usize,
}

// === impl JournalOptions ===

impl Default for JournalOptions {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            format: JournalFormat::Jsonl,
            log_text: false,
            file_bytes_max: 64 << 20,
            files_max: 8,
            queue_len_max: 4_096,
            feedback_wait_ms: 30_000,
            feedback_waiting_max: 1_024,
        }
    }
}

impl JournalOptions {
    /// Checks the ranges; `table` is the dotted key that holds these fields.
    #[must_use]
    pub fn invalid(&self, table: &str) -> Vec<Invalid> {
        let mut found = Vec::new();
        let mut rule = |holds: bool, field: &str, problem: &str, mend: &str| {
            Invalid::unless(&mut found, holds, &format!("{table}.{field}"), problem, mend);
        };
        let few = (1..=FILES_MAX).contains(&self.files_max);
        rule(few, "files_max", "is not from 1 to 1000", "8 suits most");
        rule(
            self.file_bytes_max > 0,
            "file_bytes_max",
            "is zero, so no line would fit",
            "67108864 suits most",
        );
        rule(
            self.queue_len_max > 0,
            "queue_len_max",
            "is zero, so every line would be dropped",
            "4096 suits most",
        );
        let kept = self.format == JournalFormat::Jsonl || self.files_max > 1;
        rule(kept, "files_max", "is 1, so no file would ever be finished and bound", "8 suits most");
        found
    }
}
