//! The worker at the far end: it speaks as a worker must, answers by a script instead of a model, and takes what routers
//! tell a collector of traces.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::BodyExt as _;
use mesh::serve::{ServeOptions, Server};
use mesh::tls::Identity;
use mesh::transport::{Address, Os, Transport as _};
use parking_lot::Mutex;
use proto::v1;
use proto::v1::generate_event::Event;
use tokio::time::{Instant, Sleep, sleep};
use tonic::body::Body;

use super::wire;

/// Chunks that an answer may have.
pub(super) const CHUNKS_MAX: u32 = 16_384;
/// Connections and calls that are let in; the bench alone calls.
const PEERS_MAX: u32 = 20_000;
/// Times between reports that are granted.
const REPORT_INTERVAL_MIN: Duration = Duration::from_millis(100);

/// How answers are given from now on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Script {
    /// Tokens, one to a chunk.
    pub(super) chunks: u32,
    /// Between two of them; zero: all are there at once.
    pub(super) pace: Duration,
}

/// The worker, as its connections share it.
#[derive(Debug, Clone)]
pub(super) struct Worker {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    script: Mutex<Script>,
    /// Answers under way.
    open: AtomicU32,
    /// As how many workers routers know this one.
    names: u32,
    /// Every chunk that an answer may have, framed.
    chunks: Vec<Bytes>,
}

/// An answer under way.
struct Answer {
    inner: Arc<Inner>,
    script: Script,
    head: Option<Bytes>,
    /// The next chunk.
    next: u32,
    pause: Option<Pin<Box<Sleep>>>,
    phase: Phase,
}

/// Reports, for as long as somebody listens.
struct Reports {
    inner: Arc<Inner>,
    interval: Duration,
    pause: Pin<Box<Sleep>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Head,
    Chunks,
    Trailers,
    Over,
}

type Data = Result<Frame<Bytes>, Infallible>;

// === impl Worker ===

impl Worker {
    /// A worker that routers know by so many names.
    pub(super) fn new(names: u32) -> Self {
        let script = Mutex::new(Script { chunks: 1, pace: Duration::ZERO });
        let chunk = |index| {
            wire::event(Event::Delta(v1::Delta {
                text: " word".to_owned(),
                token_ids: vec![index],
                first_token_index: index,
                ..v1::Delta::default()
            }))
        };
        let chunks = (0..CHUNKS_MAX).map(chunk).collect();
        Self { inner: Arc::new(Inner { script, open: AtomicU32::new(0), names, chunks }) }
    }

    /// Answers from now on by this script.
    pub(super) fn follow(&self, script: Script) {
        *self.inner.script.lock() = script;
    }

    /// Serves on a port of its own until its runtime ends.
    pub(super) async fn serve(&self, identity: Option<Identity>) -> Result<Address> {
        let listener = Os.bind(&Address::Tcp("127.0.0.1:0".to_owned())).await?;
        let options = ServeOptions {
            connections_max: PEERS_MAX as usize,
            max_concurrent_streams: PEERS_MAX,
            keepalive_interval_ms: 600_000,
            ..ServeOptions::default()
        };
        let server = Server::new(options, listener, identity);
        let address = server.local_address();
        let worker = self.clone();
        let service = tower::service_fn(move |request| {
            let worker = worker.clone();
            async move { Ok::<_, Infallible>(worker.answer(request).await) }
        });
        tokio::spawn(server.serve(service, std::future::pending()));
        Ok(address)
    }

    async fn answer(self, request: Request<Body>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let Ok(message) = request.into_body().collect().await else { return refusal(tonic::Code::Cancelled) };
        let message = message.to_bytes();
        match path.as_str() {
            "/causeway.v1.Generation/Generate" => match wire::message(&message) {
                Some(request) => response(Body::new(Answer::new(self.inner, request))),
                None => refusal(tonic::Code::InvalidArgument),
            },
            "/causeway.v1.Fleet/WatchReports" => {
                let asked: v1::WatchReportsRequest = wire::message(&message).unwrap_or_default();
                let interval = Duration::from_millis(asked.interval_ms.into()).max(REPORT_INTERVAL_MIN);
                let pause = Box::pin(sleep(Duration::ZERO));
                response(Body::new(Reports { inner: self.inner, interval, pause }))
            }
            path if path.starts_with("/opentelemetry.proto.collector.") => {
                let frames = [Ok::<_, Infallible>(Frame::data(wire::frame(&()))), Ok(Frame::trailers(ok()))];
                response(Body::new(http_body_util::StreamBody::new(futures_util::stream::iter(frames))))
            }
            _ => refusal(tonic::Code::Unimplemented),
        }
    }
}

fn response(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}

fn refusal(code: tonic::Code) -> Response<Body> {
    tonic::Status::new(code, "").into_http()
}

fn ok() -> HeaderMap {
    HeaderMap::from_iter([(tonic::Status::GRPC_STATUS, HeaderValue::from_static("0"))])
}

// === impl Answer ===

impl Answer {
    fn new(inner: Arc<Inner>, request: v1::GenerateRequest) -> Self {
        inner.open.fetch_add(1, Ordering::Relaxed);
        let script = *inner.script.lock();
        let started = wire::event(Event::Started(v1::Started {
            request_id: request.request_id,
            decisions: request.decisions,
            place: "worker".to_owned(),
            attempt: 1,
            model_hash: MODEL_HASH.to_owned(),
        }));
        let next =
            request.resume.map_or(0, |resume| u32::try_from(resume.token_ids.len()).unwrap_or(u32::MAX));
        Self { inner, script, head: Some(started), next, pause: None, phase: Phase::Head }
    }

    /// What is sent with the first token, as its engine has it then.
    fn begin(&mut self) -> Bytes {
        let mut all = self.head.take().unwrap_or_default().to_vec();
        all.extend_from_slice(&self.chunk().unwrap_or_default());
        if self.next >= self.script.chunks {
            all.extend_from_slice(&self.end());
        }
        all.into()
    }

    fn chunk(&mut self) -> Option<Bytes> {
        let chunk = (self.next < self.script.chunks).then(|| self.inner.chunks.get(self.next as usize))??;
        self.next += 1;
        Some(chunk.clone())
    }

    fn end(&mut self) -> Bytes {
        self.phase = Phase::Trailers;
        wire::event(Event::Done(v1::Done {
            usage: Some(v1::Usage { prompt_tokens: 50, cached_prompt_tokens: 0, output_tokens: self.next }),
            finish_reason: v1::FinishReason::Stop.into(),
            place: "worker".to_owned(),
            model_hash: MODEL_HASH.to_owned(),
            ..v1::Done::default()
        }))
    }
}

/// Of the model that nobody has.
const MODEL_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Data>> {
        let this = self.get_mut();
        let paced = !this.script.pace.is_zero();
        match this.phase {
            Phase::Head => {
                this.phase = Phase::Chunks;
                let head = this.begin();
                this.pause = paced.then(|| Box::pin(sleep(this.script.pace)));
                Poll::Ready(Some(Ok(Frame::data(head))))
            }
            Phase::Chunks => {
                if let Some(pause) = &mut this.pause {
                    std::task::ready!(pause.as_mut().poll(cx));
                    let due = pause.deadline() + this.script.pace;
                    pause.as_mut().reset(due);
                }
                let data = this.chunk().unwrap_or_else(|| this.end());
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Phase::Trailers => {
                this.phase = Phase::Over;
                Poll::Ready(Some(Ok(Frame::trailers(ok()))))
            }
            Phase::Over => Poll::Ready(None),
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.inner.open.fetch_sub(1, Ordering::Relaxed);
    }
}

// === impl Reports ===

impl http_body::Body for Reports {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Data>> {
        std::task::ready!(self.pause.as_mut().poll(cx));
        let due = Instant::now() + self.interval;
        self.pause.as_mut().reset(due);
        let open = self.inner.open.load(Ordering::Relaxed);
        let report = v1::Report {
            interval_ms: wire::millis(self.interval),
            model: Some(v1::ModelDescription {
                name: "scripted".to_owned(),
                architecture: "scripted".to_owned(),
                hash: MODEL_HASH.to_owned(),
                parameters: 1_000_000,
                active_parameters: 1_000_000,
                context_tokens_max: 32_768,
                quantization: "none".to_owned(),
                numeric_class: "scripted".to_owned(),
            }),
            running: open / self.inner.names.max(1),
            running_max: PEERS_MAX,
            prefill_tokens_per_second: 1e6,
            seconds_per_output_token: 1e-4,
            cache_tokens_max: 1 << 30,
            ..v1::Report::default()
        };
        Poll::Ready(Some(Ok(Frame::data(wire::frame(&report)))))
    }
}
