//! A worker as its router sees it: the shipped server, deadlines and admission around a model that is known beforehand.

mod serve;

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh::process::Rim;
use mesh::serve::{ServeOptions, Server};
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::serve::State;
use crate::given::mixed;
use crate::hop::DRAIN_MAX;
use crate::network::{Host, Network, address};
use crate::trace::Trace;

/// What a worker is.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) host: Host,
    /// `tier/worker`.
    pub(crate) place: &'static str,
    /// What tells its model from others.
    pub(crate) model_hash: &'static str,
    /// Milliseconds for each token of an answer.
    pub(crate) token_ms: u64,
    /// Requests that run at once, and that wait.
    pub(crate) running_max: usize,
    pub(crate) waiting_max: usize,
    /// US dollars per million tokens, in and out.
    pub(crate) price: (f64, f64),
}

/// What goes wrong at a worker.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mood {
    /// No token is made.
    pub(crate) stalled: bool,
    /// Of a thousand answers so many break off.
    pub(crate) breaks_permille: u32,
    /// Of a thousand requests so many are refused.
    pub(crate) refuses_permille: u32,
    /// It takes no new work.
    pub(crate) draining: bool,
}

/// What all workers did for a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Effort {
    /// Workers that began it.
    pub(crate) legs: u32,
    /// The most that all of it may be charged, millionths of a dollar.
    pub(crate) usd_micros_max: u64,
}

/// What workers did, by request.
pub(crate) type Efforts = Arc<Mutex<BTreeMap<String, Effort>>>;

/// A worker through all its lives.
pub(crate) struct Worker {
    pub(crate) plan: Plan,
    pub(crate) mood: watch::Sender<Mood>,
    life: Option<Life>,
    network: Network,
    trace: Arc<Trace>,
    efforts: Efforts,
    seed: u64,
    lives: u64,
}

struct Life {
    /// `None`: it was told to end.
    stop: Option<oneshot::Sender<()>>,
    told: Option<Instant>,
    task: JoinHandle<()>,
    state: State,
}

// === impl Worker ===

impl Worker {
    pub(crate) fn new(plan: Plan, network: Network, trace: Arc<Trace>, efforts: Efforts, seed: u64) -> Self {
        let mood = watch::Sender::new(Mood::default());
        Self { plan, mood, life: None, network, trace, efforts, seed, lives: 0 }
    }

    pub(crate) async fn start(&mut self) {
        self.lives += 1;
        let seed = mixed(self.seed ^ mixed(self.lives));
        let port = self.network.port(self.plan.host);
        let rim = Rim { transport: Arc::new(port), identity: None, seed };
        let listener = rim.bind(&address(self.plan.host)).await.expect("nobody else listens there");
        let options = ServeOptions { drain_deadline_ms: 500, ..ServeOptions::default() };
        let server = Server::new(options, listener, None);
        let (trace, efforts) = (self.trace.clone(), self.efforts.clone());
        let state = State::new(self.plan.clone(), self.mood.subscribe(), trace, efforts, seed);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve::serve(server, state.clone(), stopped));
        self.life = Some(Life { stop: Some(stop), told: None, task, state });
        self.trace.note(format_args!("{} is up", self.plan.place));
    }

    /// As `SIGTERM` does: it tells its routers, ends what it has, and is gone.
    pub(crate) fn drain(&mut self) {
        if let Some(life) = &mut self.life {
            self.trace.note(format_args!("{} drains", self.plan.place));
            self.mood.send_modify(|mood| mood.draining = true);
            life.stop.take();
            life.told.get_or_insert_with(Instant::now);
        }
    }

    /// As `kill -9` does, or a power cut.
    pub(crate) fn crash(&mut self, dark: bool) {
        if let Some(life) = self.life.take() {
            self.trace.note(format_args!("{} crashes, dark: {dark}", self.plan.place));
            life.task.abort();
            if dark {
                self.network.darken(self.plan.host);
            } else {
                self.network.kill(self.plan.host);
            }
        }
    }

    /// Starts again what is down.
    pub(crate) async fn revive(&mut self) {
        self.network.lighten(self.plan.host);
        if let Some(life) = self.life.take_if(|life| life.told.is_some_and(|told| told.elapsed() > DRAIN_MAX))
        {
            if !life.task.is_finished() {
                self.trace.violated(format_args!("{} did not drain in time", self.plan.place));
                life.task.abort();
            }
            self.network.kill(self.plan.host);
        }
        if self.life.is_none() {
            self.mood.send_modify(|mood| mood.draining = false);
            self.start().await;
        }
    }

    /// Answers and calls that it holds; reports are calls.
    pub(crate) fn holds(&self) -> (usize, usize) {
        self.life.as_ref().map_or((0, 0), |life| life.state.holds())
    }
}
