//! A worker with a cache: it takes time for what is not in it, and tells of it as far as it is asked to.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt as _};
use mesh::process::Rim;
use mesh::serve::{ServeOptions, Server};
use mesh::transport::Address;
use parking_lot::Mutex;
use proto::v1;
use proto::v1::content_part::Part;
use proto::v1::fleet_server::{Fleet, FleetServer};
use proto::v1::generate_event::Event;
use proto::v1::generation_server::{Generation, GenerationServer};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::watch;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use crate::worker::report;

/// Bytes of a token, and tokens of a block.
const BYTES: usize = 4;
const BLOCK: usize = 16;
/// Seconds for a prompt's token.
const TOKEN_SECONDS: f64 = 0.001;
/// By how much it takes longer or shorter, by chance.
const JITTER: f64 = 0.3;

/// A worker that caches.
pub(crate) struct Caching {
    pub(crate) address: Address,
    state: State,
}

#[derive(Clone)]
struct State {
    sharing: v1::CacheSharing,
    /// Whether it tells what is in its cache.
    told: bool,
    books: Arc<Mutex<Books>>,
    reports: watch::Sender<usize>,
}

struct Books {
    /// Every beginning by its name, and the names of those that are kept.
    names: HashMap<(String, Vec<u8>), u64>,
    kept: HashSet<u64>,
    changes: Vec<v1::BlockChange>,
    missed: bool,
    forgetful: bool,
    asked: Vec<v1::CacheUse>,
    random: StdRng,
}

// === impl Caching ===

impl Caching {
    pub(crate) async fn start(rim: &Rim, address: &str, (sharing, told): (v1::CacheSharing, bool)) -> Self {
        let listener = rim.bind(&address.parse().unwrap()).await.unwrap();
        let server = Server::new(ServeOptions::default(), listener, rim.identity.clone());
        let books = Books {
            names: HashMap::new(),
            kept: HashSet::new(),
            changes: Vec::new(),
            missed: false,
            forgetful: false,
            asked: Vec::new(),
            random: StdRng::seed_from_u64(rim.seed),
        };
        let books = Arc::new(Mutex::new(books));
        let state = State { sharing, told, books, reports: watch::Sender::new(0) };
        let routes = Routes::new(GenerationServer::new(state.clone()));
        let routes = routes.add_service(FleetServer::new(state.clone())).prepare();
        let address = server.local_address();
        tokio::spawn(async move { server.serve(routes, std::future::pending()).await.unwrap() });
        Self { address, state }
    }

    /// Waits for so many reports.
    pub(crate) async fn reported(&self, count: usize) {
        let mut reports = self.state.reports.subscribe();
        let until = *reports.borrow_and_update() + count;
        reports.wait_for(|reports| *reports >= until).await.unwrap();
    }

    /// Keeps nothing of what it kept, and says so; `missed`: only that it does not know what it kept.
    pub(crate) fn clear(&self, missed: bool) {
        let mut books = self.state.books.lock();
        let gone: Vec<u64> = books.kept.drain().collect();
        books.missed = missed;
        if !missed {
            let removed = |block| v1::BlockChange { change: Some(v1::block_change::Change::Removed(block)) };
            books.changes.extend(gone.into_iter().map(removed));
        }
    }

    /// Keeps nothing from now on.
    pub(crate) fn forgetful(&self) {
        self.state.books.lock().forgetful = true;
    }

    /// What each request said of the cache.
    pub(crate) fn asked(&self) -> Vec<v1::CacheUse> {
        self.state.books.lock().asked.clone()
    }
}

// === impl Books ===

impl Books {
    /// Takes a prompt in: its tokens, those that were kept of it, and the names of its blocks.
    fn take(&mut self, whose: &str, prompt: &[u8]) -> (usize, usize, Vec<u64>) {
        let tokens = prompt.len() / BYTES;
        let mut blocks = Vec::new();
        let mut cached = 0;
        for end in (BLOCK..=tokens).step_by(BLOCK) {
            let next = self.names.len() as u64 + 1;
            let beginning = prompt[..end * BYTES].to_vec();
            let name = *self.names.entry((whose.to_owned(), beginning)).or_insert(next);
            cached += BLOCK * usize::from(self.kept.contains(&name));
            blocks.push(name);
        }
        if !self.forgetful {
            self.kept.extend(&blocks);
        }
        (tokens, cached, blocks)
    }
}

// === impl State ===

impl State {
    fn report(&self) -> v1::Report {
        let mut books = self.books.lock();
        let cache = v1::CacheReport {
            block_tokens: BLOCK as u32,
            changes: std::mem::take(&mut books.changes),
            changes_missed: std::mem::take(&mut books.missed),
            cache_id: 1,
            sharing: self.sharing.into(),
            ..Default::default()
        };
        v1::Report {
            cache: self.told.then_some(cache),
            cache_tokens_max: 1 << 20,
            ..report("small", TOKEN_SECONDS.recip() as f32, 0.001)
        }
    }
}

fn said(request: &v1::GenerateRequest) -> Vec<u8> {
    let parts = request.turns.iter().flat_map(|turn| &turn.parts);
    let texts = parts.map(|part| match &part.part {
        Some(Part::Text(text)) => text.as_bytes(),
        _ => b"",
    });
    texts.collect::<Vec<_>>().concat()
}

#[tonic::async_trait]
impl Fleet for State {
    type WatchReportsStream = BoxStream<'static, Result<v1::Report, Status>>;

    async fn watch_reports(
        &self,
        request: Request<v1::WatchReportsRequest>,
    ) -> Result<Response<Self::WatchReportsStream>, Status> {
        let interval = Duration::from_millis(request.into_inner().interval_ms.into());
        let state = self.clone();
        let ticks = tokio_stream::wrappers::IntervalStream::new(tokio::time::interval(interval));
        let report = move |_| {
            state.reports.send_modify(|reports| *reports += 1);
            Ok(state.report())
        };
        Ok(Response::new(ticks.map(report).boxed()))
    }
}

#[tonic::async_trait]
impl Generation for State {
    type GenerateStream = BoxStream<'static, Result<v1::GenerateEvent, Status>>;

    async fn generate(
        &self,
        request: Request<v1::GenerateRequest>,
    ) -> Result<Response<Self::GenerateStream>, Status> {
        let request = request.into_inner();
        let cache = request.cache.clone().unwrap_or_default();
        let whose = match self.sharing {
            v1::CacheSharing::Conversation => format!("{} {}", cache.salt, request.conversation_id),
            _ => cache.salt.clone(),
        };
        let (seconds, usage, cache_blocks) = {
            let mut books = self.books.lock();
            let (tokens, cached, blocks) = books.take(&whose, &said(&request));
            let jitter = 1.0 + books.random.random_range(-JITTER..JITTER);
            books.asked.push(cache);
            let usage = v1::Usage {
                prompt_tokens: tokens as u32,
                cached_prompt_tokens: cached as u32,
                output_tokens: 1,
            };
            let blocks = if self.told && !books.forgetful { blocks } else { Vec::new() };
            ((tokens - cached) as f64 * TOKEN_SECONDS * jitter + 0.002, usage, blocks)
        };
        let event = |event| Ok(v1::GenerateEvent { event: Some(event) });
        let started = v1::Started {
            request_id: request.request_id,
            decisions: request.decisions,
            place: "worker".into(),
            attempt: 1,
            model_hash: "small-hash".into(),
        };
        let delta = v1::Delta { text: "Noon.".into(), token_ids: vec![1], ..Default::default() };
        let done = v1::Done {
            usage: Some(usage),
            finish_reason: v1::FinishReason::Stop.into(),
            model_hash: "small-hash".into(),
            cache_blocks,
            ..Default::default()
        };
        let stream = async_stream::stream! {
            tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
            for next in [Event::Started(started), Event::Delta(delta), Event::Done(done)] {
                yield event(next);
            }
        };
        Ok(Response::new(stream.boxed()))
    }

    async fn give_feedback(&self, _: Request<v1::Feedback>) -> Result<Response<v1::FeedbackReceipt>, Status> {
        Err(Status::unimplemented("no feedback here"))
    }

    async fn describe(
        &self,
        _: Request<v1::DescribeRequest>,
    ) -> Result<Response<v1::DescribeResponse>, Status> {
        Err(Status::unimplemented("no description here"))
    }
}
