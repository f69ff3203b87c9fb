//! The shipped router in this process, workers that follow a script, and a caller, on connections within the process.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use futures_util::stream::{self, BoxStream, StreamExt as _};
use mesh::connect::{Channel, ConnectOptions};
use mesh::process::Rim;
use mesh::serve::{ServeOptions, Server};
use mesh::transport::{Address, Memory};
use proto::v1;
use proto::v1::content_part::Part;
use proto::v1::fleet_server::{Fleet, FleetServer};
use proto::v1::generate_event::Event;
use proto::v1::generation_client::GenerationClient;
use proto::v1::generation_server::{Generation, GenerationServer};
use router::Router;
use router::config::{LoadSource, Options, WorkerOptions};
use tokio::sync::oneshot;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

/// One tier at whole millionths of a dollar a token.
const POLICY: &str = r#"
schema = "causeway.policy/v1"
[[tier]]
name = "cloud"
kind = "cloud"
input_usd_per_million_tokens = 1
output_usd_per_million_tokens = 2
abilities = [2.0, 0.0]
[[class]]
name = "default"
second_usd = 0.001
wrong_answer_usd = 0.02
"#;
/// What tells the workers' one model from others.
const MODEL: &str = "scripted";
/// Tokens of every prompt.
const PROMPT_TOKENS: u32 = 10;

/// What a worker has done.
#[derive(Debug, Default)]
pub(super) struct Deeds {
    pub(super) open: AtomicUsize,
    /// When the answer to a request was given up, or ended.
    pub(super) left: Mutex<HashMap<String, Instant>>,
}

/// A worker; it ends when it is dropped.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) deeds: Arc<Deeds>,
    _stop: oneshot::Sender<()>,
}

/// Everything. It ends when it is dropped.
pub(super) struct Scene {
    pub(super) client: GenerationClient<Channel>,
    pub(super) workers: Vec<Worker>,
    /// What is spent or reserved, US dollars.
    pub(super) spent: Box<dyn Fn() -> f64 + Send + Sync>,
    _stop: oneshot::Sender<()>,
    _policy: tempfile::NamedTempFile,
}

#[derive(Clone)]
struct Script {
    /// Before each token.
    pause: Duration,
    deeds: Arc<Deeds>,
}

/// An answer under way.
struct Open(Arc<Deeds>, String);

/// A request for so many tokens.
pub(super) fn request(id: String, tokens: u32) -> v1::GenerateRequest {
    let part = v1::ContentPart { part: Some(Part::Text("What time is it in Lima?".to_owned())) };
    let expected = tokens as f32;
    v1::GenerateRequest {
        request_id: id,
        turns: vec![v1::Turn { role: v1::Role::User.into(), parts: vec![part] }],
        sampling: Some(v1::Sampling { max_tokens: Some(tokens), ..v1::Sampling::default() }),
        signals: Some(v1::Signals {
            prompt_tokens: PROMPT_TOKENS,
            output_tokens_p50: expected,
            output_tokens_p90: expected,
            requirement: vec![1.0, 0.0],
            version: "given".to_owned(),
            ..v1::Signals::default()
        }),
        ..v1::GenerateRequest::default()
    }
}

// === impl Scene ===

impl Scene {
    /// A router with so many workers, which pause before each token; with this at the end of its policy, and other
    /// options.
    pub(super) async fn with(
        count: usize,
        pause: Duration,
        policy: &str,
        change: impl FnOnce(&mut Options),
    ) -> Result<Self> {
        let mut file = tempfile::NamedTempFile::new()?;
        write!(file, "{POLICY}{policy}")?;
        let rim = Rim { transport: Arc::new(Memory::default()), identity: None, seed: 7 };
        let mut options = Options::default();
        options.listen.address = address(0)?;
        options.policy.file = file.path().to_owned();
        let mut workers = Vec::new();
        for number in 1..=count {
            let address = address(number)?;
            workers.push(Worker::start(&rim, &address, pause).await?);
            options.fleet.workers.push(WorkerOptions {
                name: format!("worker-{number}"),
                tier: "cloud".to_owned(),
                address,
                server_name: "worker.causeway".to_owned(),
                region: None,
                load: LoadSource::default(),
            });
        }
        change(&mut options);
        let router = Router::bind(options, rim.clone()).await?;
        let (address, spent) = (router.address().clone(), router.spent());
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(router.run(async { drop(stopped.await) }));
        let connect = ConnectOptions { in_flight_max: 1 << 16, ..ConnectOptions::default() };
        let channel = Channel::new(address, rim.transport.clone(), None, connect);
        let client = GenerationClient::new(channel);
        let spent = Box::new(move || spent().iter().map(|(_, usd)| usd).sum());
        let scene = Self { client, workers, spent, _stop: stop, _policy: file };
        scene.ready().await?;
        Ok(scene)
    }

    /// Waits until the router has heard of every worker.
    async fn ready(&self) -> Result<()> {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        for _ in 0..500 {
            ticks.tick().await;
            let described = self.client.clone().describe(v1::DescribeRequest {}).await?.into_inner();
            if described.places.iter().filter(|place| place.model.is_some()).count() == self.workers.len() {
                return Ok(());
            }
        }
        bail!("the router did not hear of its workers")
    }
}

// === impl Worker ===

impl Worker {
    async fn start(rim: &Rim, address: &Address, pause: Duration) -> Result<Self> {
        let listener = rim.bind(address).await?;
        let deeds = Arc::<Deeds>::default();
        let script = Script { pause, deeds: deeds.clone() };
        let generation = GenerationServer::new(script.clone());
        let routes = Routes::new(FleetServer::new(script)).add_service(generation).prepare();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = Server::new(ServeOptions::default(), listener, None);
        // These options can be served.
        tokio::spawn(async move { drop(server.serve(routes, async { drop(stopped.await) }).await) });
        Ok(Self { deeds, _stop: stop })
    }
}

fn address(number: usize) -> Result<Address> {
    Ok(format!("127.0.0.1:{}", 1 + number).parse()?)
}

// === impl Open ===

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        if let Ok(mut left) = self.0.left.lock() {
            left.insert(std::mem::take(&mut self.1), Instant::now());
        }
    }
}

#[tonic::async_trait]
impl Fleet for Script {
    type WatchReportsStream = BoxStream<'static, Result<v1::Report, Status>>;

    async fn watch_reports(
        &self,
        request: Request<v1::WatchReportsRequest>,
    ) -> Result<Response<Self::WatchReportsStream>, Status> {
        let interval_ms = request.into_inner().interval_ms.max(50);
        let seconds_per_output_token = self.pause.as_secs_f32().max(1e-4);
        let report = v1::Report {
            interval_ms,
            model: Some(v1::ModelDescription {
                name: MODEL.to_owned(),
                hash: MODEL.to_owned(),
                context_tokens_max: 1 << 16,
                ..v1::ModelDescription::default()
            }),
            running_max: 1 << 10,
            prefill_tokens_per_second: 10_000.0,
            seconds_per_output_token,
            ..v1::Report::default()
        };
        let ticks = tokio::time::interval(Duration::from_millis(interval_ms.into()));
        let reports = stream::unfold(ticks, move |mut ticks| {
            let report = report.clone();
            async move {
                ticks.tick().await;
                Some((Ok(report), ticks))
            }
        });
        Ok(Response::new(reports.boxed()))
    }
}

#[tonic::async_trait]
impl Generation for Script {
    type GenerateStream = BoxStream<'static, Result<v1::GenerateEvent, Status>>;

    async fn generate(
        &self,
        request: Request<v1::GenerateRequest>,
    ) -> Result<Response<Self::GenerateStream>, Status> {
        let request = request.into_inner();
        let wanted = request.sampling.as_ref().and_then(|sampling| sampling.max_tokens).unwrap_or(20);
        let from = request.resume.map_or(0, |resume| resume.token_ids.len() as u32);
        self.deeds.open.fetch_add(1, Ordering::Relaxed);
        let open = Open(self.deeds.clone(), request.request_id.clone());
        let started = v1::Started {
            request_id: request.request_id,
            decisions: request.decisions,
            model_hash: MODEL.to_owned(),
            ..v1::Started::default()
        };
        let pause = self.pause;
        let tokens = stream::unfold((from, open), move |(at, open)| async move {
            if at > wanted {
                return None;
            }
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            let event = if at < wanted { delta(at) } else { done(wanted - from) };
            Some((Ok(v1::GenerateEvent { event: Some(event) }), (at + 1, open)))
        });
        let first = stream::iter([Ok(v1::GenerateEvent { event: Some(Event::Started(started)) })]);
        Ok(Response::new(first.chain(tokens).boxed()))
    }

    async fn give_feedback(&self, _: Request<v1::Feedback>) -> Result<Response<v1::FeedbackReceipt>, Status> {
        Err(Status::unimplemented("not in this script"))
    }

    async fn describe(
        &self,
        _: Request<v1::DescribeRequest>,
    ) -> Result<Response<v1::DescribeResponse>, Status> {
        Err(Status::unimplemented("not in this script"))
    }
}

/// The token of an index is that index.
fn delta(index: u32) -> Event {
    let text = format!("{index} ");
    Event::Delta(v1::Delta { text, token_ids: vec![index], first_token_index: index, ..v1::Delta::default() })
}

fn done(output_tokens: u32) -> Event {
    Event::Done(v1::Done {
        usage: Some(v1::Usage { prompt_tokens: PROMPT_TOKENS, cached_prompt_tokens: 0, output_tokens }),
        finish_reason: v1::FinishReason::Length.into(),
        model_hash: MODEL.to_owned(),
        ..v1::Done::default()
    })
}
