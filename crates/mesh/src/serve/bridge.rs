//! Hands hyper's requests to a tower service, answers for it when it panics, and for its caller when that does not say
//! all of its request in time.

use std::any::Any;
use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::CatchUnwind;
use http::{Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt as _, Either, Empty};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;
use tower::util::Oneshot;
use tower::{Service, ServiceExt as _};

use super::call::Told;
use super::{Counters, Fault};
use crate::status;
use crate::tls::Peer;

/// A service as hyper calls it, for one connection.
#[derive(Debug, Clone)]
pub(super) struct Bridge<S> {
    service: S,
    peer: Peer,
    body_timeout: Duration,
    counters: Counters,
    /// Lets the connection end.
    leave: CancellationToken,
}

type Answer<B> = Result<Response<Either<Told<B>, Empty<Bytes>>>, Infallible>;
type Outcome<B> = Result<Result<Response<B>, Infallible>, Box<dyn Any + Send>>;

pin_project! {
    /// The answer of a [`Bridge`], up to its headers.
    pub(super) struct Answering<S>
    where
        S: Service<Request<Body>>,
    {
        #[pin]
        inner: CatchUnwind<AssertUnwindSafe<Oneshot<S, Request<Body>>>>,
        // Whether the request has come to its end.
        whole: Arc<AtomicBool>,
        timer: Option<Pin<Box<Sleep>>>,
        body_timeout: Duration,
        counters: Counters,
        leave: CancellationToken,
    }
}

pin_project! {
    /// The body of a request, which says when it has come to its end.
    struct Arriving {
        #[pin]
        inner: Incoming,
        whole: Arc<AtomicBool>,
    }

    impl PinnedDrop for Arriving {
        fn drop(this: Pin<&mut Self>) {
            // Nobody waits for the rest.
            this.whole.store(true, Ordering::Relaxed);
        }
    }
}

// === impl Bridge ===

impl<S> Bridge<S> {
    pub(super) fn new(
        service: S,
        peer: Peer,
        body_timeout: Duration,
        counters: Counters,
        leave: CancellationToken,
    ) -> Self {
        Bridge { service, peer, body_timeout, counters, leave }
    }
}

impl<S, B> hyper::service::Service<Request<Incoming>> for Bridge<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone,
{
    type Response = Response<Either<Told<B>, Empty<Bytes>>>;
    type Error = Infallible;
    type Future = Answering<S>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let whole = Arc::new(AtomicBool::new(request.body().is_end_stream()));
        let mut request = request.map(|inner| {
            let arriving = Arriving { inner, whole: whole.clone() };
            Body::new(arriving.map_err(|error| status::of_hyper(&error)))
        });
        request.extensions_mut().insert(self.peer.clone());
        let inner = AssertUnwindSafe(self.service.clone().oneshot(request)).catch_unwind();
        let (body_timeout, counters, leave) = (self.body_timeout, self.counters.clone(), self.leave.clone());
        Answering { inner, whole, timer: None, body_timeout, counters, leave }
    }
}

// === impl Answering ===

impl<S, B> Future for Answering<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
{
    type Output = Answer<B>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer<B>> {
        let this = self.project();
        if let Poll::Ready(outcome) = this.inner.poll(cx) {
            return Poll::Ready(Ok(answer(outcome)));
        }
        if this.whole.load(Ordering::Relaxed) {
            *this.timer = None;
            return Poll::Pending;
        }
        let timer = this.timer.get_or_insert_with(|| Box::pin(sleep(*this.body_timeout)));
        if timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        this.counters.fault(Fault::LateBody);
        // Whoever dawdles may be holding the connection for nothing else. Other calls on it still end as they would.
        this.leave.cancel();
        let ms = this.body_timeout.as_millis();
        let said = format!("the request did not come to its end within {ms} ms (serve.body_timeout_ms)");
        Poll::Ready(Ok(refusal(&Status::deadline_exceeded(said))))
    }
}

fn answer<B>(outcome: Outcome<B>) -> Response<Either<Told<B>, Empty<Bytes>>> {
    let Ok(Ok(response)) = outcome else {
        // The panic hook has told where; the caller only learns that it was not its fault.
        tracing::error!("a service panicked while answering");
        return refusal(&Status::internal("the service failed unexpectedly"));
    };
    response.map(|body| Either::Left(Told::new(body)))
}

fn refusal<B>(status: &Status) -> Response<Either<B, Empty<Bytes>>> {
    let (parts, ()) = status.clone().into_http::<()>().into_parts();
    Response::from_parts(parts, Either::Right(Empty::new()))
}

// === impl Arriving ===

impl http_body::Body for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut this = self.project();
        let frame = this.inner.as_mut().poll_frame(cx);
        if matches!(frame, Poll::Ready(None | Some(Err(_)))) || this.inner.is_end_stream() {
            this.whole.store(true, Ordering::Relaxed);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
