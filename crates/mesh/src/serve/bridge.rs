//! Hands hyper's requests to a tower service, and answers for it when it panics.

use std::any::Any;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{CatchUnwind, Map};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Either, Empty};
use hyper::body::Incoming;
use tonic::Status;
use tonic::body::Body;
use tower::util::Oneshot;
use tower::{Service, ServiceExt as _};

use crate::status;
use crate::tls::Peer;

/// A service as hyper calls it, for one connection.
#[derive(Debug, Clone)]
pub(super) struct Bridge<S> {
    service: S,
    peer: Peer,
}

type Answer<B> = Result<Response<Either<B, Empty<Bytes>>>, Infallible>;
type Outcome<B> = Result<Result<Response<B>, Infallible>, Box<dyn Any + Send>>;
type Guarded<S> = CatchUnwind<AssertUnwindSafe<Oneshot<S, Request<Body>>>>;

impl<S> Bridge<S> {
    pub(super) fn new(service: S, peer: Peer) -> Self {
        Bridge { service, peer }
    }
}

impl<S, B> hyper::service::Service<Request<Incoming>> for Bridge<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone,
{
    type Response = Response<Either<B, Empty<Bytes>>>;
    type Error = Infallible;
    type Future = Map<Guarded<S>, fn(Outcome<B>) -> Answer<B>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let mut request = request.map(|body| Body::new(body.map_err(|error| status::of_hyper(&error))));
        request.extensions_mut().insert(self.peer.clone());
        let answer: fn(Outcome<B>) -> Answer<B> = answer;
        AssertUnwindSafe(self.service.clone().oneshot(request)).catch_unwind().map(answer)
    }
}

fn answer<B>(outcome: Outcome<B>) -> Answer<B> {
    let Ok(Ok(response)) = outcome else {
        // The panic hook has told where; the caller only learns that it was not its fault.
        tracing::error!("a service panicked while answering");
        let (parts, ()) = Status::internal("the service failed unexpectedly").into_http::<()>().into_parts();
        return Ok(Response::from_parts(parts, Either::Right(Empty::new())));
    };
    Ok(response.map(Either::Left))
}
