//! What the engine tells of itself: the model it holds, its load, and the work it has done.

use std::time::Duration;

/// The loaded model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelInfo {
    /// `general.name` of a GGUF file, otherwise the file's or folder's own name.
    pub name: String,
    /// As the table of architectures in the crate's `README.md` names it.
    pub architecture: String,
    /// BLAKE3 over the weight files in the order of their names; for a single file, its own hash.
    pub hash: [u8; 32],
    /// Weights in all.
    pub parameters: u64,
    /// Weights that take part in one token.
    pub active_parameters: u64,
    /// Tokens of prompt and answer together: the least of the model's and the option's limit.
    pub context_tokens_max: usize,
    /// The type of most of the weights, such as `Q4_0` or `BF16`.
    pub quantization: String,
    /// Token ids known.
    pub vocabulary: usize,
    /// How the weights came in.
    pub loading: LoadReport,
}

/// How a model's weights came into memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LoadReport {
    /// From opening the file to the last matrix in place; without the measurement that follows.
    pub took: Duration,
    /// Where the packed weights lie.
    pub packed: Packed,
    /// Bytes of the file of packed weights; 0 where there is none.
    pub packed_bytes: u64,
}

/// Where packed weights lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Packed {
    /// In memory of this process: no folder is configured for them, or it takes no more.
    #[default]
    InMemory,
    /// In a file that was written now.
    Fresh,
    /// In a file that was there.
    Cached,
}

impl ModelInfo {
    /// The hash in lower-case hexadecimal.
    #[must_use]
    pub fn hash_hex(&self) -> String {
        blake3::Hash::from(self.hash).to_hex().to_string()
    }
}

/// The engine's load as of its last step.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Load {
    /// Requests being computed.
    pub running: usize,
    /// Requests that wait for a place.
    pub waiting: usize,
    /// Prompt tokens not yet computed, of waiting and running requests.
    pub queued_tokens: usize,
    /// Requests in the last step.
    pub batch: usize,
    /// Prompt tokens computed per second, smoothed; measured once at build.
    pub prefill_tokens_per_s: f64,
    /// Time per output token of one request at the present batch in seconds, smoothed; measured once at build.
    pub seconds_per_token: f64,
    /// Tokens in the KV cache.
    pub kv_tokens_used: usize,
    /// Tokens that the KV cache may hold.
    pub kv_tokens_max: usize,
    /// Rows computed by each expert since build, over all layers; empty for a dense model.
    pub expert_load: Vec<u64>,
}

/// Work done since build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Steps computed.
    pub steps: u64,
    /// Prompt and resumed tokens computed.
    pub prefill_tokens: u64,
    /// Tokens chosen.
    pub output_tokens: u64,
    /// Rows that went through an expert: tokens × experts per token × expert layers.
    pub expert_rows: u64,
    /// Requests that ended because their stream was dropped.
    pub cancelled: u64,
    /// Of the tokens chosen, those whose stream had been dropped before.
    pub tokens_after_cancel: u64,
    /// Experts that were needed and in memory, or not; zeros where all stay in memory.
    pub experts: ExpertCounters,
}

/// How a bound on the memory of experts works out, since build. An expert counts once per layer and step that need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExpertCounters {
    /// Needed and in memory.
    pub hits: u64,
    /// Needed and not in memory.
    pub misses: u64,
    /// Asked for because the next layer was expected to need them.
    pub fetched: u64,
    /// Of those, needed by it.
    pub fetched_used: u64,
    /// Expected to be needed by the next layer, in memory or not.
    pub guessed: u64,
    /// Of those, needed by it.
    pub guessed_right: u64,
    /// Times that an expert's memory was given back.
    pub given_back: u64,
    /// Bytes of experts in memory now, counted in the blocks that the system maps.
    pub resident_bytes: u64,
}

impl ExpertCounters {
    /// The share of needed experts that were in memory, from 0 to 1; 1 where none was needed.
    #[must_use]
    pub fn hit_rate(&self) -> f64 {
        rate(self.hits, self.hits + self.misses)
    }

    /// The share of expected experts that were needed, from 0 to 1; 1 where none was expected.
    #[must_use]
    pub fn guess_rate(&self) -> f64 {
        rate(self.guessed_right, self.guessed)
    }
}

fn rate(part: u64, whole: u64) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}
