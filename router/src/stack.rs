//! What every request passes, outermost first, before it reaches a service.

use mesh::admit::{AdmitLayer, AdmitService};
use mesh::process::Limits;
use mesh::telemetry::{TraceLayer, TraceService};
use proto::v1::generation_server::GenerationServer;
use proto::v1::prospect_server::ProspectServer;
use tonic::server::NamedService;
use tonic::service::{LayerExt as _, Routes};
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::server::HealthReporter;
use tonic_reflection::server::v1::{ServerReflection, ServerReflectionServer};
use tower::ServiceBuilder;

use crate::outlook::Outlooks;
use crate::service::Service;

/// What every request passes.
pub(crate) type Stack = TraceService<AdmitService<Routes>>;

/// Requests to watch an outlook hold one number.
const WATCH_BYTES_MAX: usize = 1 << 10;

/// The names that health is told of: this hop's services, and the process as a whole.
const NAMES: [&str; 3] = ["", <GenerationServer<Service>>::NAME, <ProspectServer<Outlooks>>::NAME];

/// The stack of one router.
pub(crate) fn stack(
    limits: &Limits,
    service: Service,
    outlooks: Outlooks,
    health: HealthServer<impl Health>,
) -> Stack {
    let generation = GenerationServer::new(service).max_decoding_message_size(limits.request_bytes_max);
    let routes = Routes::new(health)
        .add_service(reflection())
        // Whoever watches an outlook does so for as long as both ends live: only answers have a deadline.
        .add_service(ProspectServer::new(outlooks).max_decoding_message_size(WATCH_BYTES_MAX))
        .add_service(limits.deadlines().named_layer(generation));
    ServiceBuilder::new()
        // First, so that a refused call has a span as well.
        .layer(TraceLayer)
        // Before anything is read of the request: refusing must cost less than serving.
        .layer(AdmitLayer::new(limits.admission()))
        .service(routes.prepare())
}

/// Tells who asks for health that this router takes requests.
pub(crate) async fn serving(health: &HealthReporter) {
    for name in NAMES {
        health.set_service_status(name, ServingStatus::Serving).await;
    }
}

/// Tells the same that it no longer does, and lets those who watch go: they would hold up the drain.
pub(crate) async fn ending(mut health: HealthReporter) {
    for name in NAMES {
        health.set_service_status(name, ServingStatus::NotServing).await;
        health.clear_service_status(name).await;
    }
}

fn reflection() -> ServerReflectionServer<impl ServerReflection> {
    #[expect(
        clippy::expect_used,
        reason = "the descriptors are constants of this build and a test asks for them"
    )]
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .expect("the descriptors are whole")
}
