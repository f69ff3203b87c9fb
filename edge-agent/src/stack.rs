//! What every request passes, outermost first, before it reaches the service.

use mesh::admit::{AdmitLayer, AdmitService};
use mesh::authorize::{AuthorizeLayer, AuthorizeService};
use mesh::telemetry::{TraceLayer, TraceService};
use mesh::token::{TokenLayer, TokenService};
use proto::v1::generation_server::GenerationServer;
use tonic::server::NamedService;
use tonic::service::{LayerExt as _, Routes};
use tower::ServiceBuilder;

use crate::config::Options;
use crate::service::Service;

/// What every request passes.
pub(crate) type Stack = TraceService<TokenService<AuthorizeService<AdmitService<Routes>>>>;

/// The services that this hop tells of.
pub(crate) const SERVICES: [&str; 1] = [<GenerationServer<Service>>::NAME];

/// The stack of one agent, whose service joins those that tell of its presence.
pub(crate) fn stack(options: &Options, token: TokenLayer, service: Service, presence: Routes) -> Stack {
    let limits = &options.limits;
    let generation = GenerationServer::new(service).max_decoding_message_size(limits.request_bytes_max);
    let routes = presence
        // Around the answer and its whole body. Whoever watches the health does so for as long as both ends live.
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
