//! An agent that runs, whoever it asks, and somebody who asks it.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use mesh::connect::{Channel, ConnectOptions};
use mesh::process::Rim;
use mesh::serve::{ServeOptions, Server};
use mesh::transport::{Address, Memory, Os};
use proto::v1;
use proto::v1::content_part::Part;
use proto::v1::generate_event::Event;
use proto::v1::generation_client::GenerationClient;
use proto::v1::generation_server::{Generation, GenerationServer};
use proto::v1::prospect_server::{Prospect, ProspectServer};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use crate::actuator::Remembered;
use crate::{Agent, Options};

/// The rules of every scene.
pub(super) const POLICY: &str = r#"
schema = "causeway.policy/v1"
[[tier]]
name = "command"
kind = "command"
input_usd_per_million_tokens = 0.0
output_usd_per_million_tokens = 0.0
[[tier]]
name = "device"
kind = "device"
input_usd_per_million_tokens = 0.001
output_usd_per_million_tokens = 0.001
abilities = [1.0, 0.0]
[[tier]]
name = "cloud"
kind = "cloud"
input_usd_per_million_tokens = 0.03
output_usd_per_million_tokens = 0.03
abilities = [0.0, 1.0]
[[tier]]
name = "cloud-slow"
kind = "cloud"
input_usd_per_million_tokens = 0.03
output_usd_per_million_tokens = 0.03
abilities = [0.0, 1.0]
[[class]]
name = "default"
second_usd = 0.0000001
wrong_answer_usd = 0.1
"#;

/// What an upstream does with each request.
#[derive(Clone, Debug)]
pub(super) enum Script {
    /// Answers.
    Answer,
    /// Refuses at once.
    Refuse(Status),
    /// Begins, and breaks off.
    Break(Status),
    /// Begins, and never goes on.
    Hang,
    /// Answers so many in a second, and has no room for others.
    Rated(usize),
}

/// An upstream that does what its script says.
#[derive(Clone, Debug)]
pub(super) struct Upstream {
    script: Script,
    /// The requests that came, with the time that each was given.
    pub(super) seen: Arc<Mutex<Vec<Seen>>>,
    /// The `authorization` of each.
    pub(super) tokens: Arc<Mutex<Vec<String>>>,
    /// When it answered, where that is bounded.
    pub(super) taken: Arc<Mutex<Vec<Instant>>>,
    /// Filled when a stream that hangs is dropped.
    pub(super) dropped: Arc<tokio::sync::Notify>,
}

/// A request, and the `grpc-timeout` beside it.
type Seen = (v1::GenerateRequest, Option<String>);

/// The agent, and what stands around it. Everything ends with it.
pub(super) struct Scene {
    pub(super) client: GenerationClient<Channel>,
    pub(super) channel: Channel,
    pub(super) home: Arc<Remembered>,
    pub(super) policies: Box<dyn Fn() -> mesh::rollout::Report + Send + Sync>,
    pub(super) folder: TempDir,
    pub(super) running: JoinSet<()>,
}

/// What there is besides commands.
#[derive(Default)]
pub(super) struct Around {
    pub(super) model: bool,
    pub(super) upstream: Option<Upstream>,
    /// An address at which nobody listens.
    pub(super) upstream_dead: bool,
    /// All connections are within the process, so that the clock may be paused.
    pub(super) within: bool,
}

/// What an answer was.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) started: Vec<v1::Started>,
    pub(super) actions: Vec<v1::Action>,
    pub(super) text: String,
    pub(super) done: Option<v1::Done>,
}

// === impl Upstream ===

impl Upstream {
    pub(super) fn new(script: Script) -> Self {
        let (seen, tokens, taken) = Default::default();
        Self { script, seen, tokens, taken, dropped: Arc::default() }
    }

    /// How many requests came.
    pub(super) fn asked(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// Listens where the agent of this folder asks.
    pub(super) async fn serve(self, folder: &Path, running: &mut JoinSet<()>) {
        let listener = rim().bind(&above(folder)).await.unwrap();
        let server = Server::new(ServeOptions::default(), listener, None);
        let routes = Routes::new(GenerationServer::new(self.clone())).add_service(ProspectServer::new(self));
        running.spawn(async move {
            server.serve(routes.prepare(), std::future::pending()).await.unwrap();
        });
    }

    fn answer(&self, request: &v1::GenerateRequest) -> Vec<Result<v1::GenerateEvent, Status>> {
        let mut decisions = request.decisions.clone();
        decisions.push(v1::Decision { hop: "router".to_owned(), ..v1::Decision::default() });
        let place = "cloud/worker-1".to_owned();
        let started = v1::Started {
            request_id: request.request_id.clone(),
            decisions,
            place: place.clone(),
            attempt: 2,
            model_hash: "abc".to_owned(),
        };
        let delta = |text: &str| Event::Delta(v1::Delta { text: text.to_owned(), ..v1::Delta::default() });
        let done = Event::Done(v1::Done { place, price_usd: 0.5, ..v1::Done::default() });
        let mut events = vec![Event::Started(started), delta("from "), delta("above"), done];
        if !matches!(self.script, Script::Answer | Script::Rated(_)) {
            events.truncate(2);
        }
        let mut all: Vec<_> =
            events.into_iter().map(|event| Ok(v1::GenerateEvent { event: Some(event) })).collect();
        if let Script::Break(status) = &self.script {
            all.push(Err(status.clone()));
        }
        all
    }
}

struct Dropped(Arc<tokio::sync::Notify>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[tonic::async_trait]
impl Generation for Upstream {
    type GenerateStream = Pin<Box<dyn Stream<Item = Result<v1::GenerateEvent, Status>> + Send>>;

    async fn generate(
        &self,
        request: Request<v1::GenerateRequest>,
    ) -> Result<Response<Self::GenerateStream>, Status> {
        let time = request.metadata().get("grpc-timeout").map(|time| time.to_str().unwrap().to_owned());
        let token = request.metadata().get("authorization").map(|token| token.to_str().unwrap().to_owned());
        self.tokens.lock().unwrap().push(token.unwrap_or_default());
        let request = request.into_inner();
        self.seen.lock().unwrap().push((request.clone(), time));
        if let Script::Refuse(status) = &self.script {
            return Err(status.clone());
        }
        if let Script::Rated(per_second) = self.script {
            let (mut taken, now) = (self.taken.lock().unwrap(), Instant::now());
            let lately = taken.iter().rev().take_while(|at| now - **at < Duration::from_secs(1)).count();
            if lately >= per_second {
                return Err(Status::resource_exhausted("full"));
            }
            taken.push(now);
        }
        let events = futures_util::stream::iter(self.answer(&request));
        if !matches!(self.script, Script::Hang) {
            return Ok(Response::new(events.boxed()));
        }
        let dropped = Dropped(self.dropped.clone());
        let hung = futures_util::stream::pending().map(move |event| {
            let _held = &dropped;
            event
        });
        Ok(Response::new(events.chain(hung).boxed()))
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

#[tonic::async_trait]
impl Prospect for Upstream {
    type WatchOutlookStream = Pin<Box<dyn Stream<Item = Result<v1::Outlook, Status>> + Send>>;

    async fn watch_outlook(
        &self,
        _: Request<v1::WatchOutlookRequest>,
    ) -> Result<Response<Self::WatchOutlookStream>, Status> {
        let tier = |tier: &str| v1::TierOutlook {
            tier: tier.to_owned(),
            queue_seconds: 0.001,
            prefill_seconds_per_token: 0.0001,
            seconds_per_output_token: 0.001,
            ability: vec![0.0, 1.0],
            context_tokens_max: 4096,
            workers: 1,
            ..v1::TierOutlook::default()
        };
        let outlook =
            v1::Outlook { interval_ms: 100, tiers: vec![tier("cloud"), tier("cloud-slow")], pushback_ms: 0 };
        let once = futures_util::stream::iter([Ok(outlook)]);
        Ok(Response::new(once.chain(futures_util::stream::pending()).boxed()))
    }
}

// === impl Scene ===

impl Scene {
    pub(super) async fn new(around: Around) -> Self {
        Self::with(around, |_, _| {}).await
    }

    /// The same with other options, in this folder.
    pub(super) async fn with(around: Around, change: impl FnOnce(&mut Options, &Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut running = JoinSet::new();
        let mut options = options(folder.path());
        if around.model {
            options.model.path = Some(device_model());
        }
        let rim = if around.within { Rim { transport: Arc::new(Memory::default()), ..rim() } } else { rim() };
        let above = above(folder.path());
        if let Some(upstream) = around.upstream {
            let listener = rim.bind(&above).await.unwrap();
            let server = Server::new(ServeOptions::default(), listener, None);
            let routes = Routes::new(GenerationServer::new(upstream.clone()))
                .add_service(ProspectServer::new(upstream));
            running.spawn(async move {
                server.serve(routes.prepare(), std::future::pending()).await.unwrap();
            });
            options.upstream.address = Some(above);
        } else if around.upstream_dead {
            options.upstream.address = Some(above);
        }
        change(&mut options, folder.path());
        let home = Arc::new(Remembered::default());
        let agent = Agent::bind_acting_on(options, rim.clone(), home.clone()).await.unwrap();
        let channel = Channel::new(agent.address().clone(), rim.transport, None, ConnectOptions::default());
        let policies = Box::new(agent.policies());
        running.spawn(async move { agent.run(std::future::pending()).await.unwrap() });
        Self { client: GenerationClient::new(channel.clone()), channel, home, policies, folder, running }
    }

    pub(super) async fn ask(&self, request: v1::GenerateRequest) -> Result<Answer, Status> {
        let mut call = Request::new(request);
        call.set_timeout(Duration::from_secs(60));
        let mut events = self.client.clone().generate(call).await?.into_inner();
        let mut answer = Answer::default();
        while let Some(event) = events.message().await? {
            match event.event.unwrap() {
                Event::Started(started) => answer.started.push(started),
                Event::Action(action) => answer.actions.push(action),
                Event::Delta(delta) => answer.text += &delta.text,
                Event::Done(done) => answer.done = Some(done),
            }
        }
        Ok(answer)
    }

    /// The status with which a request ends that is not answered.
    pub(super) async fn refused(&self, request: v1::GenerateRequest) -> Status {
        self.ask(request).await.unwrap_err()
    }
}

// === impl Answer ===

impl Answer {
    /// The agent's own decision.
    pub(super) fn decision(&self) -> &v1::Decision {
        &self.started[0].decisions[0]
    }

    /// Why a place was removed in it.
    pub(super) fn removal(&self, place: &str) -> String {
        let found = self.decision().candidates.iter().find(|candidate| candidate.place == place).unwrap();
        found.removal.as_ref().map(|removal| removal.text.clone()).unwrap_or_default()
    }
}

fn above(folder: &Path) -> Address {
    Address::Unix(folder.join("up.sock"))
}

pub(super) fn rim() -> Rim {
    Rim { transport: Arc::new(Os), identity: None, seed: 7 }
}

pub(super) fn options(folder: &Path) -> Options {
    let policy = folder.join("policy.toml");
    std::fs::write(&policy, POLICY).unwrap();
    let mut options = Options::default();
    options.listen.address = Address::Unix(folder.join("agent.sock"));
    options.policy.file = policy;
    options.home.file = Some(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/homes/demo.toml").into());
    options
}

/// A question of one turn.
pub(super) fn question(text: &str) -> v1::GenerateRequest {
    v1::GenerateRequest { turns: vec![turn(v1::Role::User, text)], ..v1::GenerateRequest::default() }
}

pub(super) fn turn(role: v1::Role, text: &str) -> v1::Turn {
    v1::Turn { role: role.into(), parts: vec![v1::ContentPart { part: Some(Part::Text(text.to_owned())) }] }
}

/// The device model that ships.
fn device_model() -> PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/models/device");
    let mut files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.find(|file| file.extension().is_some_and(|end| end == "gguf")).unwrap()
}
