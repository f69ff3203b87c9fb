//! Makes one connection: socket, TLS, HTTP/2.

use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tonic::body::Body;

use super::ConnectOptions;
use crate::status;
use crate::tls::{Identity, Trust, server_name};
use crate::transport::{Address, BoxIo, Transport};

/// By what a connection is secured.
#[derive(Clone)]
pub(super) enum Security {
    /// Both ends show who they are.
    Identity(Identity),
    /// Only the server does.
    Trust(Trust),
}

/// Everything that a connection is made of.
pub(super) struct Dial {
    pub(super) address: Address,
    pub(super) options: ConnectOptions,
    transport: Arc<dyn Transport>,
    security: Option<Security>,
    http2: http2::Builder<TokioExecutor>,
}

/// A connection that must be polled for anything to happen on it.
pub(super) type Connection = http2::Connection<TokioIo<BoxIo>, Body, TokioExecutor>;

impl Dial {
    pub(super) fn new(
        address: Address,
        transport: Arc<dyn Transport>,
        security: Option<Security>,
        options: ConnectOptions,
    ) -> Self {
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .initial_stream_window_size(options.stream_window_bytes)
            .initial_connection_window_size(options.connection_window_bytes)
            .max_header_list_size(options.max_header_list_size)
            // Calls that are given up are remembered until what was on its way for them has come: h2 takes a thousand
            // frames for calls that it has forgotten as an attack, and closes the connection with all others on it.
            .max_concurrent_reset_streams(options.in_flight_max)
            .keep_alive_interval(Duration::from_millis(options.keepalive_interval_ms))
            .keep_alive_timeout(Duration::from_millis(options.keepalive_timeout_ms))
            .keep_alive_while_idle(options.keepalive_while_idle);
        Dial { address, options, transport, security, http2 }
    }

    /// Connects within the configured time, or says why not.
    pub(super) async fn connect(&self) -> Result<(http2::SendRequest<Body>, Connection), String> {
        let limit = self.options.connect_timeout_ms;
        match timeout(Duration::from_millis(limit), self.attempt()).await {
            Ok(outcome) => outcome,
            Err(_) => Err(format!("it did not answer within {limit} ms")),
        }
    }

    async fn attempt(&self) -> Result<(http2::SendRequest<Body>, Connection), String> {
        let io = self.transport.connect(&self.address).await.map_err(|error| status::chain(&error))?;
        let io = match &self.security {
            Some(security) => self.secure(io, security).await?,
            None => io,
        };
        self.http2.handshake(TokioIo::new(io)).await.map_err(|error| status::chain(&error))
    }

    async fn secure(&self, io: BoxIo, security: &Security) -> Result<BoxIo, String> {
        let name = self.options.server_name.as_deref().or(self.address.host()).unwrap_or("localhost");
        let name =
            server_name(name).map_err(|error| format!("`{name}` cannot be a server's name: {error}"))?;
        let config = match security {
            Security::Identity(identity) => identity.client(),
            Security::Trust(trust) => trust.client(),
        };
        let stream = TlsConnector::from(config).connect(name, io).await;
        Ok(Box::new(stream.map_err(|error| format!("TLS: {}", status::chain(&error)))?))
    }
}
