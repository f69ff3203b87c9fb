//! What can go wrong in a worker, and the one place where that becomes a status.

use mesh::admit::refusal;
use tonic::Status;

/// A worker's failures.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The model, or one request to it.
    #[error(transparent)]
    Engine(inference::Error),
    /// A field of a request is outside what this worker serves.
    #[error("`{field}` {problem}")]
    Invalid {
        /// The field, as the wire names it.
        field: &'static str,
        /// What is wrong with it and what is allowed.
        problem: String,
    },
    /// The thread that loads the model ended early.
    #[error("loading the model was aborted")]
    LoadAborted,
    /// The listener.
    #[error("cannot listen: {0}")]
    Listen(#[from] std::io::Error),
    /// The server.
    #[error(transparent)]
    Serve(#[from] mesh::serve::Error),
    /// The engine's thread.
    #[error("cannot start the engine's thread: {0}")]
    Thread(std::io::Error),
    /// The engine's thread panicked.
    #[error("the engine died; its log says why")]
    EngineDied,
    /// A model was asked for that is not the one here.
    #[error("model `{asked}` is not here; this worker has `{here}`")]
    OtherModel {
        /// The name in the request.
        asked: String,
        /// The name of the model that is loaded.
        here: String,
    },
    /// A stream was to be continued that another model began.
    #[error(
        "resume.model_hash is `{asked}`; this worker's model has `{here}`, whose tokens are not the same"
    )]
    OtherTokens {
        /// The hash in the request.
        asked: String,
        /// The hash of the model that is loaded.
        here: String,
    },
    /// The text of all turns is too long.
    #[error("`turns` hold {bytes} bytes of text; at most {max} are allowed")]
    PromptBytes {
        /// Bytes in the request.
        bytes: usize,
        /// `limits.prompt_bytes_max`.
        max: usize,
    },
    /// As many watch the reports as may.
    #[error("{max} watch this worker's reports already")]
    Watchers {
        /// `report.watchers_max`.
        max: usize,
    },
    /// The deadline passed while the answer was made.
    #[error("the deadline of the call passed before it was done")]
    Deadline,
}

/// How long a caller should wait when the engine's line is full, milliseconds.
const PUSHBACK_MS: u64 = 500;

impl From<inference::Error> for Error {
    fn from(error: inference::Error) -> Self {
        match error {
            inference::Error::BadRequest { field, problem } => {
                Self::Invalid { field: on_wire(field), problem }
            }
            error => Self::Engine(error),
        }
    }
}

/// What a request calls a field that the engine has under a name of its own.
fn on_wire(field: &'static str) -> &'static str {
    match field {
        "conversation" => "turns",
        "max_tokens" => "sampling.max_tokens",
        "temperature" => "sampling.temperature",
        "top_p" => "sampling.top_p",
        "min_p" => "sampling.min_p",
        "presence_penalty" => "sampling.presence_penalty",
        "frequency_penalty" => "sampling.frequency_penalty",
        "logit_bias" => "sampling.logit_bias",
        "logprobs" => "sampling.logprobs",
        "repetition_penalty" => "sampling.repetition_penalty",
        "stop" => "sampling.stop",
        "resume" => "resume.token_ids",
        same => same,
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Engine(engine) => of_engine(&engine, text),
            Error::OtherModel { .. } => Self::not_found(text),
            Error::OtherTokens { .. } => Self::failed_precondition(text),
            Error::Invalid { .. } | Error::PromptBytes { .. } => Self::invalid_argument(text),
            Error::Watchers { .. } => refusal(text, PUSHBACK_MS),
            Error::Deadline => Self::deadline_exceeded(text),
            Error::LoadAborted
            | Error::Listen(_)
            | Error::Serve(_)
            | Error::Thread(_)
            | Error::EngineDied => Self::internal(text),
        }
    }
}

/// Retryable elsewhere: a full line, a draining or stopped engine. Not retryable: what the request itself got wrong.
fn of_engine(error: &inference::Error, text: String) -> Status {
    match error {
        inference::Error::OverLong { .. } | inference::Error::Constraint { .. } => {
            Status::invalid_argument(text)
        }
        inference::Error::QueueFull { .. } | inference::Error::CacheFull { .. } => refusal(text, PUSHBACK_MS),
        inference::Error::Draining | inference::Error::Stopped => Status::unavailable(text),
        _ => Status::internal(text),
    }
}

#[cfg(test)]
mod tests;
