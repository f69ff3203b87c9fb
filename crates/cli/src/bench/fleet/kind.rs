//! How fast a simulated worker is: measured layer times where there are any, arithmetic for attention, and both stated.

/// Layers of the simulated model, and what a token's keys and values take in one of them, bytes: CodeLlama-34b, which was
/// measured on every kind (48 layers, 8 heads of keys and of values, 128 wide, 16 bits).
const LAYERS: f64 = 48.0;
const CACHE_BYTES: f64 = 2.0 * 8.0 * 128.0 * 2.0;
/// Floating-point operations that one pair of tokens costs in one layer's attention: 4 × 64 heads × 128.
const PAIR_OPERATIONS: f64 = 4.0 * 64.0 * 128.0;
/// Its weights, bytes.
const WEIGHT_BYTES: f64 = 67.5e9;
/// What attention reaches of a machine's bandwidth and of its arithmetic.
const ATTENTION_REACHES: (f64, f64) = (0.7, 0.5);
/// Seconds of each step that are no layer's: scheduling, sampling, the head.
const STEP_OVERHEAD: f64 = 0.003;
/// Share of memory that serves.
const MEMORY_USED: f64 = 0.9;
/// Measured times are for this many tokens and fewer.
const TOKENS_MAX: usize = 4096;

/// One kind of worker.
#[derive(Clone, Debug)]
pub struct Kind {
    /// Such as `a100 x2`.
    pub name: String,
    /// Seconds of one layer without attention, by tokens in the step; index 0 is 1 token.
    layer_seconds: Vec<f64>,
    bytes_per_second: f64,
    operations_per_second: f64,
    /// Tokens whose keys and values it holds.
    pub cache_tokens: u64,
}

/// A GPU as its maker describes it.
#[derive(Clone, Copy, Debug)]
pub struct Gpu {
    /// As the measurements name it.
    pub name: &'static str,
    /// Bytes a second.
    pub bandwidth: f64,
    /// Operations a second, 16 bits, dense.
    pub operations: f64,
    /// Bytes.
    pub memory: f64,
}

/// Data sheets: A100 80 GB SXM, H100 80 GB SXM, A40.
pub const GPUS: [Gpu; 3] = [
    Gpu { name: "a100", bandwidth: 2.04e12, operations: 312e12, memory: 80e9 },
    Gpu { name: "h100", bandwidth: 3.35e12, operations: 989e12, memory: 80e9 },
    Gpu { name: "a40", bandwidth: 0.696e12, operations: 150e12, memory: 48e9 },
];

/// What a step computes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Step {
    /// Tokens, of prompts and of answers.
    pub tokens: u32,
    /// Tokens that the decoding sequences hold.
    pub context: u64,
    /// Pairs of tokens that attention over prompts looks at.
    pub pairs: f64,
}

// === impl Kind ===

impl Kind {
    /// So many GPUs with these measured times, (tokens, milliseconds); without any, by arithmetic alone.
    pub fn new(gpu: Gpu, parallel: u32, mut measured: Vec<(usize, f64)>) -> Self {
        let machines = f64::from(parallel);
        measured.retain(|(tokens, ms)| (1..=TOKENS_MAX).contains(tokens) && *ms > 0.0);
        measured.sort_unstable_by_key(|(tokens, _)| *tokens);
        measured.dedup_by_key(|(tokens, _)| *tokens);
        let seconds = |tokens: usize| {
            interpolated(&measured, tokens).unwrap_or_else(|| roofline(gpu, machines, tokens))
        };
        let free = gpu.memory * machines * MEMORY_USED - WEIGHT_BYTES;
        Self {
            name: format!("{} x{parallel}", gpu.name),
            layer_seconds: (1..=TOKENS_MAX).map(seconds).collect(),
            bytes_per_second: gpu.bandwidth * machines * ATTENTION_REACHES.0,
            operations_per_second: gpu.operations * machines * ATTENTION_REACHES.1,
            cache_tokens: (free / (CACHE_BYTES * LAYERS)).max(1.0) as u64,
        }
    }

    /// Seconds of one step.
    pub fn seconds(&self, step: Step) -> f64 {
        let index = (step.tokens.max(1) as usize - 1).min(TOKENS_MAX - 1);
        let linear = self.layer_seconds.get(index).copied().unwrap_or_default();
        let held = step.context as f64 * CACHE_BYTES / self.bytes_per_second;
        let looked_at = step.pairs * PAIR_OPERATIONS / self.operations_per_second;
        STEP_OVERHEAD + LAYERS * (linear + held + looked_at)
    }
}

/// Between the two nearest measurements; seconds.
fn interpolated(measured: &[(usize, f64)], tokens: usize) -> Option<f64> {
    let after = measured.partition_point(|(at, _)| *at < tokens);
    let (high, high_ms) = *measured.get(after).or(measured.last())?;
    let (low, low_ms) = *measured.get(after.saturating_sub(1))?;
    let share = if high > low { (tokens.saturating_sub(low)) as f64 / (high - low) as f64 } else { 0.0 };
    Some((low_ms + (high_ms - low_ms) * share.clamp(0.0, 1.0)) / 1e3)
}

/// Weights are read once, or arithmetic takes longer.
fn roofline(gpu: Gpu, machines: f64, tokens: usize) -> f64 {
    let read = WEIGHT_BYTES / LAYERS / (gpu.bandwidth * machines * 0.8);
    let computed = WEIGHT_BYTES / LAYERS * tokens as f64 / (gpu.operations * machines * 0.6);
    read.max(computed)
}
