//! Several routers above one agent, lost and started again, on a clock of their own.

use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use mesh::connect::{Channel, ConnectOptions};
use mesh::process::Rim;
use mesh::retry::{forbid, previous_attempts};
use mesh::serve::{Counters, ServeOptions, Server};
use mesh::transport::Memory;
use proto::v1;
use proto::v1::generate_event::Event;
use proto::v1::generation_client::GenerationClient;
use proto::v1::generation_server::{Generation, GenerationServer};
use score::score;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};
use tonic::service::Routes;
use tonic::{Code, Request, Response, Status};

use super::scene::{options, question};
use crate::{Agent, Options};

/// Tokens of every answer, and milliseconds between two.
const TOKENS: u32 = 50;
const GAP_MS: u64 = 100;

/// A router whose answers count: token 0, token 1 …, and which goes on after those that it is told.
#[derive(Clone, Default)]
struct Counting {
    seen: Arc<Mutex<Vec<(v1::GenerateRequest, u32)>>>,
    refusal: Arc<Mutex<Option<Status>>>,
}

/// A router that runs.
struct Running {
    counters: Counters,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

/// An agent, and the network that it is on.
struct World {
    rim: Rim,
    client: GenerationClient<Channel>,
    _folder: TempDir,
    _agent: JoinSet<()>,
}

type Events = Pin<Box<dyn Stream<Item = Result<v1::GenerateEvent, Status>> + Send>>;

#[tonic::async_trait]
impl Generation for Counting {
    type GenerateStream = Events;

    async fn generate(&self, request: Request<v1::GenerateRequest>) -> Result<Response<Events>, Status> {
        let previous = previous_attempts(request.metadata());
        let request = request.into_inner();
        self.seen.lock().unwrap().push((request.clone(), previous));
        if let Some(refusal) = self.refusal.lock().unwrap().clone() {
            return Err(refusal);
        }
        let from = request.resume.map_or(0, |resume| resume.token_ids.len() as u32);
        let place = "cloud/worker-1".to_owned();
        let mut decisions = request.decisions;
        decisions.push(v1::Decision { hop: "router".into(), place: place.clone(), ..Default::default() });
        let started = v1::Started {
            request_id: request.request_id,
            decisions,
            place: place.clone(),
            attempt: 1,
            model_hash: "abc".into(),
        };
        let events = async_stream::stream! {
            yield Ok(event(Event::Started(started)));
            for index in from..TOKENS {
                sleep(Duration::from_millis(GAP_MS)).await;
                yield Ok(event(Event::Delta(v1::Delta {
                    text: format!("{index} "),
                    token_ids: vec![index],
                    first_token_index: index,
                    ..Default::default()
                })));
            }
            let usage = v1::Usage { prompt_tokens: 5, output_tokens: TOKENS - from, ..Default::default() };
            let finish_reason = v1::FinishReason::Stop.into();
            yield Ok(event(Event::Done(v1::Done { usage: Some(usage), finish_reason, place, ..Default::default() })));
        };
        Ok(Response::new(events.boxed()))
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

fn event(event: Event) -> v1::GenerateEvent {
    v1::GenerateEvent { event: Some(event) }
}

impl Counting {
    /// Listens at this address; when it is stopped, calls have so long to finish.
    async fn start(&self, rim: &Rim, address: &str, drain_ms: u64) -> Running {
        let listener = rim.bind(&address.parse().unwrap()).await.unwrap();
        let server =
            Server::new(ServeOptions { drain_deadline_ms: drain_ms, ..Default::default() }, listener, None);
        let routes = Routes::new(GenerationServer::new(self.clone())).prepare();
        let counters = server.counters();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            server.serve(routes, async { drop(stopped.await) }).await.unwrap();
        });
        Running { counters, stop: Some(stop), task }
    }

    fn asked(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

impl Running {
    /// Asks it to end, and waits until it has; how long that took.
    async fn end(mut self) -> Duration {
        let begun = Instant::now();
        self.stop.take();
        self.task.await.unwrap();
        begun.elapsed()
    }
}

impl World {
    async fn new(routers: &[&str], change: impl FnOnce(&mut Options, &Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let rim = Rim { transport: Arc::new(Memory::default()), identity: None, seed: 7 };
        let mut options = options(folder.path());
        options.listen.address = "127.0.0.1:7000".parse().unwrap();
        options.limits.in_flight_max = 1024;
        let mut addresses = routers.iter().map(|address| address.parse().unwrap());
        options.upstream.address = addresses.next();
        options.upstream.alternatives = addresses.collect();
        change(&mut options, folder.path());
        let agent = Agent::bind(options, rim.clone()).await.unwrap();
        let channel =
            Channel::new(agent.address().clone(), rim.transport.clone(), None, ConnectOptions::default());
        let mut running = JoinSet::new();
        running.spawn(async move { agent.run(std::future::pending()).await.unwrap() });
        Self { rim, client: GenerationClient::new(channel), _folder: folder, _agent: running }
    }

    /// Asks; every token in its order, none twice and none left out, and the end.
    async fn ask(&self) -> Result<(Vec<u32>, v1::Done), Status> {
        let mut events = self.client.clone().generate(question("why is the sky blue?")).await?.into_inner();
        let (mut tokens, mut started) = (Vec::new(), 0);
        while let Some(event) = events.message().await? {
            match event.event.unwrap() {
                Event::Started(_) => started += 1,
                Event::Delta(delta) => {
                    assert_eq!(delta.first_token_index as usize, tokens.len());
                    tokens.extend(delta.token_ids);
                }
                Event::Done(done) => {
                    assert_eq!(started, 1);
                    return Ok((tokens, done));
                }
                Event::Action(_) => {}
            }
        }
        panic!("the answer has no end");
    }
}

fn is_whole((tokens, done): &(Vec<u32>, v1::Done)) -> bool {
    *tokens == (0..TOKENS).collect::<Vec<_>>()
        && done.finish_reason() == v1::FinishReason::Stop
        && done.usage.unwrap().output_tokens == TOKENS
}

const TWO: [&str; 2] = ["127.0.0.1:7001", "127.0.0.1:7002"];

#[tokio::test(start_paused = true)]
async fn the_next_router_answers_where_one_cannot_be_reached() {
    let world = World::new(&TWO, |_, _| {}).await;
    let second = Counting::default();
    let _running = second.start(&world.rim, TWO[1], 0).await;
    assert!(is_whole(&world.ask().await.unwrap()));
    // It was not reached, so that nothing was tried before.
    assert_eq!(second.seen.lock().unwrap()[0].1, 0);
    let first = Counting::default();
    let _first = first.start(&world.rim, TWO[0], 0).await;
    sleep(Duration::from_secs(2)).await;
    assert!(is_whole(&world.ask().await.unwrap()));
    assert_eq!((first.asked(), second.asked()), (1, 1), "the first is preferred again");
}

#[tokio::test(start_paused = true)]
async fn what_a_router_refuses_is_asked_elsewhere_only_where_that_may_help() {
    let forbidden = || {
        let mut status = Status::unavailable("the budget of retries is spent");
        forbid(&mut status);
        status
    };
    for (refusal, asked, previous) in [
        (Status::unavailable("the workers are away"), 1, 1),
        (forbidden(), 0, 0),
        (Status::resource_exhausted("full"), 0, 0),
        (Status::invalid_argument("`turns` is odd"), 0, 0),
    ] {
        let world = World::new(&TWO, |_, _| {}).await;
        let (first, second) = (Counting::default(), Counting::default());
        *first.refusal.lock().unwrap() = Some(refusal.clone());
        let _first = first.start(&world.rim, TWO[0], 0).await;
        let _second = second.start(&world.rim, TWO[1], 0).await;
        assert_eq!(world.ask().await.is_ok(), asked > 0, "{refusal}");
        assert_eq!(second.asked(), asked, "{refusal}");
        let told = second.seen.lock().unwrap().first().map_or(0, |(_, previous)| *previous);
        assert_eq!(told, previous, "{refusal}");
    }
}

#[tokio::test(start_paused = true)]
async fn retries_of_an_agent_are_a_share_of_what_it_asks() {
    let budget = |options: &mut Options, _: &Path| options.retry.budget_per_second = 1;
    let world = World::new(&TWO, budget).await;
    let (first, second) = (Counting::default(), Counting::default());
    for router in [&first, &second] {
        *router.refusal.lock().unwrap() = Some(Status::unavailable("no"));
    }
    let _first = first.start(&world.rim, TWO[0], 0).await;
    let _second = second.start(&world.rim, TWO[1], 0).await;
    for _ in 0..500 {
        assert_eq!(world.ask().await.unwrap_err().code(), Code::Unavailable);
        sleep(Duration::from_millis(20)).await;
    }
    // A fifth, and one a second for ten seconds and the window before.
    assert_eq!(first.asked(), 500);
    assert!((100..=120).contains(&second.asked()), "{}", second.asked());
}

#[tokio::test(start_paused = true)]
async fn a_router_that_is_killed_costs_no_token() {
    // Another goes on, or the same one when it is back.
    for (routers, back) in [(2, false), (1, true)] {
        let world = World::new(&TWO[..routers], |_, _| {}).await;
        let (first, second) = (Counting::default(), Counting::default());
        let running = first.start(&world.rim, TWO[0], 0).await;
        let _second = second.start(&world.rim, TWO[1], 0).await;
        let killed = async {
            sleep(Duration::from_millis(GAP_MS * 20 + 50)).await;
            running.end().await;
            sleep(Duration::from_secs(1)).await;
            if back { Some(first.start(&world.rim, TWO[0], 0).await) } else { None }
        };
        let (answer, _running) = tokio::join!(world.ask(), killed);
        let answer = answer.unwrap();
        assert!(is_whole(&answer), "{answer:?}");
        let went_on = if back { &first } else { &second };
        let (request, _) = went_on.seen.lock().unwrap().last().unwrap().clone();
        let resume = request.resume.unwrap();
        assert_eq!((resume.token_ids, resume.model_hash.as_str()), ((0..20).collect(), "abc"));
        // What was shown was computed by this worker, which tells who may go on.
        assert_eq!(request.decisions.last().unwrap().place, "cloud/worker-1");
        // Twenty tokens more than the last router counted, at the price of the tier.
        assert!((answer.1.price_usd - 20.0 * 0.03 / 1e6).abs() < 1e-12, "{}", answer.1.price_usd);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_no_router_goes_on_with_ends_as_interrupted() {
    let world = World::new(&TWO[..1], |_, _| {}).await;
    let first = Counting::default();
    let running = first.start(&world.rim, TWO[0], 0).await;
    let killed = async {
        sleep(Duration::from_millis(GAP_MS * 20 + 50)).await;
        running.end().await;
        Instant::now()
    };
    let (answer, at) = tokio::join!(world.ask(), killed);
    let (tokens, done) = answer.unwrap();
    assert_eq!((tokens.len(), done.finish_reason()), (20, v1::FinishReason::Interrupted));
    assert!(at.elapsed() <= Duration::from_secs(6), "{:?}", at.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_rolling_restart_of_two_routers_loses_and_repeats_nothing() {
    let world = World::new(&TWO, |_, _| {}).await;
    let routers = [Counting::default(), Counting::default()];
    let mut running = Vec::new();
    for (router, address) in routers.iter().zip(TWO) {
        running.push(router.start(&world.rim, address, 1_000).await);
    }
    let mut answers = JoinSet::new();
    let world = Arc::new(world);
    for index in 0..200 {
        let world = world.clone();
        answers.spawn(async move {
            // They begin over two seconds, and take five each.
            sleep(Duration::from_millis(index * 10)).await;
            world.ask().await
        });
    }
    let mut again = Vec::new();
    let restarts = async {
        for (index, running) in running.drain(..).enumerate() {
            sleep(Duration::from_millis(1_500)).await;
            let took = running.end().await;
            assert!(took <= Duration::from_millis(2_000), "the drain has its own deadline: {took:?}");
            again.push(routers[index].start(&world.rim, TWO[index], 1_000).await);
        }
    };
    restarts.await;
    for answer in answers.join_all().await {
        let answer = answer.unwrap();
        assert!(is_whole(&answer), "{answer:?}");
    }
    let resumed = |router: &Counting| {
        router.seen.lock().unwrap().iter().filter(|(request, _)| request.resume.is_some()).count()
    };
    assert!(routers.iter().map(resumed).sum::<usize>() >= 200, "both restarts cut answers off");
}

#[tokio::test(start_paused = true)]
async fn a_lost_router_holds_nobody_up_and_is_found_when_it_is_back() {
    let (mut late, mut held) = (Vec::new(), Duration::ZERO);
    for seed in 0..40_u64 {
        let world = World::new(&TWO[..1], |options, _| options.connect.jitter_seed = Some(seed)).await;
        let router = Counting::default();
        router.start(&world.rim, TWO[0], 0).await.end().await;
        let away = Duration::from_millis(500 + seed * 731 % 20_000);
        let until = Instant::now() + away;
        while Instant::now() < until {
            let begun = Instant::now();
            assert_eq!(world.ask().await.unwrap_err().code(), Code::Unavailable);
            held = held.max(begun.elapsed());
            sleep(Duration::from_millis(997)).await;
        }
        let running = router.start(&world.rim, TWO[0], 0).await;
        let begun = Instant::now();
        // Nobody asks: the agent itself finds it.
        while running.counters.read().accepted == 0 {
            sleep(Duration::from_millis(20)).await;
        }
        late.push(begun.elapsed());
    }
    late.sort_unstable();
    let (first, last) = (late[0], late[late.len() - 1]);
    let pass = held < Duration::from_millis(300) && last <= Duration::from_secs(2) && first < last;
    score!(
        "B6",
        pass,
        "40 agents know within {held:.1?}, and are back {first:.2?} to {last:.2?} after it is"
    );
    assert!(held < Duration::from_millis(300), "the device can answer at once: {held:?}");
    assert!(last <= Duration::from_secs(2), "{late:?}");
    assert!(first < last, "not all at once");
}
