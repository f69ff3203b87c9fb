//! What one life of a worker serves: reports, and answers that are known beforehand.

use std::sync::Arc;
use std::time::Duration;

use async_stream::stream;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use mesh::admit::{AdmitLayer, AdmitOptions, refusal};
use mesh::deadline::{Deadline, DeadlineLayer};
use mesh::serve::Server;
use parking_lot::Mutex;
use proto::v1;
use proto::v1::content_part::Part;
use proto::v1::fleet_server::{Fleet, FleetServer};
use proto::v1::generate_event::Event;
use proto::v1::generation_server::{Generation, GenerationServer};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tonic::service::{LayerExt as _, Routes};
use tonic::{Request, Response, Status};
use tower::ServiceBuilder;

use super::{Efforts, Mood, Plan};
use crate::model;
use crate::trace::Trace;

/// Streams that a worker takes at once, reports among them.
const IN_FLIGHT_MAX: usize = 32;
/// Time that a worker's work may outlive its deadline.
const LATE_MAX: Duration = Duration::from_millis(100);

/// What one life serves with.
#[derive(Clone)]
pub(super) struct State {
    plan: Plan,
    mood: watch::Receiver<Mood>,
    ended: watch::Receiver<bool>,
    end: Arc<watch::Sender<bool>>,
    admit: AdmitLayer,
    running: Arc<Semaphore>,
    /// Answers under way, those that wait among them.
    open: Arc<Mutex<usize>>,
    trace: Arc<Trace>,
    efforts: Efforts,
    random: Arc<Mutex<StdRng>>,
}

/// One answer under way.
struct Open {
    state: State,
    request_id: String,
    deadline: Option<Deadline>,
}

/// Serves until it is told to end, or dropped.
pub(super) async fn serve(server: Server, state: State, stopped: oneshot::Receiver<()>) {
    let deadline = DeadlineLayer { default: Duration::from_secs(30), max: Duration::from_secs(600) };
    let generation = deadline.named_layer(GenerationServer::new(state.clone()));
    let routes = Routes::new(FleetServer::new(state.clone())).add_service(generation).prepare();
    let stack = ServiceBuilder::new().layer(state.admit.clone()).service(routes);
    let ending = async {
        drop(stopped.await);
        state.end.send_replace(true);
    };
    if let Err(error) = server.serve(stack, ending).await {
        state.trace.violated(format_args!("{} cannot serve: {error}", state.plan.place));
    }
}

// === impl State ===

impl State {
    /// Of a worker that begins.
    pub(super) fn new(
        plan: Plan,
        mood: watch::Receiver<Mood>,
        trace: Arc<Trace>,
        efforts: Efforts,
        seed: u64,
    ) -> Self {
        let (end, ended) = watch::channel(false);
        let admit = AdmitLayer::new(AdmitOptions { in_flight_max: IN_FLIGHT_MAX, retry_pushback_ms: 100 });
        let running = Arc::new(Semaphore::new(plan.running_max));
        let random = Arc::new(Mutex::new(StdRng::seed_from_u64(seed)));
        Self {
            plan,
            mood,
            ended,
            end: Arc::new(end),
            admit,
            running,
            open: Arc::default(),
            trace,
            efforts,
            random,
        }
    }

    /// Answers and calls that it holds; reports are calls.
    pub(super) fn holds(&self) -> (usize, usize) {
        (*self.open.lock(), self.admit.in_flight())
    }

    fn chance(&self, permille: u32) -> bool {
        self.random.lock().random_range(0..1000) < permille
    }

    fn report(&self, interval_ms: u32) -> v1::Report {
        let running = self.plan.running_max - self.running.available_permits();
        let waiting = self.open.lock().saturating_sub(running);
        v1::Report {
            interval_ms,
            model: Some(v1::ModelDescription {
                name: self.plan.model_hash.to_owned(),
                hash: self.plan.model_hash.to_owned(),
                context_tokens_max: 4096,
                ..v1::ModelDescription::default()
            }),
            running: count(running),
            waiting: count(waiting),
            running_max: count(self.plan.running_max),
            prefill_tokens_per_second: 2_000.0,
            seconds_per_output_token: self.plan.token_ms as f32 / 1e3,
            draining: self.mood.borrow().draining,
            ..v1::Report::default()
        }
    }

    /// Refuses what it cannot take, and what cannot be gone on with.
    fn check(&self, request: &v1::GenerateRequest, prompt: &str) -> Result<usize, Status> {
        let mood = self.mood.borrow().clone();
        if mood.draining {
            return Err(Status::unavailable("the worker is ending"));
        }
        if self.chance(mood.refuses_permille) {
            return Err(refusal("as the simulation wants", 50));
        }
        if *self.open.lock() >= self.plan.running_max + self.plan.waiting_max {
            return Err(refusal("the line is full", 50));
        }
        let Some(resume) = &request.resume else { return Ok(0) };
        let known = model::tokens(self.plan.model_hash, prompt, usize::MAX);
        if resume.model_hash != self.plan.model_hash {
            return Err(Status::failed_precondition("another model began it"));
        }
        if !known.starts_with(&resume.token_ids) {
            let ids = &resume.token_ids;
            self.trace.violated(format_args!(
                "{} is to go on after tokens that the model did not make: {ids:?}, and not {known:?}",
                request.request_id
            ));
        }
        Ok(resume.token_ids.len())
    }

    /// Waits while no token is made.
    async fn moved(&self) {
        let mut mood = self.mood.clone();
        let _ = mood.wait_for(|mood| !mood.stalled).await;
    }

    fn sent(&self, request_id: &str, tokens: usize) {
        let micros = |tokens: usize, price: f64| policy::ledger::usd_micros(tokens as f64 * price / 1e6);
        let more = micros(tokens, self.plan.price.1);
        self.efforts.lock().entry(request_id.to_owned()).or_default().usd_micros_max += more;
    }

    async fn prefill(&self, prompt_tokens: u32) {
        self.moved().await;
        sleep(Duration::from_millis(1 + u64::from(prompt_tokens) / 4)).await;
    }

    async fn decode(&self, tokens: usize) {
        let jitter = self.random.lock().random_range(0..=self.plan.token_ms / 2);
        sleep(Duration::from_millis(self.plan.token_ms * tokens as u64 + jitter)).await;
        self.moved().await;
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn event(event: Event) -> v1::GenerateEvent {
    v1::GenerateEvent { event: Some(event) }
}

/// The text of the last turn.
fn prompt(request: &v1::GenerateRequest) -> String {
    let part = request.turns.last().and_then(|turn| turn.parts.first());
    match part.and_then(|part| part.part.as_ref()) {
        Some(Part::Text(text)) => text.clone(),
        _ => String::new(),
    }
}

#[tonic::async_trait]
impl Fleet for State {
    type WatchReportsStream = BoxStream<'static, Result<v1::Report, Status>>;

    async fn watch_reports(
        &self,
        request: Request<v1::WatchReportsRequest>,
    ) -> Result<Response<Self::WatchReportsStream>, Status> {
        let interval_ms = request.into_inner().interval_ms.max(100);
        let state = self.clone();
        let stream = stream! {
            let mut ended = state.ended.clone();
            let mut ticks = interval(Duration::from_millis(interval_ms.into()));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    biased;
                    _ = ended.wait_for(|ended| *ended) => break,
                    _ = ticks.tick() => {}
                }
                state.moved().await;
                yield Ok(state.report(interval_ms));
            }
            yield Ok(state.report(interval_ms));
        };
        Ok(Response::new(stream.boxed()))
    }
}

#[tonic::async_trait]
impl Generation for State {
    type GenerateStream = BoxStream<'static, Result<v1::GenerateEvent, Status>>;

    async fn generate(
        &self,
        request: Request<v1::GenerateRequest>,
    ) -> Result<Response<Self::GenerateStream>, Status> {
        let deadline = Deadline::of(&request);
        let request = request.into_inner();
        let prompt = prompt(&request);
        let at = self.check(&request, &prompt)?;
        let breaks = self.chance(self.mood.borrow().breaks_permille);
        let open = Open::new(self, request.request_id.clone(), deadline);
        let most = request.sampling.as_ref().and_then(|sampling| sampling.max_tokens);
        let most = most.map_or(usize::MAX, |most| most as usize);
        let whole = model::tokens(self.plan.model_hash, &prompt, usize::MAX);
        let stream = answer(open, request, Script { tokens: whole, at, most, breaks });
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

/// What an answer is to be.
struct Script {
    /// The model's whole answer.
    tokens: Vec<u32>,
    /// Where it goes on.
    at: usize,
    /// Tokens that are wanted, those before `at` among them.
    most: usize,
    breaks: bool,
}

fn answer(
    open: Open,
    request: v1::GenerateRequest,
    script: Script,
) -> impl futures_util::Stream<Item = Result<v1::GenerateEvent, Status>> + Send {
    stream! {
        let state = open.state.clone();
        let running = state.running.clone().acquire_owned().await;
        let prompt_tokens = model::prompt_tokens(&prompt(&request));
        state.prefill(prompt_tokens + count(script.at)).await;
        yield Ok(event(Event::Started(v1::Started {
            request_id: request.request_id.clone(),
            decisions: request.decisions.clone(),
            place: "worker".to_owned(),
            attempt: 1,
            model_hash: state.plan.model_hash.to_owned(),
        })));
        let end = script.tokens.len().min(script.most);
        let breaks_at = script.breaks.then(|| state.random.lock().random_range(script.at..=end));
        let mut at = script.at;
        while at < end {
            let tokens = state.random.lock().random_range(1..=3_usize).min(end - at);
            state.decode(tokens).await;
            if breaks_at.is_some_and(|breaks_at| at + tokens > breaks_at) {
                state.trace.note(format_args!("{} breaks off {}", state.plan.place, request.request_id));
                if state.chance(500) {
                    yield Err(Status::unavailable("the engine was lost"));
                }
                return;
            }
            let ids = script.tokens[at..at + tokens].to_vec();
            let text = ids.iter().map(|id| model::text(*id)).collect();
            state.sent(&request.request_id, tokens);
            yield Ok(event(Event::Delta(v1::Delta {
                text,
                token_ids: ids,
                first_token_index: count(at),
                ..v1::Delta::default()
            })));
            at += tokens;
        }
        let whole = script.most >= script.tokens.len();
        let finish = if whole { v1::FinishReason::Stop } else { v1::FinishReason::Length };
        yield Ok(event(Event::Done(v1::Done {
            usage: Some(v1::Usage {
                prompt_tokens,
                cached_prompt_tokens: 0,
                output_tokens: count(end.saturating_sub(script.at)),
            }),
            finish_reason: finish.into(),
            place: "worker".to_owned(),
            model_hash: state.plan.model_hash.to_owned(),
            ..v1::Done::default()
        })));
        drop((running, open));
    }
}

// === impl Open ===

impl Open {
    fn new(state: &State, request_id: String, deadline: Option<Deadline>) -> Self {
        *state.open.lock() += 1;
        state.trace.note(format_args!("{} takes {request_id}", state.plan.place));
        {
            let efforts = &mut *state.efforts.lock();
            let effort = efforts.entry(request_id.clone()).or_default();
            effort.legs += 1;
            // The longest prompt of them all, and a millionth for what is rounded up.
            effort.usd_micros_max += policy::ledger::usd_micros(64.0 * state.plan.price.0 / 1e6) + 1;
        }
        Self { state: state.clone(), request_id, deadline }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let Self { state, request_id, deadline } = self;
        *state.open.lock() -= 1;
        state.trace.note(format_args!("{} is done with {request_id}", state.plan.place));
        if deadline.is_some_and(|deadline| Instant::now() > deadline.instant() + LATE_MAX) {
            state.trace.violated(format_args!("{} outlived the deadline of {request_id}", state.plan.place));
        }
    }
}
