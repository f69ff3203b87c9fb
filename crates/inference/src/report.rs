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
    /// Engines of the same model hash and the same class compute the same bits: the form of the kernels, since sums of
    /// float products depend on it, and how keys and values are kept, such as `avx512-f16`.
    pub numeric_class: String,
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
    /// Time per output token in seconds by requests at a time, smoothed over steps without prefill: from so many on, up
    /// to the next entry. Only what was measured.
    pub seconds_per_token_at: Vec<(usize, f64)>,
    /// Room in the KV cache that requests hold, in whole blocks; what they share counts once.
    pub kv_tokens_used: usize,
    /// Room with what nobody uses now and later requests may take over; given up where others need it.
    pub kv_tokens_kept: usize,
    /// Tokens that the KV cache may hold.
    pub kv_tokens_max: usize,
    /// Tokens of one of its blocks.
    pub kv_block_tokens: usize,
    /// Rows computed by each expert since build, over all layers; empty for a dense model.
    pub expert_load: Vec<u64>,
}

impl Load {
    /// The busiest expert's rows over the mean of all: 1 where all are alike; 0 where there are none.
    #[must_use]
    pub fn expert_imbalance(&self) -> f64 {
        imbalance(&self.expert_load)
    }
}

/// The greatest over the mean; 0 where there is nothing.
#[must_use]
pub fn imbalance(rows: &[u64]) -> f64 {
    let sum: u64 = rows.iter().sum();
    let greatest = rows.iter().max().copied().unwrap_or(0);
    if sum == 0 { 0.0 } else { greatest as f64 * rows.len() as f64 / sum as f64 }
}

/// Work done since build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Steps computed.
    pub steps: u64,
    /// Prompt and resumed tokens computed, and those computed again.
    pub prefill_tokens: u64,
    /// Prompt and resumed tokens of the requests that have begun.
    pub prompt_tokens: u64,
    /// Of those, tokens that were taken over from the cache.
    pub cached_tokens: u64,
    /// Times that a request lost its blocks to others and had to wait.
    pub preemptions: u64,
    /// Blocks of the cache that were given up for others to use.
    pub evictions: u64,
    /// Tokens chosen.
    pub output_tokens: u64,
    /// Rows that went through an expert: tokens × experts per token × expert layers.
    pub expert_rows: u64,
    /// Requests that ended because their stream was dropped.
    pub cancelled: u64,
    /// Of the tokens chosen, those whose stream had been dropped before.
    pub tokens_after_cancel: u64,
    /// Tokens guessed ahead and checked.
    pub drafted_tokens: u64,
    /// Of those, the ones that were chosen; their share is the acceptance rate.
    pub accepted_tokens: u64,
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

/// A change of the blocks that a new request can take over instead of computing them. Names are hashes of the model, of
/// who may share, and of every token up to the block's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockChange {
    /// A full block can be found.
    Stored {
        /// Its name.
        block: u64,
        /// The name of the block that it follows, or of the beginning of everything that the same caller may share.
        after: u64,
        /// Tokens that it holds.
        tokens: usize,
    },
    /// A block cannot be found any more.
    Removed {
        /// Its name.
        block: u64,
    },
}

/// Some changes in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockChanges {
    /// Whether changes before these were missed: what was known of the blocks is to be forgotten.
    pub missed: bool,
    /// The oldest first.
    pub changes: Vec<BlockChange>,
    /// What to ask from next.
    pub next: u64,
}
