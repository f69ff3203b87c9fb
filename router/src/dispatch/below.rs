//! What a place below says: its start, its next event, its refusal, its end in the midst of an answer.

use std::time::Duration;

use mesh::admit::RETRY_PUSHBACK;
use mesh::connect::Intake;
use policy::Name;
use tonic::{Code, Status};

use crate::error::{Error, Failure};
use crate::fleet::Outcome;
use crate::relay::{Event, Frames, Started};

/// A worker's words in a message to the caller, characters.
pub(crate) const MESSAGE_CHARS_MAX: usize = 512;
/// The longest pushback that is believed.
pub(crate) const PUSHBACK_MAX: Duration = Duration::from_secs(60);

/// The rest of an answer, taken in as it comes: a caller that does not read holds up no other's.
pub(crate) type Rest = Intake<Event, Frames>;

/// What the place below says of its own start. A router below has decided too, and its choice of place is the one
/// that counts; a worker below does not know what it is called here.
pub(crate) fn merge(started: &mut Started, downstream: Started) -> Result<(), Status> {
    if downstream.decisions.len() > started.decisions.len() {
        downstream.check().map_err(|error| Status::internal(error.to_string()))?;
        started.decisions = downstream.decisions;
        if !downstream.place.is_empty() {
            started.place = downstream.place;
        }
    }
    started.attempt = started.attempt.saturating_add(downstream.attempt.saturating_sub(1));
    started.model_hash = downstream.model_hash;
    Ok(())
}

/// The next event, or why there is none; an answer that ends without `done` is not complete.
pub(crate) async fn following(rest: &mut Rest) -> Result<Event, Status> {
    while let Some(event) = rest.message().await? {
        // Events that this version does not know are left out.
        if !matches!(event, Event::Unknown) {
            return Ok(event);
        }
    }
    Err(Status::unavailable("the stream ended before the answer was complete"))
}

/// Whether another place may do better: if so the failure, otherwise the error that ends the call.
pub(crate) fn judge(place: &Name, status: &Status) -> Result<Failure, Error> {
    let (code, message) = (status.code(), clipped(status.message()));
    match code {
        // Before its first token an answer has no effect, so that a reset is as safe to repeat as a refusal.
        Code::Unavailable | Code::ResourceExhausted | Code::Cancelled => {
            Ok(Failure { place: place.clone(), code, message, pushback: pushback(status) })
        }
        _ => Err(Error::Refused { place: place.clone(), code, message }),
    }
}

/// What a status says of the worker that sent it, or of the way there.
pub(crate) fn outcome(status: &Status) -> Outcome {
    match status.code() {
        Code::ResourceExhausted => Outcome::Busy(pushback(status)),
        // Whether the caller's time was too short, or the worker too slow, it does not say.
        Code::DeadlineExceeded => Outcome::Unknown,
        Code::Ok
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::OutOfRange => Outcome::Answered,
        Code::Cancelled
        | Code::Unknown
        | Code::PermissionDenied
        | Code::Aborted
        | Code::Unimplemented
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss
        | Code::Unauthenticated => Outcome::Failed,
    }
}

pub(crate) fn broken(place: &Name, status: &Status) -> Error {
    let code = match status.code() {
        // The caller did not cancel: the stream was reset below.
        Code::Cancelled | Code::Unknown | Code::Ok => Code::Unavailable,
        code => code,
    };
    Error::Broken { place: place.clone(), code, message: clipped(status.message()) }
}

fn pushback(status: &Status) -> Option<Duration> {
    let ms = status.metadata().get(RETRY_PUSHBACK)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_millis(ms).min(PUSHBACK_MAX))
}

fn clipped(text: &str) -> String {
    text.chars().take(MESSAGE_CHARS_MAX).collect()
}
