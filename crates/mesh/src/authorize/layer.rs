//! The layer that refuses calls which no rule allows, before anything is read of them.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{Either, Empty};
use pin_project_lite::pin_project;
use tonic::Status;
use tower::{Layer, Service};

use super::{AuthorizeOptions, Rules, names};
use crate::telemetry::{About, Attribute, Counter, Meter};
use crate::tls::Peer;

/// What is quoted of a caller's or a method's name, characters: both are the caller's to choose.
const NAME_CHARS_MAX: usize = 256;

/// Holds the calls of a service to rules.
#[derive(Debug, Clone)]
pub struct AuthorizeLayer {
    rules: Option<Rules>,
    denied: Option<Counter>,
}

/// See [`AuthorizeLayer`].
#[derive(Debug, Clone)]
pub struct AuthorizeService<S> {
    inner: S,
    layer: AuthorizeLayer,
}

pin_project! {
    /// The answer of an [`AuthorizeService`].
    #[derive(Debug)]
    pub struct AuthorizeFuture<F> {
        #[pin]
        inner: Option<F>,
        // Taken by the first poll.
        denied: Option<Status>,
    }
}

// === impl AuthorizeLayer ===

impl AuthorizeLayer {
    /// A layer of these rules.
    #[must_use]
    pub fn new(options: &AuthorizeOptions) -> Self {
        let about = About {
            name: "causeway.authorize.denied",
            unit: "{call}",
            description: "Calls that no rule allows.",
        };
        let denied = Meter::of_process().map(|meter| meter.counter(about));
        Self { rules: Rules::new(options), denied }
    }

    /// Why this call is not allowed; `None`: it is.
    fn denial<Q>(&self, request: &Request<Q>) -> Option<Status> {
        let rules = self.rules.as_ref()?;
        let names = names(request.extensions().get::<Peer>());
        let method = request.uri().path();
        if rules.allow(&names, method) {
            return None;
        }
        // Tenants are too many to be told apart in numbers.
        let caller = names.first().map(Cow::as_ref).unwrap_or_default();
        let clipped = |text: &str| text.chars().take(NAME_CHARS_MAX).collect::<String>();
        let (caller, method) = (clipped(caller), clipped(method));
        if let Some(denied) = &self.denied {
            denied.add(1, &[Attribute::new("causeway.caller", caller.clone())]);
        }
        tracing::info!(caller, method, "a call is denied");
        let said = format!("`{caller}` may not call `{method}`: no rule of `authorize.allow` lets it");
        Some(Status::permission_denied(said))
    }
}

impl<S> Layer<S> for AuthorizeLayer {
    type Service = AuthorizeService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        AuthorizeService { inner, layer: self.clone() }
    }
}

// === impl AuthorizeService ===

impl<S, Q, B> Service<Request<Q>> for AuthorizeService<S>
where
    S: Service<Request<Q>, Response = Response<B>>,
{
    type Response = Response<Either<B, Empty<Bytes>>>;
    type Error = S::Error;
    type Future = AuthorizeFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        match self.layer.denial(&request) {
            Some(status) => AuthorizeFuture { inner: None, denied: Some(status) },
            None => AuthorizeFuture { inner: Some(self.inner.call(request)), denied: None },
        }
    }
}

impl<F, B, E> Future for AuthorizeFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<Either<B, Empty<Bytes>>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Some(inner) = this.inner.as_pin_mut() {
            return Poll::Ready(Ok(ready!(inner.poll(cx))?.map(Either::Left)));
        }
        let status = this.denied.take().unwrap_or_else(|| Status::permission_denied(""));
        let (parts, ()) = status.into_http::<()>().into_parts();
        Poll::Ready(Ok(Response::from_parts(parts, Either::Right(Empty::new()))))
    }
}
