//! Edits the trailers of every answer: tonic has a hook for those of a failure only.

#[cfg(test)]
mod tests;

use http::{HeaderMap, Response};
use http_body_util::BodyExt as _;
use tonic::Status;
use tonic::body::Body;
use tower::util::MapResponseLayer;

/// Lets `edit` change the trailers of every answer: after its body, or in its headers where it is nothing but them, which
/// are its trailers then.
#[must_use]
pub fn layer<F>(edit: F) -> MapResponseLayer<impl Fn(Response<Body>) -> Response<Body> + Clone>
where
    F: Fn(&mut HeaderMap) + Clone + Send + Sync + 'static,
{
    MapResponseLayer::new(move |mut response: Response<Body>| {
        if response.headers().contains_key(Status::GRPC_STATUS) {
            edit(response.headers_mut());
            return response;
        }
        let edit = edit.clone();
        response.map(|body| {
            Body::new(body.map_frame(move |mut frame| {
                if let Some(trailers) = frame.trailers_mut() {
                    edit(trailers);
                }
                frame
            }))
        })
    })
}
