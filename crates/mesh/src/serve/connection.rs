//! One accepted connection: handshakes within their time, then HTTP/2 until it ends, drains or is closed.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tonic::codegen::StdError;
use tower::Service;

use super::authority::Named;
use super::bridge::Bridge;
use super::call::Calls;
use super::guard::{Bounds, Found, Guarded};
use super::preface::{self, Prefaced};
use super::{Counters, Fault, ServeOptions};
use crate::status;
use crate::tls::{Identity, Peer};
use crate::transport::{Address, BoxIo};

/// What all connections of a server share.
pub(super) struct Shared {
    http2: http2::Builder<Calls>,
    handshake_timeout: Duration,
    body_timeout: Duration,
    bounds: Bounds,
    identity: Option<Identity>,
    /// Whether only this machine can call, by a path.
    local: bool,
    counters: Counters,
    drain: CancellationToken,
    force: CancellationToken,
}

impl Shared {
    pub(super) fn new(
        options: &ServeOptions,
        identity: Option<Identity>,
        counters: Counters,
        drain: CancellationToken,
        force: CancellationToken,
    ) -> Self {
        let unread_timeout = Duration::from_millis(options.unread_timeout_ms);
        let mut http2 = http2::Builder::new(Calls::new(unread_timeout, counters.clone()));
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(options.max_concurrent_streams)
            .initial_stream_window_size(options.stream_window_bytes)
            .initial_connection_window_size(options.connection_window_bytes)
            .max_header_list_size(options.max_header_list_size)
            .max_frame_size(options.max_frame_size)
            .max_send_buf_size(options.send_buffer_bytes)
            .max_pending_accept_reset_streams(options.max_pending_accept_reset_streams)
            .keep_alive_interval(Duration::from_millis(options.keepalive_interval_ms))
            .keep_alive_timeout(Duration::from_millis(options.keepalive_timeout_ms));
        Shared {
            http2,
            handshake_timeout: Duration::from_millis(options.handshake_timeout_ms),
            body_timeout: Duration::from_millis(options.body_timeout_ms),
            bounds: Bounds::new(options),
            identity,
            local: false,
            counters,
            drain,
            force,
        }
    }

    /// For connections of this address.
    pub(super) fn at(self, address: &Address) -> Self {
        Shared { local: matches!(address, Address::Unix(_)), ..self }
    }

    /// Serves one connection to its end. Nothing that happens on it reaches the others.
    pub(super) async fn run<S, B>(&self, io: BoxIo, service: S)
    where
        S: Service<Request<tonic::body::Body>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
        B: Body<Data = Bytes, Error: Into<StdError>> + Send + 'static,
    {
        let handshake = tokio::select! {
            handshake = self.handshake(io) => handshake,
            // A connection without calls has nothing to drain.
            () = self.drain.cancelled() => return,
        };
        let (io, peer) = match handshake {
            Ok(ready) => ready,
            Err((fault, problem)) => {
                self.counters.fault(fault);
                return tracing::debug!(fault = fault.name(), problem, "a connection was refused");
            }
        };
        let _open = self.counters.open();
        let io = Guarded::new(io, self.bounds);
        let found = io.found();
        let leave = self.drain.child_token();
        let (body_timeout, counters) = (self.body_timeout, self.counters.clone());
        let bridge = Bridge::new(service, peer, body_timeout, counters, leave.clone());
        if let Err(error) = self.drive(Named::new(io, self.local), bridge, leave).await {
            let error = status::chain(&error);
            let Some(fault) = found.get().or_else(|| fault_of(&error, &found)) else {
                return tracing::debug!(error, "a connection ended with an error");
            };
            self.counters.fault(fault);
            tracing::info!(fault = fault.name(), error, "a connection is closed");
        }
    }

    async fn drive<S, B>(
        &self,
        io: Named<Guarded<Prefaced<BoxIo>>>,
        bridge: Bridge<S>,
        leave: CancellationToken,
    ) -> Result<(), hyper::Error>
    where
        S: Service<Request<tonic::body::Body>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
        B: Body<Data = Bytes, Error: Into<StdError>> + Send + 'static,
    {
        let connection = self.http2.serve_connection(TokioIo::new(io), bridge);
        tokio::pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = leave.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.force.cancelled() => {
                self.counters.fault(Fault::Forced);
                tracing::warn!("a connection was still busy at the drain deadline and is closed");
                Ok(())
            }
        }
    }

    /// TLS and the preface, both within one time, or what was wrong with which.
    async fn handshake(&self, io: BoxIo) -> Result<(Prefaced<BoxIo>, Peer), (Fault, String)> {
        let deadline = Instant::now() + self.handshake_timeout;
        let late = |fault: Fault| move |_: Elapsed| (fault, "it took too long".to_owned());
        let bad = |fault: Fault| move |error: io::Error| (fault, error.to_string());
        let (io, peer) = match &self.identity {
            None => (io, Peer::default()),
            Some(identity) => {
                let accepted = timeout_at(deadline, TlsAcceptor::from(identity.server()).accept(io)).await;
                let stream =
                    accepted.map_err(late(Fault::LateHandshake))?.map_err(bad(Fault::BadHandshake))?;
                let certificates = stream.get_ref().1.peer_certificates();
                let peer = certificates.and_then(<[_]>::first).map(Peer::of).unwrap_or_default();
                (Box::new(stream) as BoxIo, peer)
            }
        };
        let read = timeout_at(deadline, preface::read(io)).await;
        Ok((read.map_err(late(Fault::LatePreface))?.map_err(bad(Fault::BadPreface))?, peer))
    }
}

/// What h2 says when it ends a connection by itself. It has no other way to tell than its words, and where it says that
/// there was too much, only the frames show of what.
fn fault_of(error: &str, found: &Found) -> Option<Fault> {
    let said = |words: &str| error.contains(words);
    if said("keep-alive timed out") {
        return Some(Fault::Silent);
    }
    if said("detected excessive load") {
        return Some(found.too_much());
    }
    // A block that is too long to be looked at ends in this, as it cannot be left out either.
    if said("header compression context") && found.too_much() == Fault::HeadersTooLarge {
        return Some(Fault::HeadersTooLarge);
    }
    said("connection error detected").then_some(Fault::BrokenConnection)
}
