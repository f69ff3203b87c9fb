//! Says of a request message that cannot be read whose fault that is, and what bounds it.
//!
//! tonic ends such a call itself, before a service sees it: with INTERNAL where the bytes are no message, as if the
//! server had failed, and without the name of the setting where they are too many.

#[cfg(test)]
mod tests;

use http::Response;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::util::MapResponseLayer;

/// How tonic's words begin where the bytes are no message, or end before it does, or there are none.
const UNREADABLE: [&str; 3] =
    ["failed to decode Protobuf message", "Unexpected EOF decoding", "Missing request message"];
/// And where they are too many.
const TOO_LONG: &str = "Error, decoded message length too large";

/// Around a service whose messages are bounded by `limits.request_bytes_max`.
#[must_use]
pub fn layer() -> MapResponseLayer<fn(Response<Body>) -> Response<Body>> {
    MapResponseLayer::new(reworded as fn(Response<Body>) -> Response<Body>)
}

/// A refusal has no body: all of it is in the headers.
fn reworded(mut response: Response<Body>) -> Response<Body> {
    let refused = Status::from_header_map(response.headers());
    let Some(said) = refused.and_then(|status| of(&status)) else { return response };
    let headers = response.headers_mut();
    for name in [Status::GRPC_STATUS, Status::GRPC_MESSAGE] {
        headers.remove(name);
    }
    // The words are ASCII but for what tonic quotes, which it has encoded before: nothing in it can fail.
    let _ = said.add_header(headers);
    response
}

fn of(status: &Status) -> Option<Status> {
    let words = status.message();
    match status.code() {
        Code::Internal if UNREADABLE.iter().any(|start| words.starts_with(start)) => {
            Some(Status::invalid_argument(format!("the request's message cannot be read: {words}")))
        }
        Code::OutOfRange if words.starts_with(TOO_LONG) => {
            Some(Status::out_of_range(format!("{words}; `limits.request_bytes_max` is that limit")))
        }
        _ => None,
    }
}
