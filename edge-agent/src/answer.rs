//! An answer that has begun, wherever it is made, and what may happen before it has.

use futures_util::stream::BoxStream;
use proto::v1;
use proto::v1::generate_event::Event;
use tonic::{Code, Status};

use crate::error::{Error, Failure};

/// A place's words in a message to the caller, characters.
const MESSAGE_CHARS_MAX: usize = 512;

/// An answer that has begun: it will not be tried elsewhere.
pub(crate) struct Begun {
    /// Who answers, and by which decisions.
    pub(crate) started: v1::Started,
    /// The first event that shows something of the answer.
    pub(crate) first: Event,
    /// The rest, to `done`. Dropping it cancels the work.
    pub(crate) rest: BoxStream<'static, Result<Event, Error>>,
}

/// Why an answer did not begin.
#[derive(Debug)]
pub(crate) enum Setback {
    /// Another place may do better.
    Elsewhere(Failure),
    /// Another place may, though none of its kind: what may be tried again there is spent.
    Spent(Failure),
    /// It was not even asked, and another place may be.
    Held(Failure),
    /// No other place would judge otherwise.
    Final(Error),
}

/// An event as it is sent.
pub(crate) fn sent(event: Event) -> Result<v1::GenerateEvent, Status> {
    Ok(v1::GenerateEvent { event: Some(event) })
}

/// A place's words, bounded.
pub(crate) fn clipped(text: &str) -> String {
    text.chars().take(MESSAGE_CHARS_MAX).collect()
}

// === impl Setback ===

impl Setback {
    /// Its status code, for the span of the attempt.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Elsewhere(failure) | Self::Spent(failure) | Self::Held(failure) => failure.code,
            Self::Final(error) => error.status().code(),
        }
    }
}
