//! What can go wrong between a model file and a token, each case with the data needed to act on it.

use std::path::{Path, PathBuf};

/// Everything this crate refuses or fails with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A field of the request is outside what can be served.
    #[error("request field `{field}` {problem}")]
    BadRequest {
        /// The field's name in [`crate::Request`] or [`crate::Sampling`].
        field: &'static str,
        /// What is wrong with it and what is allowed.
        problem: String,
    },
    /// An option is outside its range.
    #[error("option `{field}` {problem}")]
    BadOption {
        /// The field's name in [`crate::Options`].
        field: &'static str,
        /// What is wrong with it and what is allowed.
        problem: String,
    },
    /// The waiting line is full; ask again later or elsewhere.
    #[error("{waiting} requests wait already and the line holds {max}")]
    QueueFull {
        /// Requests waiting.
        waiting: usize,
        /// The line's bound, `queue_len_max`.
        max: usize,
    },
    /// The conversation does not leave room for an answer.
    #[error("the conversation takes at least {prompt_tokens} tokens; at most {max} fit before an answer")]
    OverLong {
        /// Tokens of the rendered conversation, or a lower bound of them when it was not tokenised.
        prompt_tokens: usize,
        /// The most that is allowed, one less than the context.
        max: usize,
    },
    /// A model file cannot be used.
    #[error("model file {}: {part}: {problem}", file.display())]
    Model {
        /// The file or folder.
        file: PathBuf,
        /// The tensor, metadata key or region of the file.
        part: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The model gave numbers that are not numbers for this request; others are unharmed.
    #[error("the model gave no usable scores at token {index} of this answer")]
    Poisoned {
        /// Index of the token that could not be chosen.
        index: usize,
    },
    /// Every block of the KV cache is held by requests, or there is no memory for more.
    #[error("no room in the key and value cache of {tokens_max} tokens")]
    CacheFull {
        /// Tokens that the cache may hold.
        tokens_max: usize,
    },
    /// The constraint of this request cannot be followed any further; others are unharmed.
    #[error("the constraint cannot be followed at token {index} of this answer: {problem}")]
    Constraint {
        /// Index of the token that could not be chosen.
        index: usize,
        /// The grammar library's words: what became too much, or that no token fits.
        problem: String,
    },
    /// The tensor library refused a step.
    #[error("computing a step failed: {problem}")]
    Compute {
        /// The tensor library's words.
        problem: String,
    },
    /// The engine finishes what it has and takes nothing new.
    #[error("the engine drains and takes no new request")]
    Draining,
    /// The engine has stopped.
    #[error("the engine has stopped")]
    Stopped,
}

impl Error {
    pub(crate) fn model(file: &Path, part: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Model { file: file.to_owned(), part: part.into(), problem: problem.into() }
    }

    pub(crate) fn bad_request(field: &'static str, problem: impl Into<String>) -> Self {
        Self::BadRequest { field, problem: problem.into() }
    }
}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Self::Compute { problem: error.to_string() }
    }
}
