//! A real OTLP receiver of traces and metrics on loopback that keeps what it is sent.

use std::sync::{Arc, Mutex, PoisonError};

use mesh::serve::{ServeOptions, Server};
use mesh::transport::{Address, Os, Transport as _};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::sync::Notify;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

/// Spans kept; a test that sends more has gone wrong.
const SPANS_MAX: usize = 10_000;

/// Metrics kept, of all exports together.
const METRICS_MAX: usize = 100_000;

/// Receives spans and metrics.
#[derive(Debug, Clone)]
pub struct Collector {
    /// `http://host:port` of the receiver.
    pub endpoint: String,
    kept: Arc<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    spans: Mutex<Vec<Span>>,
    metrics: Mutex<Vec<Metric>>,
    more: Notify,
}

#[derive(Debug, Clone)]
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
        let receiver = Receiver(kept.clone());
        let routes = Routes::new(TraceServiceServer::new(receiver.clone()))
            .add_service(MetricsServiceServer::new(receiver))
            .prepare();
        tokio::spawn(server.serve(routes, std::future::pending()));
        Self { endpoint, kept }
    }

    /// Spans and metrics so far in which `mark` stands anywhere, and how many there are of both.
    #[must_use]
    pub fn with(&self, mark: &str) -> (usize, usize) {
        let spans = self.kept.spans.lock().unwrap_or_else(PoisonError::into_inner);
        let metrics = self.kept.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        let in_spans = spans.iter().filter(|span| format!("{span:?}").contains(mark)).count();
        let in_metrics = metrics.iter().filter(|metric| format!("{metric:?}").contains(mark)).count();
        (in_spans + in_metrics, spans.len() + metrics.len())
    }

    /// Waits until the metrics of all exports so far satisfy `enough`, and returns them, the oldest first.
    pub async fn wait_for_metrics(&self, enough: impl Fn(&[Metric]) -> bool) -> Vec<Metric> {
        loop {
            let more = self.kept.more.notified();
            {
                let metrics = self.kept.metrics.lock().unwrap_or_else(PoisonError::into_inner);
                if enough(&metrics) {
                    return metrics.clone();
                }
            }
            more.await;
        }
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

#[tonic::async_trait]
impl MetricsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let scopes =
            request.into_inner().resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
        let mut metrics = self.0.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        let room = METRICS_MAX.saturating_sub(metrics.len());
        metrics.extend(scopes.flat_map(|scope| scope.metrics).take(room));
        drop(metrics);
        self.0.more.notify_waiters();
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}
