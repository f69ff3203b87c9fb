//! Turns what HTTP/2 says of a failed call into the gRPC status that its caller should see.

#[cfg(test)]
mod tests;

use std::error::Error as StdError;

use h2::Reason;
use http::HeaderMap;
use tonic::{Code, Status};

/// The status of a body or call that hyper ended, by the mapping of the gRPC specification.
///
/// A reset keeps its meaning; a connection that went away is UNAVAILABLE, since another attempt may succeed.
pub(crate) fn of_hyper(error: &hyper::Error) -> Status {
    let code = match reason(error) {
        Some(Reason::REFUSED_STREAM) => Code::Unavailable,
        Some(Reason::CANCEL) => Code::Cancelled,
        Some(Reason::ENHANCE_YOUR_CALM) => Code::ResourceExhausted,
        Some(Reason::INADEQUATE_SECURITY) => Code::PermissionDenied,
        Some(_) => Code::Internal,
        None if error.is_timeout() => Code::Unavailable,
        None if is_stream_fault(error) => Code::Internal,
        None => Code::Unavailable,
    };
    Status::new(code, chain(error))
}

/// An error with all its causes on one line; hyper's own text leaves them out.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // Wrappers often repeat the text of what they wrap, and then say what to do.
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

/// The trailers that end a body with this status.
pub(crate) fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(2);
    if status.add_header(&mut trailers).is_err() {
        // Only a message or metadata can fail to encode; the code alone cannot.
        trailers.clear();
        trailers.insert(Status::GRPC_STATUS, http::HeaderValue::from(status.code() as i32));
    }
    trailers
}

/// The reason of a reset of this one stream; a connection's own end has none here.
fn reason(error: &hyper::Error) -> Option<Reason> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            return match error.is_reset() {
                true => error.reason(),
                false => None,
            };
        }
        cause = error.source();
    }
    None
}

/// Faults of the call itself, on a connection that lives on.
fn is_stream_fault(error: &hyper::Error) -> bool {
    error.is_parse() || error.is_user() || error.is_body_write_aborted()
}
