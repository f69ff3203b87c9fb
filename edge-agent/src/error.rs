//! Everything that can go wrong in the agent, and what its callers are told of it.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use hop::listed;
use mesh::admit::RETRY_PUSHBACK;
use policy::Name;
use tonic::{Code, Status};

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read.
    #[error("`{}` cannot be read: {source}; set `{key}` to a file that can", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The key that names it.
        key: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// The home's file cannot be used.
    #[error("{file}:{line}:{column}: {text}")]
    Home {
        /// The file.
        file: String,
        /// Line of the fault, counted from 1.
        line: usize,
        /// Column of the fault in characters, counted from 1.
        column: usize,
        /// What is wrong.
        text: String,
    },
    /// It cannot decide.
    #[error(transparent)]
    Hop(#[from] hop::Error),
    /// The model cannot be loaded.
    #[error(transparent)]
    Model(inference::Error),
    /// The engine's thread could not be started, or did not end as it should.
    #[error("the engine's thread {problem}")]
    Engine {
        /// What became of it.
        problem: String,
    },
    /// The address could not be taken.
    #[error("cannot listen on {0}; set `listen.address` to a free address of this machine")]
    Bind(std::io::Error),
    /// Serving could not begin.
    #[error(transparent)]
    Serve(mesh::serve::Error),
    /// The keys for tokens, or the token for the upstream, cannot be used.
    #[error(transparent)]
    Token(#[from] mesh::token::Error),
    /// The request breaks a rule of the wire contract or a limit of this agent.
    #[error(transparent)]
    Invalid(#[from] policy::wire::request::Invalid),
    /// The model asked for is not here, and there is nobody to ask.
    #[error("the model `{wanted}` is not here, and no upstream is configured; known are {}", listed(known))]
    ModelUnknown {
        /// The model asked for.
        wanted: String,
        /// The models here.
        known: Vec<String>,
    },
    /// The request names a place as the only one, and there is none of that name.
    #[error("there is no place or tier `{wanted}`; known are {}", listed(known))]
    PlaceUnknown {
        /// The place asked for.
        wanted: String,
        /// The places and tiers that there are.
        known: Vec<String>,
    },
    /// No place remained.
    #[error("no place can answer: {}", Reasons { removed, failures })]
    NoPlace {
        /// The places that the last decision removed.
        removed: Vec<Removed>,
        /// The attempts that failed before it.
        failures: Vec<Failure>,
    },
    /// The caller's time was over.
    #[error("the deadline passed before the answer was complete")]
    DeadlinePassed,
    /// A place judged the request itself to be wrong: no other would judge otherwise.
    #[error("{place}: {message}")]
    Refused {
        /// The place.
        place: Name,
        /// Its status.
        code: Code,
        /// Its words.
        message: String,
    },
    /// An answer ended too early, after the caller had seen a part of it.
    #[error("{place} ended in the midst of its answer: {message}")]
    Broken {
        /// The place.
        place: Name,
        /// Its status.
        code: Code,
        /// Its words.
        message: String,
    },
}

/// A place that a decision removed.
#[derive(Clone, Debug)]
pub struct Removed {
    /// The place.
    pub place: Name,
    /// Why, such as `privacy`.
    pub code: &'static str,
    /// Why, for people.
    pub text: String,
}

/// An attempt that failed before its first event.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Where.
    pub place: Name,
    /// What the place said, or what the way there did.
    pub code: Code,
    /// The same for people.
    pub message: String,
    /// How long the place asked to be left alone.
    pub pushback: Option<Duration>,
}

/// The policy's code for a place that takes no work.
pub(crate) const UNHEALTHY: &str = "unhealthy";
/// And for one that could not answer in time.
const TOO_SLOW: &str = "deadline";

// === impl Error ===

impl Error {
    /// A fault of a home's file, at the start of a span of its text.
    pub(crate) fn home(file: &str, text: &str, span: Option<Range<usize>>, fault: String) -> Self {
        let before = span.and_then(|span| text.get(..span.start)).unwrap_or("");
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        Self::Home { file: file.to_owned(), line, column, text: fault }
    }

    /// Whether the same request may succeed a little later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::NoPlace { removed, failures } => {
                failures.iter().any(Failure::is_passing)
                    || !self.is_for_want_of_time() && removed.iter().any(|removed| removed.code == UNHEALTHY)
            }
            Self::Broken { code, .. } => *code == Code::Unavailable,
            Self::Unreadable { .. }
            | Self::Home { .. }
            | Self::Hop(_)
            | Self::Model(_)
            | Self::Engine { .. }
            | Self::Bind(_)
            | Self::Serve(_)
            | Self::Token(_)
            | Self::Invalid(_)
            | Self::ModelUnknown { .. }
            | Self::PlaceUnknown { .. }
            | Self::DeadlinePassed
            | Self::Refused { .. } => false,
        }
    }

    /// Whether a place that would have stood otherwise was too slow for the caller's deadline: the same request has no
    /// better luck later, and one with more time has it at once.
    fn is_for_want_of_time(&self) -> bool {
        match self {
            Self::NoPlace { removed, failures } => {
                removed.iter().any(|removed| removed.code == TOO_SLOW)
                    || failures.iter().any(|failure| failure.code == Code::DeadlineExceeded)
            }
            _ => false,
        }
    }

    /// Whether the request was at fault, and not what should have answered it.
    pub(crate) fn is_the_callers(&self) -> bool {
        matches!(
            self,
            Self::Invalid(_) | Self::ModelUnknown { .. } | Self::PlaceUnknown { .. } | Self::Refused { .. }
        )
    }

    /// What the caller is told.
    pub(crate) fn status(&self) -> Status {
        let code = match self {
            Self::Unreadable { .. }
            | Self::Home { .. }
            | Self::Hop(_)
            | Self::Model(_)
            | Self::Engine { .. }
            | Self::Bind(_)
            | Self::Serve(_)
            | Self::Token(_) => return Status::internal("the agent failed; its log says how"),
            Self::Invalid(_) => Code::InvalidArgument,
            Self::ModelUnknown { .. } | Self::PlaceUnknown { .. } => Code::NotFound,
            Self::NoPlace { failures, .. } if self.is_retryable() => {
                let full = |failure: &Failure| failure.code == Code::ResourceExhausted;
                if !failures.is_empty() && failures.iter().all(full) {
                    Code::ResourceExhausted
                } else {
                    Code::Unavailable
                }
            }
            Self::NoPlace { .. } if self.is_for_want_of_time() => Code::DeadlineExceeded,
            Self::NoPlace { .. } => Code::FailedPrecondition,
            Self::DeadlinePassed => Code::DeadlineExceeded,
            Self::Refused { code, .. } | Self::Broken { code, .. } => *code,
        };
        let mut status = Status::new(code, self.to_string());
        if let Some(pushback) = self.pushback() {
            let ms = u64::try_from(pushback.as_millis()).unwrap_or(u64::MAX);
            status.metadata_mut().insert(RETRY_PUSHBACK, ms.into());
        }
        status
    }

    /// The least that any full place asked for.
    fn pushback(&self) -> Option<Duration> {
        match self {
            Self::NoPlace { failures, .. } => failures.iter().filter_map(|failure| failure.pushback).min(),
            _ => None,
        }
    }
}

// === impl Failure ===

impl Failure {
    /// Whether it may be over a little later: whatever is not the request's own doing.
    fn is_passing(&self) -> bool {
        !matches!(
            self.code,
            Code::InvalidArgument
                | Code::FailedPrecondition
                | Code::PermissionDenied
                | Code::Unauthenticated
                | Code::DeadlineExceeded
        )
    }
}

struct Reasons<'a> {
    removed: &'a [Removed],
    failures: &'a [Failure],
}

impl fmt::Display for Reasons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tried = |place: &Name| self.failures.iter().any(|failure| failure.place == *place);
        let failures = self.failures.iter().map(|failure| format!("{}: {}", failure.place, failure.message));
        let removed = self.removed.iter().filter(|removed| !tried(&removed.place));
        let removed =
            removed.map(|removed| format!("{}: {} ({})", removed.place, removed.text, removed.code));
        let reasons: Vec<_> = failures.chain(removed).collect();
        f.write_str(&reasons.join("; "))
    }
}

#[cfg(test)]
mod tests;
