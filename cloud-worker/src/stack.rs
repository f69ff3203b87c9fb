//! The layers that every call passes, outermost first.

use inference::Handle;
use mesh::admit::{AdmitLayer, AdmitService};
use mesh::deadline::DeadlineService;
use mesh::telemetry::{TraceLayer, TraceService};
use proto::v1::fleet_server::FleetServer;
use proto::v1::generation_server::GenerationServer;
use tonic::service::Routes;
use tower::ServiceBuilder;

use crate::Error;
use crate::config::Options;
use crate::report::Reports;
use crate::service::Generation;

/// What serves a worker's calls.
pub(crate) type Stack = TraceService<AdmitService<DeadlineService<Routes>>>;

pub(crate) async fn build(options: &Options, handle: &Handle) -> Result<Stack, Error> {
    let generation = GenerationServer::new(Generation::new(options.limits.clone(), handle.clone()))
        .max_decoding_message_size(options.limits.request_bytes_max);
    let reports = Reports::new(options.report.clone(), handle.clone(), options.engine.sequences_max);
    let (health, healthy) = tonic_health::server::health_reporter();
    health.set_serving::<GenerationServer<Generation>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let routes = Routes::new(generation)
        .add_service(FleetServer::new(reports))
        .add_service(healthy)
        .add_service(reflection);
    Ok(ServiceBuilder::new()
        // First, so that a refused call is in the trace as well.
        .layer(TraceLayer)
        // Before any work: what cannot be carried is refused at once, with a time to come back.
        .layer(AdmitLayer::new(options.limits.admission()))
        // Around the answer and its whole body: nothing below outlives the caller's patience.
        .layer(options.limits.deadlines())
        .service(routes.prepare()))
}
