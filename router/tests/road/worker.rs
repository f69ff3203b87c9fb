//! A worker that does as its script says and remembers what it was asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt as _};
use mesh::deadline::{DeadlineLayer, parse_grpc_timeout};
use mesh::process::Rim;
use mesh::serve::{Counters, ServeOptions, Server};
use mesh::transport::Address;
use parking_lot::Mutex;
use proto::v1;
use proto::v1::fleet_server::{Fleet, FleetServer};
use proto::v1::generate_event::Event;
use proto::v1::generation_server::{Generation, GenerationServer};
use tokio::sync::{Semaphore, oneshot, watch};
use tonic::service::Routes;
use tonic::{Code, Request, Response, Status};
use tower::Layer as _;

use crate::foreign::Orca;

/// How long a worker reports before it must be asked again.
pub(crate) const REPORTS_FOR: Duration = Duration::from_secs(30);

/// One step of an answer.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// `started`, as a worker sends it.
    Started,
    /// A piece of text with its token ids.
    Delta(&'static str, &'static [u32]),
    /// An event of a kind from the future.
    Unknown,
    /// `done` with prompt, cached and output tokens.
    Done(u32, u32, u32),
    /// The stream ends with this status.
    Fail(Code, &'static str),
    /// It has a slot from here to its end: as many answers have one at once as the worker said that it runs.
    Slot,
    /// Nothing happens for this many milliseconds.
    Wait(u64),
    /// The same, for this many with each answer under way.
    Share(u64),
    /// Tokens 0, 1 … up to this count, after those that the request came with and so many milliseconds apart, and the end.
    Count(u32, u64),
    /// Nothing happens any more.
    Hang,
    /// The call is refused before its stream, with this pushback in milliseconds.
    Refuse(Code, &'static str, Option<u64>),
}

/// What a worker was asked.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) request: v1::GenerateRequest,
    pub(crate) timeout: Option<Duration>,
    pub(crate) traceparent: Option<String>,
    pub(crate) previous_attempts: u32,
}

/// A scripted worker; it ends abruptly when dropped.
pub(crate) struct Worker {
    pub(crate) address: Address,
    pub(crate) state: State,
    /// Of the connections to it.
    pub(crate) counters: Counters,
    stop: Option<oneshot::Sender<()>>,
    task: Option<tokio::task::JoinHandle<()>>,
}

/// What script and test share.
#[derive(Clone)]
pub(crate) struct State {
    /// What it reports; `None`: it does not know the call.
    report: watch::Sender<Option<v1::Report>>,
    pub(crate) orca: Orca,
    script: Arc<Mutex<Vec<Step>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    /// Answers under way.
    open: watch::Sender<usize>,
    /// Tokens made by counting.
    pub(crate) made: Arc<AtomicU32>,
    slots: Arc<Semaphore>,
}

struct Open(watch::Sender<usize>);

/// A report of an idle worker that makes tokens at this pace.
pub(crate) fn report(
    model: &str,
    prefill_tokens_per_second: f32,
    seconds_per_output_token: f32,
) -> v1::Report {
    v1::Report {
        interval_ms: 200,
        model: Some(v1::ModelDescription {
            name: model.to_owned(),
            hash: format!("{model}-hash"),
            context_tokens_max: 4096,
            ..Default::default()
        }),
        running_max: 8,
        prefill_tokens_per_second,
        seconds_per_output_token,
        ..Default::default()
    }
}

/// A short, whole answer: ten prompt tokens of which four were cached, three output tokens.
pub(crate) fn short_answer() -> Vec<Step> {
    vec![Step::Started, Step::Delta("It is ", &[7, 8]), Step::Delta("noon.", &[9]), Step::Done(10, 4, 3)]
}

// === impl Worker ===

impl Worker {
    pub(crate) async fn start(
        rim: &Rim,
        address: &str,
        report: Option<v1::Report>,
        script: Vec<Step>,
    ) -> Self {
        let listener = rim.bind(&address.parse().unwrap()).await.unwrap();
        let options = ServeOptions { drain_deadline_ms: 0, ..Default::default() };
        let server = Server::new(options, listener, rim.identity.clone());
        let slots = report.as_ref().map_or(8, |report| report.running_max as usize);
        let state = State {
            slots: Arc::new(Semaphore::new(slots)),
            report: watch::Sender::new(report),
            orca: Orca::default(),
            script: Arc::new(Mutex::new(script)),
            seen: Arc::default(),
            open: watch::Sender::new(0),
            made: Arc::default(),
        };
        let routes = Routes::new(GenerationServer::new(state.clone()));
        let routes = routes.add_service(FleetServer::new(state.clone()));
        let routes = routes.add_service(state.orca.health());
        let routes = routes.add_service(state.orca.service()).prepare();
        let routes = mesh::trailers::layer(state.orca.trailers()).layer(routes);
        // As in the real worker, every stream ends in time, that of the reports included.
        let deadline = DeadlineLayer { default: REPORTS_FOR, max: Duration::from_secs(600) };
        let stack = deadline.layer(routes);
        let (address, counters) = (server.local_address(), server.counters());
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            server.serve(stack, async { drop(stopped.await) }).await.unwrap();
        });
        Self { address, state, counters, stop: Some(stop), task: Some(task) }
    }

    /// Ends as a killed process does: every connection closes at once.
    pub(crate) async fn kill(&mut self) {
        self.stop.take();
        if let Some(task) = self.task.take() {
            task.await.unwrap();
        }
    }
}

// === impl State ===

impl State {
    pub(crate) fn set_report(&self, report: v1::Report) {
        self.report.send_replace(Some(report));
    }

    /// Reports no more, on streams that stay open.
    pub(crate) fn mute(&self) {
        self.report.send_replace(None);
    }

    pub(crate) fn set_script(&self, script: Vec<Step>) {
        *self.script.lock() = script;
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    /// Forgets what it was asked.
    pub(crate) fn forget(&self) {
        self.seen.lock().clear();
    }

    /// Remembers what was asked.
    fn note(&self, request: Request<v1::GenerateRequest>) -> v1::GenerateRequest {
        let previous_attempts = mesh::retry::previous_attempts(request.metadata());
        let headers = request.metadata().clone().into_headers();
        let traceparent = headers.get("traceparent").map(|value| value.to_str().unwrap().to_owned());
        let timeout = parse_grpc_timeout(&headers).unwrap();
        let request = request.into_inner();
        self.seen.lock().push(Seen { request: request.clone(), timeout, traceparent, previous_attempts });
        request
    }

    /// Waits until this many answers are under way.
    pub(crate) async fn open(&self, count: usize) {
        let mut open = self.open.subscribe();
        let reached = open.wait_for(|open| *open == count);
        let waited = tokio::time::timeout(Duration::from_secs(60), reached).await;
        waited.unwrap_or_else(|_| panic!("never were {count} answers under way")).unwrap();
    }
}

fn started(request: &v1::GenerateRequest) -> v1::Started {
    v1::Started {
        request_id: request.request_id.clone(),
        decisions: request.decisions.clone(),
        place: "worker".into(),
        attempt: 1,
        model_hash: "worker-hash".into(),
    }
}

fn delta(text: &str, ids: &[u32], first_token_index: u32) -> v1::Delta {
    v1::Delta { text: text.into(), token_ids: ids.to_vec(), first_token_index, ..Default::default() }
}

fn done((prompt_tokens, cached_prompt_tokens, output_tokens): (u32, u32, u32)) -> v1::Done {
    v1::Done {
        usage: Some(v1::Usage { prompt_tokens, cached_prompt_tokens, output_tokens }),
        finish_reason: v1::FinishReason::Stop.into(),
        place: "worker".into(),
        model_hash: "worker-hash".into(),
        ..Default::default()
    }
}

fn wire(event: Event) -> v1::GenerateEvent {
    v1::GenerateEvent { event: Some(event) }
}

#[tonic::async_trait]
impl Fleet for State {
    type WatchReportsStream = BoxStream<'static, Result<v1::Report, Status>>;

    async fn watch_reports(
        &self,
        request: Request<v1::WatchReportsRequest>,
    ) -> Result<Response<Self::WatchReportsStream>, Status> {
        let unknown = || Status::unimplemented("no reports here");
        self.report.borrow().as_ref().ok_or_else(unknown)?;
        let interval = Duration::from_millis(request.into_inner().interval_ms.into());
        let report = self.report.clone();
        let ticks = tokio_stream::wrappers::IntervalStream::new(tokio::time::interval(interval));
        Ok(Response::new(
            ticks
                .filter_map(move |_| {
                    let report = report.borrow().clone();
                    async move { report.map(Ok) }
                })
                .boxed(),
        ))
    }
}

/// What a script begins with that refuses.
fn refusal(script: &[Step]) -> Option<Status> {
    let Some(Step::Refuse(code, message, pushback)) = script.first() else { return None };
    let mut status = Status::new(*code, *message);
    if let Some(ms) = pushback {
        status.metadata_mut().insert("grpc-retry-pushback-ms", (*ms).into());
    }
    Some(status)
}

/// As many milliseconds for each answer under way.
async fn among(answers: &watch::Receiver<usize>, ms: u64) {
    let answers = *answers.borrow() as u64;
    tokio::time::sleep(Duration::from_millis(ms * answers)).await;
}

#[tonic::async_trait]
impl Generation for State {
    type GenerateStream = BoxStream<'static, Result<v1::GenerateEvent, Status>>;

    async fn generate(
        &self,
        request: Request<v1::GenerateRequest>,
    ) -> Result<Response<Self::GenerateStream>, Status> {
        let request = self.note(request);
        let mut script = self.script.lock().clone();
        refusal(&script).map_or(Ok(()), Err)?;
        let (open, made, slots) = (Open::new(self.open.clone()), self.made.clone(), self.slots.clone());
        let shared = self.open.subscribe();
        let stream = async_stream::stream! {
            let (_open, mut _slot) = (open, None);
            let mut index = request.resume.as_ref().map_or(0, |resume| resume.token_ids.len()) as u32;
            for step in script.drain(..) {
                let event = match step {
                    Step::Started => Event::Started(started(&request)),
                    Step::Delta(text, ids) => {
                        let first_token_index = index;
                        index += ids.len() as u32;
                        Event::Delta(delta(text, ids, first_token_index))
                    }
                    Step::Done(prompt, cached, output) => Event::Done(done((prompt, cached, output))),
                    Step::Unknown => {
                        yield Ok(v1::GenerateEvent { event: None });
                        continue;
                    }
                    Step::Slot => {
                        _slot = slots.clone().acquire_owned().await.ok();
                        continue;
                    }
                    Step::Wait(ms) => {
                        tokio::time::sleep(Duration::from_millis(ms)).await;
                        continue;
                    }
                    Step::Share(ms) => {
                        among(&shared, ms).await;
                        continue;
                    }
                    Step::Count(count, gap_ms) => {
                        let from = index;
                        while index < count {
                            tokio::time::sleep(Duration::from_millis(gap_ms)).await;
                            made.fetch_add(1, Ordering::Relaxed);
                            yield Ok(wire(Event::Delta(delta("x", &[index], index))));
                            index += 1;
                        }
                        Event::Done(done((10, 0, count - from)))
                    }
                    Step::Hang => std::future::pending().await,
                    Step::Fail(code, message) | Step::Refuse(code, message, _) => {
                        yield Err(Status::new(code, message));
                        return;
                    }
                };
                yield Ok(wire(event));
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

// === impl Open ===

impl Open {
    fn new(open: watch::Sender<usize>) -> Self {
        open.send_modify(|open| *open += 1);
        Self(open)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}
