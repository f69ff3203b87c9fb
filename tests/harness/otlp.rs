//! A real OTLP trace receiver on loopback that keeps what it is sent.

use std::sync::{Arc, Mutex, PoisonError};

use mesh::serve::{ServeOptions, Server};
use mesh::transport::{Address, Os, Transport as _};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::sync::Notify;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

/// Spans kept; a test that sends more has gone wrong.
const SPANS_MAX: usize = 10_000;

/// Receives spans.
#[derive(Debug, Clone)]
pub struct Collector {
    /// `http://host:port` of the receiver.
    pub endpoint: String,
    kept: Arc<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    spans: Mutex<Vec<Span>>,
    more: Notify,
}

#[derive(Debug)]
struct Receiver(Arc<Kept>);

// === impl Collector ===

impl Collector {
    /// Starts a receiver that ends with the runtime.
    pub async fn start() -> Self {
        let address = Address::Tcp("127.0.0.1:0".to_owned());
        let listener = Os.bind(&address).await.expect("a port");
        let server = Server::new(ServeOptions::default(), listener, None);
        let endpoint = format!("http://{}", server.local_address());
        let kept = Arc::new(Kept::default());
        let routes = Routes::new(TraceServiceServer::new(Receiver(kept.clone()))).prepare();
        tokio::spawn(server.serve(routes, std::future::pending()));
        Self { endpoint, kept }
    }

    /// Waits until the spans satisfy `enough`, and returns them.
    pub async fn wait_for(&self, enough: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        loop {
            let more = self.kept.more.notified();
            {
                let spans = self.kept.spans.lock().unwrap_or_else(PoisonError::into_inner);
                if enough(&spans) {
                    return spans.clone();
                }
            }
            more.await;
        }
    }
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let scopes =
            request.into_inner().resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        let mut spans = self.0.spans.lock().unwrap_or_else(PoisonError::into_inner);
        spans.extend(scopes.flat_map(|scope| scope.spans).take(SPANS_MAX));
        drop(spans);
        self.0.more.notify_waiters();
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}
