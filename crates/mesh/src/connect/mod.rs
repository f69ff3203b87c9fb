//! One peer as seen by its callers: connects when asked, reconnects with backoff, and says why it cannot.

mod options;
mod link;
mod dial;
mod intake;
#[cfg(test)]
mod tests;

use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, Stream};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep_until};
use tonic::Status;
use tonic::body::Body;
use tower::Service;

use self::dial::{Dial, Security};
pub use self::intake::{Intake, Joining};
pub use self::link::ConnectionState;
use self::link::{Link, Session};
pub use self::options::ConnectOptions;
use crate::admit::Permitted;
use crate::deadline::{Bounded, Deadline, exceeded, parse_grpc_timeout};
use crate::status;
use crate::tls::{Identity, Trust};
use crate::token::Bearer;
use crate::transport::{Address, Transport};

/// What a channel calls itself where the caller did not.
const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("causeway/", env!("CARGO_PKG_VERSION")));

/// A connection is tried anew for a request that an ending connection gave back unsent, this often in all.
const SENDS_MAX: usize = 2;

/// Calls one peer. Clones share its connection.
///
/// A call ends at its `grpc-timeout` here as well as at the peer, so that a peer which has gone silent holds nobody
/// longer. Nothing queues: over `in_flight_max`, and while the peer is known to be unreachable, calls fail at once.
#[derive(Clone)]
pub struct Channel {
    inner: Arc<Inner>,
    bearer: Option<Bearer>,
}

struct Inner {
    link: Link,
    permits: Arc<Semaphore>,
    in_flight_max: usize,
    unread_bytes_max: usize,
    scheme: Scheme,
    authority: Authority,
}

type Timer = Pin<Box<Sleep>>;

// === impl Channel ===

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let address = self.address().to_string();
        f.debug_struct("Channel").field("address", &address).field("state", &self.state()).finish()
    }
}

impl Channel {
    /// A channel to a peer; it connects at the first call. Without an identity it speaks plaintext.
    ///
    /// The peer's certificate must be valid for [`ConnectOptions::server_name`], or else for the address's host.
    #[must_use]
    pub fn new(
        address: Address,
        transport: Arc<dyn Transport>,
        identity: Option<Identity>,
        options: ConnectOptions,
    ) -> Self {
        Self::secured(address, transport, identity.map(Security::Identity), options)
    }

    /// A channel to a server of others, which is shown no certificate and must have one of an authority that is trusted.
    /// Without that it speaks plaintext.
    #[must_use]
    pub fn trusting(
        address: Address,
        transport: Arc<dyn Transport>,
        trust: Option<Trust>,
        options: ConnectOptions,
    ) -> Self {
        Self::secured(address, transport, trust.map(Security::Trust), options)
    }

    fn secured(
        address: Address,
        transport: Arc<dyn Transport>,
        security: Option<Security>,
        options: ConnectOptions,
    ) -> Self {
        let in_flight_max = options.in_flight_max.clamp(1, Semaphore::MAX_PERMITS);
        let unread_bytes_max = options.unread_bytes_max;
        let scheme = if security.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
        let authority = authority(&address);
        let link = Link::new(Dial::new(address, transport, security, options));
        let permits = Arc::new(Semaphore::new(in_flight_max));
        let inner = Inner { link, permits, in_flight_max, unread_bytes_max, scheme, authority };
        Channel { inner: Arc::new(inner), bearer: None }
    }

    /// The same channel, whose calls bring this token unless they have one of their own. Where others could read it on its
    /// way, because the peer is another machine and the connection is without TLS, they fail and it is not sent.
    #[must_use]
    pub fn bearing(self, bearer: Option<Bearer>) -> Self {
        Channel { bearer, ..self }
    }

    /// The peer's address.
    #[must_use]
    pub fn address(&self) -> &Address {
        self.inner.link.address()
    }

    /// How the connection stands.
    #[must_use]
    pub fn state(&self) -> ConnectionState {
        self.inner.link.state()
    }

    /// Until the next attempt to connect; `None`: it may be made at once.
    #[must_use]
    pub fn retry_in(&self) -> Option<Duration> {
        self.inner.link.retry_in()
    }

    /// Calls from their start to the end of their bodies.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.inner.in_flight_max - self.inner.permits.available_permits()
    }

    /// Takes in an answer of this peer as it comes, whatever its reader does, up to
    /// [`ConnectOptions::unread_bytes_max`].
    pub fn take_in<T, S>(&self, answer: S, joining: Joining<T>) -> Intake<T, S>
    where
        T: Send + 'static,
        S: Stream<Item = Result<T, Status>> + Send + Unpin + 'static,
    {
        Intake::new(answer, joining, self.inner.unread_bytes_max)
    }

    /// Connects if there is no connection, so that the first call need not wait.
    ///
    /// # Errors
    /// UNAVAILABLE with the address and the cause.
    pub async fn connect(&self) -> Result<(), Status> {
        self.inner.link.session().await.map(drop)
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = Status;
    type Future = BoxFuture<'static, Result<Response<Body>, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // Whether a call can be made is known when it is made: waiting here would be a queue without a bound.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let inner = self.inner.clone();
        if let Some(bearer) = &self.bearer {
            if !inner.is_private() {
                let address = inner.link.address();
                let said =
                    format!("no token is sent to {address} without TLS: set tls.certificate and its fellows");
                return ready(Err(Status::failed_precondition(said))).boxed();
            }
            bearer.put_on(request.headers_mut());
        }
        async move { inner.call(request).await }.boxed()
    }
}

// === impl Inner ===

impl Inner {
    /// Whether nobody but the peer reads what is sent.
    fn is_private(&self) -> bool {
        self.scheme == Scheme::HTTPS || self.link.address().is_local()
    }

    async fn call(&self, request: Request<Body>) -> Result<Response<Body>, Status> {
        let permit = self.permits.clone().try_acquire_owned().map_err(|_| {
            let address = self.link.address();
            Status::resource_exhausted(format!(
                "{} calls to {address} are in flight already",
                self.in_flight_max
            ))
        })?;
        let asked = parse_grpc_timeout(request.headers());
        let asked = asked.map_err(|error| Status::invalid_argument(error.to_string()))?;
        let Some(time) = asked else {
            return self
                .send(request)
                .await
                .map(|(response, session)| wrap(response, &session, permit, None));
        };
        let mut timer = Box::pin(sleep_until(Deadline::within(time).instant()));
        tokio::select! {
            biased;
            () = &mut timer => Err(exceeded()),
            sent = self.send(request) => {
                sent.map(|(response, session)| wrap(response, &session, permit, Some(timer)))
            }
        }
    }

    async fn send(&self, request: Request<Body>) -> Result<(Response<Incoming>, Arc<Session>), Status> {
        let mut request = self.addressed(request);
        let mut sends = 0;
        loop {
            sends += 1;
            let session = self.link.session().await?;
            match session.sender().try_send_request(request).await {
                Ok(response) => {
                    session.prove();
                    return Ok((response, session));
                }
                Err(mut error) => match error.take_message() {
                    // It was never sent, so nothing can happen twice.
                    Some(unsent) if sends < SENDS_MAX => request = unsent,
                    _ => return Err(session.status_of(error.error()).await),
                },
            }
        }
    }

    /// HTTP/2 needs the scheme and the authority that generated clients leave out.
    fn addressed(&self, request: Request<Body>) -> Request<Body> {
        let (mut head, body) = request.into_parts();
        let mut uri = std::mem::take(&mut head.uri).into_parts();
        uri.scheme = Some(self.scheme.clone());
        uri.authority.get_or_insert_with(|| self.authority.clone());
        uri.path_and_query.get_or_insert_with(|| PathAndQuery::from_static("/"));
        // All three parts are set, which is the one condition.
        head.uri = Uri::from_parts(uri).unwrap_or_default();
        head.headers.entry(header::USER_AGENT).or_insert(USER_AGENT);
        Request::from_parts(head, body)
    }
}

fn wrap(
    response: Response<Incoming>,
    session: &Arc<Session>,
    permit: OwnedSemaphorePermit,
    timer: Option<Timer>,
) -> Response<Body> {
    let session = session.clone();
    response.map(|body| {
        let body = body.map_err(move |error| session.say(&status::of_hyper(&error)));
        Body::new(Bounded::new(Permitted::new(body, Some(permit)), timer))
    })
}

/// What stands in `:authority`: the address, or `localhost` for sockets that have no host.
fn authority(address: &Address) -> Authority {
    let localhost = Authority::from_static("localhost");
    match address {
        Address::Tcp(text) => text.parse().unwrap_or(localhost),
        Address::Unix(_) => localhost,
    }
}
