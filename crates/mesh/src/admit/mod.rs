//! Lets in as many calls as the process can carry, and tells the others when to come back.

mod body;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;
use tonic::metadata::MetadataValue;
use tower::{Layer, Service};

pub use self::body::Permitted;
use crate::config::Invalid;

/// The metadata by which a server says when a retry may succeed, in milliseconds.
pub const RETRY_PUSHBACK: &str = "grpc-retry-pushback-ms";

/// Calls of the health service are always let in: an orchestrator that cannot ask would kill a busy process.
pub(crate) const HEALTH_PREFIX: &str = "/grpc.health.v1.Health/";

/// How much a process takes on at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdmitOptions {
    /// Calls from their headers to the end of their bodies, at once.
    pub in_flight_max: usize,
    /// What a refused caller is told to wait, in milliseconds.
    pub retry_pushback_ms: u64,
}

/// Admits calls up to a number; the permit lives in the response's body, so it counts until the last byte.
#[derive(Debug, Clone)]
pub struct AdmitLayer {
    permits: Arc<Semaphore>,
    options: AdmitOptions,
}

/// See [`AdmitLayer`].
#[derive(Debug, Clone)]
pub struct AdmitService<S> {
    inner: S,
    layer: AdmitLayer,
}

pin_project! {
    /// The answer of an [`AdmitService`].
    #[derive(Debug)]
    pub struct AdmitFuture<F> {
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
        // The permit, which exempt calls do not have, moves into the body.
        Running { #[pin] inner: F, permit: Option<OwnedSemaphorePermit> },
    }
}

// === impl AdmitOptions ===

impl Default for AdmitOptions {
    fn default() -> Self {
        AdmitOptions { in_flight_max: 1024, retry_pushback_ms: 1000 }
    }
}

impl AdmitOptions {
    /// Checks the ranges; `table` is the dotted key that holds these fields.
    #[must_use]
    pub fn invalid(&self, table: &str) -> Vec<Invalid> {
        let mut found = Vec::new();
        let key = format!("{table}.in_flight_max");
        let fits = (1..=Semaphore::MAX_PERMITS).contains(&self.in_flight_max);
        Invalid::unless(
            &mut found,
            fits,
            &key,
            "admits no call or more than can be counted",
            "give 1 or more",
        );
        found
    }
}

// === impl AdmitLayer ===

impl AdmitLayer {
    /// A layer with permits of its own; its clones, and the services that it wraps, share them.
    #[must_use]
    pub fn new(options: AdmitOptions) -> Self {
        let permits = Arc::new(Semaphore::new(options.in_flight_max.min(Semaphore::MAX_PERMITS)));
        AdmitLayer { permits, options }
    }

    /// Calls admitted and not yet over.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.options.in_flight_max.saturating_sub(self.permits.available_permits())
    }

    fn refusal(&self) -> Status {
        refusal(
            format!(
                "{} calls are in flight, which is the most this process takes",
                self.options.in_flight_max
            ),
            self.options.retry_pushback_ms,
        )
    }
}

/// RESOURCE_EXHAUSTED with the time, in milliseconds, after which a retry may succeed.
#[must_use]
pub fn refusal(message: impl Into<String>, retry_pushback_ms: u64) -> Status {
    let mut status = Status::resource_exhausted(message);
    status.metadata_mut().insert(RETRY_PUSHBACK, MetadataValue::from(retry_pushback_ms));
    status
}

impl<S> Layer<S> for AdmitLayer {
    type Service = AdmitService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        AdmitService { inner, layer: self.clone() }
    }
}

// === impl AdmitService ===

impl<S, Q, B> Service<Request<Q>> for AdmitService<S>
where
    S: Service<Request<Q>, Response = Response<B>>,
    B: Body<Data = Bytes>,
{
    type Response = Response<Permitted<B>>;
    type Error = S::Error;
    type Future = AdmitFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let permit = match request.uri().path().starts_with(HEALTH_PREFIX) {
            true => None,
            false => match self.layer.permits.clone().try_acquire_owned() {
                Ok(permit) => Some(permit),
                Err(_) => {
                    return AdmitFuture { course: Course::Refused { status: Some(self.layer.refusal()) } };
                }
            },
        };
        AdmitFuture { course: Course::Running { inner: self.inner.call(request), permit } }
    }
}

impl<F, B, E> Future for AdmitFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<Permitted<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().course.project() {
            Projection::Refused { status } => {
                let status = status.take().unwrap_or_else(|| Status::resource_exhausted(""));
                let (parts, ()) = status.into_http::<()>().into_parts();
                Poll::Ready(Ok(Response::from_parts(parts, Permitted::empty())))
            }
            Projection::Running { inner, permit } => {
                let response = std::task::ready!(inner.poll(cx))?;
                Poll::Ready(Ok(response.map(|body| Permitted::new(body, permit.take()))))
            }
        }
    }
}
