//! Everything that can go wrong in the router, and what its callers are told of it.

use std::fmt;
use std::time::Duration;

use hop::listed;
use mesh::admit::RETRY_PUSHBACK;
use policy::Name;
use proto::{Message as _, v1};
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use crate::flow::Refusal;

/// Most places that a message lists.
const LISTED_MAX: usize = 16;

/// Watchers stay for long, so that there is no sense in asking again at once.
const OUTLOOK_PUSHBACK: Duration = Duration::from_secs(10);

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot decide.
    #[error(transparent)]
    Hop(#[from] hop::Error),
    /// The address could not be taken.
    #[error("cannot listen on {0}; set `listen.address` to a free address of this machine")]
    Bind(std::io::Error),
    /// Serving could not begin.
    #[error(transparent)]
    Serve(mesh::serve::Error),
    /// The keys for tokens cannot be used.
    #[error(transparent)]
    Token(#[from] mesh::token::Error),
    /// The request breaks a rule of the wire contract or a limit of this router.
    #[error(transparent)]
    Invalid(#[from] policy::wire::request::Invalid),
    /// No worker serves the model asked for.
    #[error("no worker serves the model `{wanted}`; known are {}{}", listed(known), Unheard(*unheard))]
    ModelUnknown {
        /// The model asked for.
        wanted: String,
        /// The models that workers said they serve.
        known: Vec<String>,
        /// Workers that have not said yet.
        unheard: usize,
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
    /// As many attempts were made again, by callers and by this router, as the budget allows.
    #[error("the budget of retries is spent{}", Tried(failures))]
    RetriesSpent {
        /// The attempts that failed before it; none: the caller's own attempt was the retry.
        failures: Vec<Failure>,
    },
    /// The caller's time was over.
    #[error("the deadline passed before an answer began")]
    DeadlinePassed,
    /// A worker judged the request itself to be wrong: no other would judge otherwise.
    #[error("{place}: {message}")]
    Refused {
        /// The worker's place.
        place: Name,
        /// Its status.
        code: Code,
        /// Its words.
        message: String,
    },
    /// A worker's stream ended too early, after the caller had seen a part of it.
    #[error("{place} ended in the midst of its answer: {message}")]
    Broken {
        /// The worker's place.
        place: Name,
        /// Its status.
        code: Code,
        /// Its words.
        message: String,
    },
    /// It cannot be let in, or not be kept waiting any longer.
    #[error("{refusal}; ask again in {} ms{}", refusal.pushback.as_millis(), Offers { answer_locally: *answer_locally, tiers })]
    Overloaded {
        /// What stands in the way.
        refusal: Refusal,
        /// Whether an agent sent it, which may answer with what it has.
        answer_locally: bool,
        /// Tiers that would take it.
        tiers: Vec<Name>,
    },
    /// More watch the outlook than this router serves.
    #[error("{watchers_max} watch the outlook already; `outlook.watchers_max` bounds them")]
    OutlookFull {
        /// The bound.
        watchers_max: usize,
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

// === impl Error ===

impl Error {
    /// Whether the same request may succeed a little later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::NoPlace { removed, failures } => {
                !failures.is_empty()
                    || !self.is_for_want_of_time() && removed.iter().any(|removed| removed.code == UNHEALTHY)
            }
            Self::OutlookFull { .. } | Self::RetriesSpent { .. } | Self::Overloaded { .. } => true,
            Self::Broken { code, .. } => *code == Code::Unavailable,
            Self::Hop(_)
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
    pub(crate) fn is_for_want_of_time(&self) -> bool {
        match self {
            Self::NoPlace { removed, .. } => removed.iter().any(|removed| removed.code == TOO_SLOW),
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
            Self::Hop(_) | Self::Bind(_) | Self::Serve(_) | Self::Token(_) => {
                return Status::internal("the router failed; its log says how");
            }
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
            Self::RetriesSpent { .. } => Code::Unavailable,
            Self::NoPlace { .. } if self.is_for_want_of_time() => Code::DeadlineExceeded,
            Self::NoPlace { .. } => Code::FailedPrecondition,
            Self::DeadlinePassed => Code::DeadlineExceeded,
            Self::Refused { code, .. } | Self::Broken { code, .. } => *code,
            Self::OutlookFull { .. } | Self::Overloaded { .. } => Code::ResourceExhausted,
        };
        let mut status = Status::new(code, self.to_string());
        if let Some(pushback) = self.pushback() {
            let ms = u64::try_from(pushback.as_millis()).unwrap_or(u64::MAX);
            status.metadata_mut().insert(RETRY_PUSHBACK, ms.into());
        }
        if matches!(self, Self::RetriesSpent { .. }) {
            // To make it again elsewhere is what the budget is there to prevent.
            mesh::retry::forbid(&mut status);
        }
        if let Self::Overloaded { refusal, answer_locally, tiers } = self {
            let overload = overload(refusal, *answer_locally, tiers).encode_to_vec();
            status.metadata_mut().insert_bin(proto::OVERLOAD, MetadataValue::from_bytes(&overload));
        }
        status
    }

    /// When to come back: the least that any full place asked for, or a while.
    fn pushback(&self) -> Option<Duration> {
        match self {
            Self::NoPlace { failures, .. } => failures.iter().filter_map(|failure| failure.pushback).min(),
            Self::Overloaded { refusal, .. } => Some(refusal.pushback),
            Self::OutlookFull { .. } => Some(OUTLOOK_PUSHBACK),
            _ => None,
        }
    }
}

/// The policy's code for a place that takes no work.
const UNHEALTHY: &str = "unhealthy";
/// And for one that could not answer in time.
const TOO_SLOW: &str = "deadline";

/// The refusal as it travels.
fn overload(refusal: &Refusal, answer_locally: bool, tiers: &[Name]) -> v1::Overload {
    v1::Overload {
        reason: refusal.why.code().to_owned(),
        pushback_ms: u32::try_from(refusal.pushback.as_millis()).unwrap_or(u32::MAX),
        answer_locally,
        tiers: tiers.iter().map(ToString::to_string).collect(),
    }
}

struct Offers<'a> {
    answer_locally: bool,
    tiers: &'a [Name],
}

impl fmt::Display for Offers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for tier in self.tiers {
            write!(f, ", or of tier `{tier}` now")?;
        }
        f.write_str(if self.answer_locally { ", or answer locally" } else { "" })
    }
}

struct Unheard(usize);

impl fmt::Display for Unheard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            1 => f.write_str(" (one worker has not said yet what it serves)"),
            some => write!(f, " ({some} workers have not said yet what they serve)"),
        }
    }
}

struct Tried<'a>(&'a [Failure]);

impl fmt::Display for Tried<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => Ok(()),
            failures => write!(f, ": {}", Reasons { removed: &[], failures }),
        }
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
        let reasons: Vec<_> = failures
            .chain(removed.map(|removed| format!("{}: {} ({})", removed.place, removed.text, removed.code)))
            .collect();
        if reasons.is_empty() {
            return f.write_str("the fleet is empty");
        }
        f.write_str(&reasons[..reasons.len().min(LISTED_MAX)].join("; "))?;
        match reasons.len().saturating_sub(LISTED_MAX) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests;
