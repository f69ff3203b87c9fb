//! One accepted connection: handshakes within their time, then HTTP/2 until it ends, drains or is closed.

use std::convert::Infallible;
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tonic::codegen::StdError;
use tower::Service;

use super::authority::Named;
use super::bridge::Bridge;
use super::preface::{self, Prefaced};
use super::{Counters, ServeOptions};
use crate::status;
use crate::tls::{Identity, Peer};
use crate::transport::{Address, BoxIo};

/// What all connections of a server share.
pub(super) struct Shared {
    http2: http2::Builder<TokioExecutor>,
    handshake_timeout: Duration,
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
        let mut http2 = http2::Builder::new(TokioExecutor::new());
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
        let handshake_timeout = Duration::from_millis(options.handshake_timeout_ms);
        Shared { http2, handshake_timeout, identity, local: false, counters, drain, force }
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
        let counters = &self.counters.0;
        let handshake = tokio::select! {
            handshake = timeout(self.handshake_timeout, self.handshake(io)) => handshake,
            // A connection without calls has nothing to drain.
            () = self.drain.cancelled() => return,
        };
        let (io, peer) = match handshake {
            Ok(Ok(ready)) => ready,
            Ok(Err(error)) => {
                counters.refused.fetch_add(1, Ordering::Relaxed);
                return tracing::debug!(%error, "a connection was refused");
            }
            Err(_) => {
                counters.refused.fetch_add(1, Ordering::Relaxed);
                return tracing::debug!("a connection was refused: its handshake took too long");
            }
        };
        counters.open.fetch_add(1, Ordering::Relaxed);
        let _open = scopeguard(|| {
            counters.open.fetch_sub(1, Ordering::Relaxed);
        });
        self.drive(Named::new(io, self.local), Bridge::new(service, peer)).await;
    }

    async fn drive<S, B>(&self, io: Named<Prefaced<BoxIo>>, bridge: Bridge<S>)
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
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.drain.cancelled() => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection.as_mut() => ended,
                    () = self.force.cancelled() => {
                        self.counters.0.forced.fetch_add(1, Ordering::Relaxed);
                        return tracing::warn!("a connection was still busy at the drain deadline and is closed");
                    }
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(error = status::chain(&error), "a connection ended with an error");
        }
    }

    async fn handshake(&self, io: BoxIo) -> io::Result<(Prefaced<BoxIo>, Peer)> {
        let Some(identity) = &self.identity else { return Ok((preface::read(io).await?, Peer::default())) };
        let stream = TlsAcceptor::from(identity.server()).accept(io).await?;
        let certificates = stream.get_ref().1.peer_certificates();
        let peer = certificates.and_then(<[_]>::first).map(Peer::of).unwrap_or_default();
        Ok((preface::read(Box::new(stream) as BoxIo).await?, peer))
    }
}

/// Runs a closure when the scope ends, also when it ends by a panic.
fn scopeguard(run: impl FnOnce()) -> impl Drop {
    struct Guard<F: FnOnce()>(Option<F>);
    impl<F: FnOnce()> Drop for Guard<F> {
        fn drop(&mut self) {
            if let Some(run) = self.0.take() {
                run();
            }
        }
    }
    Guard(Some(run))
}
