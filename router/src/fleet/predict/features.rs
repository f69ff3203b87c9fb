//! What times are lines in.

use super::backlog::{Load, Prompts};
use super::{BatchLine, Rates};

/// Prompt tokens that a step takes beside what decodes, in the scale of features only.
const CHUNK_TOKENS: f64 = 512.0;
/// Tokens before which attention costs about a token's other work.
const ATTENTION_TOKENS: f64 = 16_384.0;
/// Sequences and held tokens of a common batch, in the scale of features only.
const BATCH: (f64, f64) = (64.0, 65_536.0);
/// Travel, in the scale of features only, seconds.
const TRAVEL_SECONDS: f64 = 0.01;

/// Features of a time to the first token: travel, the step under way, prompts, the batch beside them, attention, waiting
/// for a place in the batch.
pub(super) fn first_features(scale: Rates, load: &Load, own: Prompts, step: f64) -> [f64; 6] {
    let busy = if load.requests > 0.0 { step } else { 0.0 };
    let [.., prompts, batch, pairs, _] = prompt_features(scale, load.queue.plus(own), step);
    let place = load.ahead * load.answer_tokens * step / load.sequences.max(1.0);
    [TRAVEL_SECONDS, busy, prompts, batch, pairs, place]
}

/// Of these, what prompts add.
pub(super) fn prompt_features(scale: Rates, prompts: Prompts, step: f64) -> [f64; 6] {
    let tokens = prompts.tokens * scale.prompt_token;
    let batch = prompts.tokens / CHUNK_TOKENS * step;
    [0.0, 0.0, tokens, batch, prompts.pairs / ATTENTION_TOKENS * scale.prompt_token, 0.0]
}

/// What is believed of the parameters below before anything was seen, by what a worker says of its batches: each one's mean
/// and standard deviation.
pub(super) fn token_prior(scale: Rates, said: Option<BatchLine>) -> [(f64, f64); 4] {
    let (rest, prompts) = ((0.0, 0.4), (1.0, 0.4));
    let Some(line) = said else { return [(1.0, 0.5), rest, rest, prompts] };
    let step = line.step / scale.output_token;
    let sequences = line.sequence * BATCH.0 / scale.output_token;
    // What was measured at several sizes is the surer, and what it says least of may yet be.
    [(step, 0.5), (sequences, (sequences / 4.0).max(0.4)), rest, prompts]
}

/// Features of a time per output token: a step, sequences, what they hold, seconds of prompts in each step.
pub(super) fn token_features(scale: Rates, sequences: f64, context: f64, prompts: f64) -> [f64; 4] {
    let step = scale.output_token;
    [step, step * sequences / BATCH.0, step * context / BATCH.1, prompts]
}
