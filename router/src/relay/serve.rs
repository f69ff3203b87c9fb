//! Serves `Generate` with events that are passed on, and every other method of its service as it is generated.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use http::uri::PathAndQuery;
use http::{Request, Response};
use proto::v1;
use proto::v1::generation_server::{Generation, GenerationServer};
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, ServerStreamingService};
use tonic::{Request as Call, Status};

use super::{Event, Passing};

/// The method's path.
const PATH: &str = "/causeway.v1.Generation/Generate";
/// The same, as callers name it.
pub(crate) const GENERATE: PathAndQuery = PathAndQuery::from_static(PATH);

/// Events as they leave.
pub(crate) type Events = BoxStream<'static, Result<Event, Status>>;
/// An answer that is to begin.
pub(crate) type Answering = BoxFuture<'static, Result<tonic::Response<Events>, Status>>;

/// Answers a request with events.
pub(crate) trait Generates: Send + Sync + 'static {
    /// Everything that the caller is sent.
    fn events(&self, request: Call<v1::GenerateRequest>) -> Answering;
}

/// `Generation`, of which one method passes events on.
#[derive(Debug)]
pub(crate) struct Generating<S: Generation> {
    service: Arc<S>,
    others: GenerationServer<S>,
    request_bytes_max: usize,
}

struct Generate<S>(Arc<S>);

// === impl Generating ===

impl<S: Generation + Generates> Generating<S> {
    /// Of a service whose requests are no longer than this.
    pub(crate) fn new(service: S, request_bytes_max: usize) -> Self {
        let service = Arc::new(service);
        let others = GenerationServer::from_arc(service.clone()).max_decoding_message_size(request_bytes_max);
        Self { service, others, request_bytes_max }
    }
}

impl<S: Generation> Clone for Generating<S> {
    fn clone(&self) -> Self {
        let Self { service, others, request_bytes_max } = self;
        Self { service: service.clone(), others: others.clone(), request_bytes_max: *request_bytes_max }
    }
}

impl<S: Generation> NamedService for Generating<S> {
    const NAME: &'static str = <GenerationServer<S> as NamedService>::NAME;
}

impl<S: Generation + Generates> tower::Service<Request<Body>> for Generating<S> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if request.uri().path() != PATH {
            return tower::Service::call(&mut self.others, request);
        }
        let generate = Generate(self.service.clone());
        let mut grpc = Grpc::new(Passing).apply_max_message_size_config(Some(self.request_bytes_max), None);
        Box::pin(async move { Ok(grpc.server_streaming(generate, request).await) })
    }
}

impl<S: Generates> ServerStreamingService<v1::GenerateRequest> for Generate<S> {
    type Response = Event;
    type ResponseStream = Events;
    type Future = Answering;

    fn call(&mut self, request: Call<v1::GenerateRequest>) -> Self::Future {
        self.0.events(request)
    }
}
