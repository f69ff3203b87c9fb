//! One caller over several connections: it asks, reads the answer as far as it has to, and says when what came.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use anyhow::{Context as _, Result, bail, ensure};
use futures_util::future::join_all;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt as _, Full};
use mesh::connect::{Channel, ConnectOptions};
use mesh::tls::Identity;
use mesh::transport::{Address, Os};
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;
use tower::Service as _;

use super::wire::{Reading, Template};

/// Every answer of so many is read in full and compared with what the worker sent.
const CHECKED_EVERY: u64 = 64;
/// One call of so many is of a trace that its agent records.
const SAMPLED_EVERY: u64 = 100;
/// What is let in flight on one connection.
const IN_FLIGHT_MAX: usize = 20_000;

/// Who asks. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    channels: Vec<Channel>,
    turn: AtomicUsize,
    number: AtomicU64,
    template: Template,
    /// Answers that ended well, and chunks that came, ever.
    answers: AtomicU64,
    chunks: AtomicU64,
}

/// What was counted so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counted {
    pub(super) answers: u64,
    pub(super) chunks: u64,
}

/// When what came of one answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Came {
    /// The first token.
    pub(super) first: Instant,
    /// The end.
    pub(super) end: Instant,
}

/// An answer that was left open.
pub(super) struct Held {
    body: Body,
    /// Bytes of the question and of what came of its answer.
    pub(super) own_bytes: usize,
}

// === impl Caller ===

impl Caller {
    /// Calls this address over so many connections; nothing is connected yet.
    pub(super) fn new(
        to: &Address,
        identity: Option<&Identity>,
        connections: usize,
        template: Template,
    ) -> Self {
        let channel = |_| {
            let options = ConnectOptions {
                in_flight_max: IN_FLIGHT_MAX,
                connect_timeout_ms: 10_000,
                keepalive_interval_ms: 600_000,
                keepalive_timeout_ms: 600_000,
                ..ConnectOptions::default()
            };
            Channel::new(to.clone(), Arc::new(Os), identity.cloned(), options.expecting("router.causeway"))
        };
        let shared = Shared {
            channels: (0..connections).map(channel).collect(),
            turn: AtomicUsize::new(0),
            number: AtomicU64::new(0),
            template,
            answers: AtomicU64::new(0),
            chunks: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Connects every connection, a hundred at a time.
    pub(super) async fn connect(&self) -> Result<()> {
        for some in self.shared.channels.chunks(100) {
            for connected in join_all(some.iter().map(Channel::connect)).await {
                connected.map_err(|status| refused(&status))?;
            }
        }
        Ok(())
    }

    /// A channel, each in its turn.
    pub(super) fn channel(&self) -> Option<Channel> {
        let turn = self.shared.turn.fetch_add(1, Ordering::Relaxed);
        self.shared.channels.get(turn % self.shared.channels.len().max(1)).cloned()
    }

    /// What was counted so far.
    pub(super) fn counted(&self) -> Counted {
        let Shared { answers, chunks, .. } = &*self.shared;
        Counted { answers: answers.load(Ordering::Relaxed), chunks: chunks.load(Ordering::Relaxed) }
    }

    /// Asks for an answer of so many chunks, and reads it to its end.
    pub(super) async fn ask(&self, chunks: u32) -> Result<Came> {
        let number = self.shared.number.fetch_add(1, Ordering::Relaxed);
        let mut body = self.send(number).await?;
        let mut reading = Reading::default();
        reading.kept = number.is_multiple_of(CHECKED_EVERY).then(Vec::new);
        let mut first = None;
        let mut status = None;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|status| refused(&status))?;
            match frame.into_data() {
                Ok(data) => {
                    let before = reading.deltas;
                    reading.take(data);
                    if reading.deltas > before {
                        first.get_or_insert_with(Instant::now);
                        self.shared.chunks.fetch_add((reading.deltas - before).into(), Ordering::Relaxed);
                    }
                }
                Err(frame) => status = frame.trailers_ref().and_then(Status::from_header_map),
            }
        }
        let end = Instant::now();
        let status = status.context("an answer ended without a status")?;
        ensure!(status.code() == tonic::Code::Ok, refused(&status));
        ensure!(reading.done, "an answer ended without its end");
        reading.check(chunks)?;
        self.shared.answers.fetch_add(1, Ordering::Relaxed);
        Ok(Came { first: first.context("an answer had no token")?, end })
    }

    /// Asks, and leaves the answer where it is when its first token came.
    pub(super) async fn begin(&self) -> Result<Held> {
        let number = self.shared.number.fetch_add(1, Ordering::Relaxed);
        let mut body = self.send(number).await?;
        let mut reading = Reading::default();
        while reading.deltas == 0 {
            let frame = body.frame().await.context("an answer ended before its first token")?;
            if let Ok(data) = frame.map_err(|status| refused(&status))?.into_data() {
                reading.take(data);
            }
        }
        Ok(Held { body, own_bytes: self.shared.template.bytes() + reading.bytes })
    }

    async fn send(&self, number: u64) -> Result<Body> {
        let mut request = Request::new(Body::new(Full::new(self.shared.template.numbered(number))));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = http::Uri::from_static("/causeway.v1.Generation/Generate");
        headers(request.headers_mut(), number)?;
        let mut channel = self.channel().context("there is no connection")?;
        let response = channel.call(request).await.map_err(|status| refused(&status))?;
        if let Some(status) = Status::from_header_map(response.headers()) {
            bail!(refused(&status));
        }
        Ok(response.into_body())
    }
}

/// What an agent sends along: its time, its trace.
fn headers(headers: &mut HeaderMap, number: u64) -> Result<()> {
    let sampled = u8::from(number.is_multiple_of(SAMPLED_EVERY));
    let trace = format!("00-{:032x}-{:016x}-{sampled:02x}", number + 1, number + 1);
    headers.insert("content-type", http::HeaderValue::from_static("application/grpc"));
    headers.insert("te", http::HeaderValue::from_static("trailers"));
    headers.insert("grpc-timeout", http::HeaderValue::from_static("600S"));
    headers.insert("traceparent", trace.parse()?);
    Ok(())
}

fn refused(status: &Status) -> anyhow::Error {
    anyhow::anyhow!("a call failed: {:?}: {}", status.code(), status.message())
}

// === impl Held ===

impl Held {
    /// Reads on until nothing comes any more; counts the chunks.
    pub(super) async fn read_on(mut self, caller: Caller) -> Result<()> {
        let mut reading = Reading::default();
        while let Some(frame) = self.body.frame().await {
            if let Ok(data) = frame.map_err(|status| refused(&status))?.into_data() {
                let before = reading.deltas;
                reading.take(data);
                caller.shared.chunks.fetch_add((reading.deltas - before).into(), Ordering::Relaxed);
            }
        }
        Ok(())
    }
}
