//! The server's layer: reads the caller's deadline, caps it, and ends the call with it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep_until};
use tonic::Status;
use tower::{Layer, Service};

use super::{Bounded, Deadline, exceeded, parse_grpc_timeout};

/// Gives every request a [`Deadline`] and holds the call and its body to it.
#[derive(Debug, Clone, Copy)]
pub struct DeadlineLayer {
    /// The time of a call whose caller named none.
    pub default: Duration,
    /// The most that a caller can have.
    pub max: Duration,
}

/// See [`DeadlineLayer`].
#[derive(Debug, Clone)]
pub struct DeadlineService<S> {
    inner: S,
    layer: DeadlineLayer,
}

pin_project! {
    /// The answer of a [`DeadlineService`].
    #[derive(Debug)]
    pub struct DeadlineFuture<F> {
        #[pin]
        course: Course<F>,
    }
}

pin_project! {
    #[project = Projection]
    #[derive(Debug)]
    enum Course<F> {
        // Taken by the first poll.
        Refused { status: Option<Status> },
        // The timer moves into the body.
        Running { #[pin] inner: F, timer: Option<Pin<Box<Sleep>>> },
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = DeadlineService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        DeadlineService { inner, layer: *self }
    }
}

impl<S, Q, B> Service<Request<Q>> for DeadlineService<S>
where
    S: Service<Request<Q>, Response = Response<B>>,
    B: Body<Data = Bytes>,
{
    type Response = Response<Bounded<B>>;
    type Error = S::Error;
    type Future = DeadlineFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Q>) -> Self::Future {
        let allowed = match parse_grpc_timeout(request.headers()) {
            Ok(asked) => asked.unwrap_or(self.layer.default).min(self.layer.max),
            Err(error) => return DeadlineFuture::refused(Status::invalid_argument(error.to_string())),
        };
        if allowed.is_zero() {
            return DeadlineFuture::refused(exceeded());
        }
        let deadline = Deadline::within(allowed);
        request.extensions_mut().insert(deadline);
        let timer = Some(Box::pin(sleep_until(deadline.instant())));
        DeadlineFuture { course: Course::Running { inner: self.inner.call(request), timer } }
    }
}

impl<F> DeadlineFuture<F> {
    fn refused(status: Status) -> Self {
        DeadlineFuture { course: Course::Refused { status: Some(status) } }
    }
}

impl<F, B, E> Future for DeadlineFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<Bounded<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().course.project() {
            Projection::Refused { status } => {
                let status = status.take().unwrap_or_else(exceeded);
                Poll::Ready(Ok(headers_only(status)))
            }
            Projection::Running { inner, timer } => {
                if timer.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready()) {
                    *timer = None;
                    return Poll::Ready(Ok(headers_only(exceeded())));
                }
                let response = std::task::ready!(inner.poll(cx))?;
                Poll::Ready(Ok(response.map(|body| Bounded::new(body, timer.take()))))
            }
        }
    }
}

fn headers_only<B>(status: Status) -> Response<Bounded<B>> {
    let (parts, ()) = status.into_http::<()>().into_parts();
    Response::from_parts(parts, Bounded::empty())
}
