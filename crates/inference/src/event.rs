//! What a stream says: text with its tokens, then exactly one end.

use crate::Error;

/// One message of an answer's stream. The last is `Done` or `Failed`.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Text that became visible.
    Delta {
        /// Whole characters; text that may still become a stop string is held back.
        text: String,
        /// The ids whose text this is, in order. Joined over a stream they are every id produced except the
        /// end-of-answer id, which is never listed and not counted. Zero-text ids appear here too.
        tokens: Vec<u32>,
        /// Index within the answer of the first of `tokens`, resumed ids counted.
        first_index: u32,
        /// One for each of `tokens` where the request asks for them, otherwise none.
        logprobs: Vec<Logprobs>,
    },
    /// The answer is complete.
    Done(Done),
    /// The answer cannot be completed.
    Failed(Error),
}

/// How likely a token was, as the model gave it: before bias, penalties, constraint and temperature.
#[derive(Debug, Clone, PartialEq)]
pub struct Logprobs {
    /// Natural logarithm of the chosen token's probability.
    pub logprob: f32,
    /// The likeliest tokens in its place, the likeliest first, the lower id first among equals.
    pub top: Vec<TopLogprob>,
}

/// One of the likeliest tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct TopLogprob {
    /// Its id.
    pub id: u32,
    /// Natural logarithm of its probability.
    pub logprob: f32,
    /// The bytes that it adds to the text; none for a control token.
    pub text: Vec<u8>,
}

/// How an answer ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Done {
    /// Why it ended.
    pub finish: Finish,
    /// What it took.
    pub usage: Usage,
    /// How sure the model was of its own tokens.
    pub confidence: Confidence,
    /// Names of the full blocks of prompt and answer that others can take over, in order; see [`crate::BlockChange`].
    pub blocks: Vec<u64>,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Finish {
    /// The model ended it, or a stop string came.
    Stop,
    /// `max_tokens` or the context was reached.
    Length,
    /// The deadline passed.
    Deadline,
}

/// Tokens an answer took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Tokens of the rendered conversation, resumed ids not counted.
    pub prompt_tokens: usize,
    /// Of those, tokens that needed no computing.
    pub cached_tokens: usize,
    /// Tokens that this stream produced, resumed ids and the end-of-answer id not counted.
    pub output_tokens: usize,
}

/// Probabilities that the model gave to the tokens it chose, under its unscaled distribution.
/// All are 1 for an answer of no token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Confidence {
    /// The least.
    pub min: f32,
    /// The tenth percentile (nearest rank).
    pub p10: f32,
    /// The mean.
    pub mean: f32,
}

impl Confidence {
    /// Quantiles of `probabilities`, which is reordered.
    pub(crate) fn of(probabilities: &mut [f32]) -> Self {
        probabilities.sort_by(f32::total_cmp);
        let count = probabilities.len();
        // The nearest-rank percentile: the smallest value with at least a tenth of all at or below it.
        let rank = count.div_ceil(10).saturating_sub(1);
        let mean = probabilities.iter().map(|p| f64::from(*p)).sum::<f64>() / count.max(1) as f64;
        match probabilities.first() {
            None => Self { min: 1.0, p10: 1.0, mean: 1.0 },
            Some(&min) => Self { min, p10: probabilities[rank], mean: mean as f32 },
        }
    }
}
