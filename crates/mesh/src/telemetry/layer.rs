//! The server's layer: one span for each call, a child of the caller's, from the headers to the end of the body.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower::{Layer, Service};
use tracing::Span;

use super::body::{End, EntersItself, Traced};
use super::context::of_call;
use crate::admit::HEALTH_PREFIX;

/// Opens a span for each call that the service answers, other than health checks.
#[derive(Debug, Clone, Copy, Default)]
pub struct TraceLayer;

/// See [`TraceLayer`].
#[derive(Debug, Clone)]
pub struct TraceService<S> {
    inner: S,
}

pin_project! {
    /// The answer of a [`TraceService`].
    #[derive(Debug)]
    pub struct TraceFuture<F> {
        #[pin]
        inner: F,
        // It moves into the body.
        end: Option<End>,
    }
}

impl<S> Layer<S> for TraceLayer {
    type Service = TraceService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        TraceService { inner }
    }
}

impl<S, Q, B> Service<Request<Q>> for TraceService<S>
where
    S: Service<Request<Q>, Response = Response<B>>,
    B: Body<Data = Bytes>,
{
    type Response = Response<Traced<B>>;
    type Error = S::Error;
    type Future = TraceFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let span = span_of(&request);
        let inner = {
            let _entered = span.enter();
            self.inner.call(request)
        };
        TraceFuture { inner, end: Some(End::new(span)) }
    }
}

/// A span by the OpenTelemetry names for gRPC servers.
fn span_of<Q>(request: &Request<Q>) -> Span {
    // Probes come every few seconds for as long as a process lives, and each would be a trace of its own.
    if request.uri().path().starts_with(HEALTH_PREFIX) {
        return Span::none();
    }
    let path = request.uri().path().trim_start_matches('/');
    // The path is the caller's to choose: only what generated code could have sent becomes a name.
    let (service, method) = match path.split_once('/') {
        Some((service, method)) if is_name(service) && is_name(method) => (service, method),
        _ => ("unknown", "unknown"),
    };
    // Its parent.
    let _caller = of_call(request.headers()).attach();
    tracing::info_span!(
        "grpc.server",
        otel.name = format_args!("{service}/{method}"),
        otel.kind = "server",
        otel.status_code = tracing::field::Empty,
        rpc.system = "grpc",
        rpc.service = service,
        rpc.method = method,
        rpc.grpc.status_code = tracing::field::Empty,
    )
}

fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'_';
    !text.is_empty() && text.len() <= 128 && text.bytes().all(allowed)
}

impl<F, B, E> Future for TraceFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<Traced<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = {
            let _entered = this.end.as_ref().map(|end| end.span().enter());
            std::task::ready!(this.inner.poll(cx))?
        };
        let mut end = this.end.take().unwrap_or_else(|| End::new(Span::none()));
        end.read(response.headers());
        let within = response.extensions().get::<EntersItself>().is_none();
        Poll::Ready(Ok(response.map(|body| Traced::new(body, end, within))))
    }
}
