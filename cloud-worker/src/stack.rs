//! The layers that every call passes, outermost first.

use mesh::admit::{AdmitLayer, AdmitService};
use mesh::authorize::{AuthorizeLayer, AuthorizeOptions, AuthorizeService};
use mesh::process::Limits;
use mesh::telemetry::{TraceLayer, TraceService};
use proto::orca::open_rca_service_server::OpenRcaServiceServer;
use proto::v1::fleet_server::FleetServer;
use proto::v1::generation_server::GenerationServer;
use tonic::server::NamedService;
use tonic::service::{LayerExt as _, Routes};
use tower::ServiceBuilder;

use crate::report::Reports;
use crate::service::Generation;

/// What serves a worker's calls.
pub(crate) type Stack = TraceService<AuthorizeService<AdmitService<Routes>>>;

/// Requests to watch reports hold one number.
const WATCH_BYTES_MAX: usize = 1 << 10;

/// The services that this hop tells of.
pub(crate) const SERVICES: [&str; 3] = [
    <GenerationServer<Generation>>::NAME,
    <FleetServer<Reports>>::NAME,
    <OpenRcaServiceServer<Reports>>::NAME,
];

/// The stack of one worker, whose services join those that tell of its presence.
pub(crate) fn stack(
    limits: &Limits,
    authorize: &AuthorizeOptions,
    generation: Generation,
    reports: Reports,
    presence: Routes,
) -> Stack {
    let generation = GenerationServer::new(generation).max_decoding_message_size(limits.request_bytes_max);
    let routes = presence
        // Whoever watches the reports does so for as long as both ends live: only answers have a deadline.
        .add_service(FleetServer::new(reports.clone()).max_decoding_message_size(WATCH_BYTES_MAX))
        .add_service(OpenRcaServiceServer::new(reports.clone()).max_decoding_message_size(WATCH_BYTES_MAX))
        .add_service(
            // Around all that answers: a call that was refused brings a report as well.
            (limits.deadlines(), mesh::trailers::layer(reports.into_trailers()), mesh::message::layer())
                .named_layer(generation),
        );
    ServiceBuilder::new()
        // First, so that a refused call is in the trace as well.
        .layer(TraceLayer)
        // Whoever may not ask takes no place of those who may.
        .layer(AuthorizeLayer::new(authorize))
        // Before any work: what cannot be carried is refused at once, with a time to come back.
        .layer(AdmitLayer::new(limits.admission()))
        .service(routes.prepare())
}
