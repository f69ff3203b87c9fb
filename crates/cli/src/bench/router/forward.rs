//! A bare forwarder: HTTP/2 in, HTTP/2 out, no message read, nothing decided. What is written on hyper cannot cost less.

use std::cell::Cell;
use std::io::Write;
use std::process::ExitCode;
use std::rc::Rc;

use anyhow::{Context as _, Result};
use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};

use crate::bench::args::Forward;

/// Windows and bounds as the router's own connections have them.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 256 * 1024 * 1024;
const STREAMS_MAX: u32 = 20_000;

/// The way on: each call takes the next connection.
struct Onward {
    connections: Vec<SendRequest<Incoming>>,
    turn: Cell<usize>,
    authority: Authority,
}

/// `causeway bench forward`: says where it listens, then forwards until it is ended.
pub(in crate::bench) fn run(asked: &Forward, out: &mut impl Write) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let onward = Rc::new(Onward::connect(asked).await?);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        writeln!(out, "listening address={}", listener.local_addr()?)?;
        out.flush()?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::task::spawn_local(serve(stream, onward.clone()));
        }
    })
}

async fn serve(stream: TcpStream, onward: Rc<Onward>) {
    let service = service_fn(move |request| {
        let sent = onward.send(request);
        async move {
            sent.ok_or("there is no connection")?
                .await
                .map_err(Box::<dyn std::error::Error + Send + Sync>::from)
        }
    });
    let mut http2 = hyper::server::conn::http2::Builder::new(Local);
    http2.initial_stream_window_size(STREAM_WINDOW_BYTES).max_concurrent_streams(STREAMS_MAX);
    // A caller that leaves is no error here.
    let _ended = http2.serve_connection(TokioIo::new(stream), service).await;
}

/// Runs what hyper starts on this thread.
#[derive(Clone, Copy)]
struct Local;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

impl Onward {
    async fn connect(asked: &Forward) -> Result<Self> {
        let mut connections = Vec::new();
        for _ in 0..asked.connections {
            let stream = TcpStream::connect(asked.to).await?;
            stream.set_nodelay(true)?;
            let mut http2 = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
            http2.initial_stream_window_size(STREAM_WINDOW_BYTES);
            http2.initial_connection_window_size(CONNECTION_WINDOW_BYTES);
            let (connection, driven) = http2.handshake(TokioIo::new(stream)).await?;
            tokio::task::spawn_local(driven);
            connections.push(connection);
        }
        let authority = asked.to.to_string().parse().context("an address is an authority")?;
        Ok(Self { connections, turn: Cell::new(0), authority })
    }

    fn send(
        &self,
        request: Request<Incoming>,
    ) -> Option<impl Future<Output = hyper::Result<Response<Incoming>>> + use<>> {
        let (mut head, body) = request.into_parts();
        let mut uri = head.uri.into_parts();
        uri.scheme = Some(Scheme::HTTP);
        uri.authority = Some(self.authority.clone());
        head.uri = Uri::from_parts(uri).ok()?;
        let turn = self.turn.replace(self.turn.get().wrapping_add(1));
        let mut connection = self.connections.get(turn % self.connections.len().max(1))?.clone();
        Some(connection.send_request(Request::from_parts(head, body)))
    }
}
