//! What every request passes, outermost first, before it reaches a service.

use mesh::admit::{AdmitLayer, AdmitService};
use mesh::authorize::{AuthorizeLayer, AuthorizeService};
use mesh::telemetry::{TraceLayer, TraceService};
use mesh::token::{TokenLayer, TokenService};
use proto::v1::generation_server::GenerationServer;
use proto::v1::prospect_server::ProspectServer;
use tonic::server::NamedService;
use tonic::service::{LayerExt as _, Routes};
use tower::ServiceBuilder;

use crate::config::Options;
use crate::outlook::Outlooks;
use crate::relay::Generating;
use crate::service::Service;

/// What every request passes.
pub(crate) type Stack = TraceService<TokenService<AuthorizeService<AdmitService<Routes>>>>;

/// Requests to watch an outlook hold one number.
const WATCH_BYTES_MAX: usize = 1 << 10;

/// The services that this hop tells of.
pub(crate) const SERVICES: [&str; 2] = [<GenerationServer<Service>>::NAME, <ProspectServer<Outlooks>>::NAME];

/// The stack of one router, whose services join those that tell of its presence.
pub(crate) fn stack(
    options: &Options,
    token: TokenLayer,
    service: Service,
    outlooks: Outlooks,
    presence: Routes,
) -> Stack {
    let limits = &options.limits;
    let generation = Generating::new(service, limits.request_bytes_max);
    let routes = presence
        // Whoever watches an outlook does so for as long as both ends live: only answers have a deadline.
        .add_service(ProspectServer::new(outlooks).max_decoding_message_size(WATCH_BYTES_MAX))
        .add_service((limits.deadlines(), mesh::message::layer()).named_layer(generation));
    ServiceBuilder::new()
        // First, so that a refused call has a span as well.
        .layer(TraceLayer)
        // Before anything asks who calls: a tenant is what a certificate or a token says, never what a request does.
        .layer(token)
        // Whoever may not ask takes no place of those who may.
        .layer(AuthorizeLayer::new(&options.authorize))
        // Before anything is read of the request: refusing must cost less than serving.
        .layer(AdmitLayer::new(limits.admission()))
        .service(routes.prepare())
}
