//! A router with its policy, its workers and a caller.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use mesh::connect::{Channel, ConnectOptions};
use mesh::process::Rim;
use mesh::token::Bearer;
use mesh::transport::{Address, Memory};
use proto::v1;
use proto::v1::content_part::Part;
use proto::v1::generate_event::Event;
use proto::v1::generation_client::GenerationClient;
use router::config::WorkerOptions;
use router::{Error, Options, Router};
use tokio::sync::oneshot;
use tonic::Status;

use crate::worker::{Step, Worker, report, short_answer};

/// Two tiers: `slow` is cheap, `quick` is dear; both are right alike. Interactive requests pay for seconds,
/// background ones do not.
pub(crate) const POLICY: &str = r#"
schema = "causeway.policy/v1"

[[tier]]
name = "device"
kind = "device"
input_usd_per_million_tokens = 0.0
output_usd_per_million_tokens = 0.0

[[tier]]
name = "slow"
kind = "cloud"
input_usd_per_million_tokens = 1.0
cached_input_usd_per_million_tokens = 0.5
output_usd_per_million_tokens = 2.0
abilities = [2.0, 0.0]
regions = ["DE"]

[[tier]]
name = "quick"
kind = "cloud"
input_usd_per_million_tokens = 10.0
output_usd_per_million_tokens = 30.0
abilities = [2.0, 0.0]

[[class]]
name = "interactive"
when = 'priority == "interactive"'
second_usd = 0.01
wrong_answer_usd = 0.02

[[class]]
name = "background"
when = 'priority == "background"'
second_usd = 0.0
wrong_answer_usd = 0.02

[[class]]
name = "default"
second_usd = 0.000001
wrong_answer_usd = 0.02
"#;

/// A router that runs until it is ended.
pub(crate) struct Road {
    pub(crate) rim: Rim,
    pub(crate) client: GenerationClient<Channel>,
    pub(crate) channel: Channel,
    pub(crate) workers: Vec<Worker>,
    pub(crate) policies: Box<dyn Fn() -> mesh::rollout::Report + Send + Sync>,
    pub(crate) discovered: Box<dyn Fn() -> Vec<router::Discovered> + Send + Sync>,
    stop: Option<oneshot::Sender<()>>,
    task: Option<tokio::task::JoinHandle<Result<(), Error>>>,
    _policy: tempfile::NamedTempFile,
}

/// A worker to start: its place, its report and its script.
pub(crate) type Planned<'a> = (&'a str, Option<v1::Report>, Vec<Step>);

/// A network within the process.
pub(crate) fn memory() -> Rim {
    Rim { transport: Arc::new(Memory::default()), identity: None, seed: 7 }
}

/// The two usual workers: the same answer, a cheap one at 50 ms a token, a dear one at 1 ms.
pub(crate) fn both() -> Vec<Planned<'static>> {
    vec![
        ("slow/a", Some(report("small", 1000.0, 0.05)), short_answer()),
        ("quick/b", Some(report("large", 10_000.0, 0.001)), short_answer()),
    ]
}

pub(crate) fn policy_file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// Options of a router for workers at these addresses.
pub(crate) fn options(places: &[(&str, Address)], policy: &tempfile::NamedTempFile) -> Options {
    let worker = |(place, address): &(&str, Address)| {
        let (tier, name) = place.split_once('/').unwrap();
        WorkerOptions {
            name: name.into(),
            tier: tier.into(),
            address: address.clone(),
            server_name: "worker.causeway".into(),
            region: None,
            load: Default::default(),
        }
    };
    let mut options = Options::default();
    options.fleet.workers = places.iter().map(worker).collect();
    options.policy.file = policy.path().to_owned();
    options
}

/// A question with signals that its hop is believed to know.
pub(crate) fn question() -> v1::GenerateRequest {
    v1::GenerateRequest {
        request_id: "question-1".into(),
        turns: vec![v1::Turn {
            role: v1::Role::User.into(),
            parts: vec![v1::ContentPart { part: Some(Part::Text("What time is it in Lima?".into())) }],
        }],
        signals: Some(v1::Signals {
            prompt_tokens: 10,
            output_tokens_p50: 20.0,
            output_tokens_p90: 20.0,
            requirement: vec![1.0, 0.0],
            version: "given".into(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// The same at a priority.
pub(crate) fn question_at(priority: v1::Priority) -> v1::GenerateRequest {
    v1::GenerateRequest { priority: priority.into(), ..question() }
}

// === impl Road ===

impl Road {
    /// Starts the workers, then the router, and waits until it has heard of each worker that reports.
    pub(crate) async fn lay(planned: Vec<Planned<'_>>) -> Self {
        Self::lay_with(memory(), planned, |_| {}).await
    }

    pub(crate) async fn lay_with(
        rim: Rim,
        planned: Vec<Planned<'_>>,
        change: impl FnOnce(&mut Options),
    ) -> Self {
        Self::lay_for((rim, None), planned, change).await
    }

    /// The same for a caller that brings this token with every call that has none.
    pub(crate) async fn lay_for(
        (rim, bearer): (Rim, Option<Bearer>),
        planned: Vec<Planned<'_>>,
        change: impl FnOnce(&mut Options),
    ) -> Self {
        let mut workers = Vec::new();
        let mut places = Vec::new();
        let heard = planned.iter().filter(|(_, report, _)| report.is_some()).count();
        for (index, (place, report, script)) in planned.into_iter().enumerate() {
            let worker = Worker::start(&rim, &format!("127.0.0.1:{}", 6000 + index), report, script).await;
            places.push((place, worker.address.clone()));
            workers.push(worker);
        }
        let policy = policy_file(POLICY);
        let mut options = options(&places, &policy);
        change(&mut options);
        let router = Router::bind(options, rim.clone()).await.unwrap();
        let address = router.address().clone();
        let policies = Box::new(router.policies());
        let discovered = Box::new(router.discovered());
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(router.run(async { drop(stopped.await) }));
        let connect = ConnectOptions::default().expecting("router.causeway");
        let channel = Channel::new(address, rim.transport.clone(), rim.identity.clone(), connect);
        let channel = channel.bearing(bearer);
        let client = GenerationClient::new(channel.clone());
        let (stop, task) = (Some(stop), Some(task));
        let mut road =
            Self { rim, client, channel, workers, policies, discovered, stop, task, _policy: policy };
        road.until(|places| places.iter().filter(|place| place.model.is_some()).count() == heard).await;
        road
    }

    /// Waits until the router describes its places so.
    pub(crate) async fn until(&mut self, holds: impl Fn(&[v1::PlaceDescription]) -> bool) {
        for _ in 0..1000 {
            let described = self.client.describe(v1::DescribeRequest {}).await.unwrap().into_inner();
            if holds(&described.places) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the router never got there");
    }

    /// Asks, and collects everything up to the end.
    pub(crate) async fn ask(
        &mut self,
        request: impl tonic::IntoRequest<v1::GenerateRequest>,
    ) -> Result<Answer, Status> {
        let mut stream = self.client.generate(request).await?.into_inner();
        let mut answer = Answer::default();
        while let Some(event) = stream.next().await {
            answer.take(event?.event.unwrap());
        }
        Ok(answer)
    }

    /// The status of a request that must fail.
    pub(crate) async fn refused(&mut self, request: impl tonic::IntoRequest<v1::GenerateRequest>) -> Status {
        self.ask(request).await.expect_err("the request must fail")
    }

    /// Tells the router to end, as a signal does.
    pub(crate) fn end(&mut self) {
        self.stop.take();
    }

    /// Waits until it has.
    pub(crate) async fn ended(&mut self) {
        self.task.take().unwrap().await.unwrap().unwrap();
    }
}

/// Everything that a caller saw.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) started: Vec<v1::Started>,
    pub(crate) text: String,
    pub(crate) token_ids: Vec<u32>,
    pub(crate) done: Option<v1::Done>,
}

// === impl Answer ===

impl Answer {
    pub(crate) fn take(&mut self, event: Event) {
        match event {
            Event::Started(started) => self.started.push(started),
            Event::Delta(delta) => {
                assert_eq!(delta.first_token_index as usize, self.token_ids.len(), "no gap in the tokens");
                self.text.push_str(&delta.text);
                self.token_ids.extend(delta.token_ids);
            }
            Event::Action(_) => {}
            Event::Done(done) => self.done = Some(done),
        }
    }

    pub(crate) fn started(&self) -> &v1::Started {
        assert_eq!(self.started.len(), 1, "an answer starts once");
        &self.started[0]
    }

    pub(crate) fn place(&self) -> &str {
        let started = self.started();
        let done = self.done.as_ref().expect("the answer is complete");
        assert_eq!(started.place, done.place);
        &started.place
    }

    /// The router's decision.
    pub(crate) fn decision(&self) -> &v1::Decision {
        self.started().decisions.last().expect("there is a decision")
    }

    pub(crate) fn candidate(&self, place: &str) -> &v1::CandidateCost {
        let found = self.decision().candidates.iter().find(|candidate| candidate.place == place);
        found.expect("the place was weighed")
    }
}
