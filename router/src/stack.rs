//! What every request passes, outermost first, before it reaches a service.

use std::convert::Infallible;
use std::task::{Context, Poll};

use futures_util::TryFutureExt as _;
use futures_util::future::{Either, MapOk};
use http::{Request, Response};
use mesh::admit::{AdmitLayer, AdmitService};
use mesh::authorize::{AuthorizeLayer, AuthorizeService};
use mesh::deadline::{Bounded, DeadlineService};
use mesh::telemetry::{TraceLayer, TraceService};
use mesh::token::{TokenLayer, TokenService};
use proto::v1::generation_server::GenerationServer;
use proto::v1::prospect_server::ProspectServer;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tower::util::MapResponse;
use tower::{Layer as _, ServiceBuilder};

use crate::config::Options;
use crate::outlook::Outlooks;
use crate::relay::Generating;
use crate::service::Service;

/// What every request passes.
pub(crate) type Stack = TraceService<TokenService<AuthorizeService<AdmitService<Doors>>>>;

/// The service that almost every call is for stands apart, so that it need not be looked for.
#[derive(Clone, Debug)]
pub(crate) struct Doors {
    generation: Answers,
    others: Routes,
}

type Answers = DeadlineService<MapResponse<Generating<Service>, fn(Response<Body>) -> Response<Body>>>;
type Answering = <Answers as tower::Service<Request<Body>>>::Future;

/// Requests to watch an outlook hold one number.
const WATCH_BYTES_MAX: usize = 1 << 10;

const GENERATION: &str = <GenerationServer<Service>>::NAME;
/// The services that this hop tells of.
pub(crate) const SERVICES: [&str; 2] = [GENERATION, <ProspectServer<Outlooks>>::NAME];

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
    let generation = (limits.deadlines(), mesh::message::layer()).layer(generation);
    let others = presence
        // Whoever watches an outlook does so for as long as both ends live: only answers have a deadline.
        .add_service(ProspectServer::new(outlooks).max_decoding_message_size(WATCH_BYTES_MAX));
    ServiceBuilder::new()
        // First, so that a refused call has a span as well.
        .layer(TraceLayer)
        // Before anything asks who calls: a tenant is what a certificate or a token says, never what a request does.
        .layer(token)
        // Whoever may not ask takes no place of those who may.
        .layer(AuthorizeLayer::new(&options.authorize))
        // Before anything is read of the request: refusing must cost less than serving.
        .layer(AdmitLayer::new(limits.admission()))
        .service(Doors { generation, others: others.prepare() })
}

// === impl Doors ===

impl tower::Service<Request<Body>> for Doors {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<
        MapOk<Answering, fn(Response<Bounded<Body>>) -> Response<Body>>,
        <Routes as tower::Service<Request<Body>>>::Future,
    >;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Both always are.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let path = request.uri().path().strip_prefix('/');
        let of_it =
            path.and_then(|path| path.strip_prefix(GENERATION)).is_some_and(|rest| rest.starts_with('/'));
        match of_it {
            true => Either::Left(self.generation.call(request).map_ok(boxed as fn(_) -> _)),
            false => Either::Right(self.others.call(request)),
        }
    }
}

fn boxed(answer: Response<Bounded<Body>>) -> Response<Body> {
    answer.map(Body::new)
}
