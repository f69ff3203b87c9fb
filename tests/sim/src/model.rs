//! A model whose every answer is known beforehand: a function of its hash, the prompt and the index of the token.

use crate::given::mixed;

/// Tokens of the longest answer.
const LENGTH_MAX: u64 = 48;
/// Ids that tokens have.
const VOCABULARY: u64 = 50_000;

/// Tokens of the whole answer to a prompt.
pub(crate) fn length(hash: &str, prompt: &str) -> usize {
    1 + (of(hash, prompt, u64::MAX) % LENGTH_MAX) as usize
}

/// The token at an index of the answer.
pub(crate) fn token(hash: &str, prompt: &str, index: usize) -> u32 {
    (of(hash, prompt, index as u64) % VOCABULARY) as u32
}

/// The answer's tokens, at most so many.
pub(crate) fn tokens(hash: &str, prompt: &str, max: usize) -> Vec<u32> {
    (0..length(hash, prompt).min(max)).map(|index| token(hash, prompt, index)).collect()
}

/// What a token adds to the text.
pub(crate) fn text(token: u32) -> String {
    format!("w{token} ")
}

/// Tokens of a prompt.
pub(crate) fn prompt_tokens(prompt: &str) -> u32 {
    8 + (of("", prompt, 0) % 40) as u32
}

fn of(hash: &str, prompt: &str, index: u64) -> u64 {
    let fold = |state, byte: &u8| mixed(state ^ u64::from(*byte));
    let state = hash.as_bytes().iter().chain(prompt.as_bytes()).fold(mixed(index), fold);
    mixed(state)
}
