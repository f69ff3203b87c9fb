//! The hops that decide, as they ship: routers and agents, started, drained, killed and started again.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use mesh::process::Rim;
use router::config::{LoadSource, WorkerOptions};
use router::{Options, Router};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::given::mixed;
use crate::network::{Host, Network, address};
use crate::trace::Trace;
use crate::worker;

/// Milliseconds that a hop may drain.
pub(crate) const DRAIN_MS: u64 = 800;
/// Time after which a drain is over, whatever its callers do.
pub(crate) const DRAIN_MAX: Duration = Duration::from_millis(DRAIN_MS + 1_000);
/// Calls that a hop takes at once.
pub(crate) const IN_FLIGHT_MAX: usize = 24;
/// The time of a call that names none, milliseconds.
pub(crate) const DEADLINE_DEFAULT_MS: u64 = 4_000;

/// What is spent or reserved of the budgets of one life, US dollars in all.
type Spent = Box<dyn Fn() -> f64 + Send>;
/// One life of a hop.
type Running = BoxFuture<'static, Result<(), String>>;
/// Binds one life of a hop that ends when it is told to.
type Bind = Box<dyn Fn(Rim, oneshot::Receiver<()>) -> BoxFuture<'static, (Running, Spent)> + Send>;

/// A hop through all its lives.
pub(crate) struct Hop {
    pub(crate) name: String,
    pub(crate) host: Host,
    bind: Bind,
    life: Option<Life>,
    spent: Vec<Spent>,
    network: Network,
    trace: Arc<Trace>,
    seed: u64,
    lives: u64,
}

struct Life {
    /// `None`: it was told to end.
    stop: Option<oneshot::Sender<()>>,
    told: Option<Instant>,
    task: JoinHandle<()>,
}

// === impl Hop ===

impl Hop {
    pub(crate) fn new(
        (name, host): (String, Host),
        bind: Bind,
        network: &Network,
        trace: &Arc<Trace>,
        seed: u64,
    ) -> Self {
        let (network, trace) = (network.clone(), trace.clone());
        Self { name, host, bind, life: None, spent: Vec::new(), network, trace, seed, lives: 0 }
    }

    pub(crate) async fn start(&mut self) {
        self.lives += 1;
        let seed = mixed(self.seed ^ mixed(self.lives));
        let rim = Rim { transport: Arc::new(self.network.port(self.host)), identity: None, seed };
        let (stop, stopped) = oneshot::channel();
        let (running, spent) = (self.bind)(rim, stopped).await;
        self.spent.push(spent);
        let (name, trace) = (self.name.clone(), self.trace.clone());
        let task = tokio::spawn(async move {
            if let Err(error) = running.await {
                trace.violated(format_args!("{name} ended with an error: {error}"));
            }
        });
        self.life = Some(Life { stop: Some(stop), told: None, task });
        self.trace.note(format_args!("{} is up", self.name));
    }

    /// As `SIGTERM` does.
    pub(crate) fn drain(&mut self) {
        if let Some(life) = &mut self.life {
            self.trace.note(format_args!("{} drains", self.name));
            life.stop.take();
            life.told.get_or_insert_with(Instant::now);
        }
    }

    /// As `kill -9` does, or a power cut.
    pub(crate) fn crash(&mut self, dark: bool) {
        if let Some(life) = self.life.take() {
            self.trace.note(format_args!("{} crashes, dark: {dark}", self.name));
            life.task.abort();
            if dark {
                self.network.darken(self.host);
            } else {
                self.network.kill(self.host);
            }
        }
    }

    /// Starts again what is down. What drains has had its time.
    pub(crate) async fn revive(&mut self) {
        self.network.lighten(self.host);
        if let Some(life) = self.life.take_if(|life| life.told.is_some_and(|told| told.elapsed() > DRAIN_MAX))
        {
            if !life.task.is_finished() {
                self.trace.violated(format_args!("{} did not drain in time", self.name));
                life.task.abort();
            }
            self.network.kill(self.host);
        }
        if self.life.is_none() {
            self.start().await;
        }
    }

    /// Whether it came to its end after it was told to.
    pub(crate) fn has_ended(&self) -> bool {
        self.life.as_ref().is_none_or(|life| life.stop.is_none() && life.task.is_finished())
    }

    /// What all its lives have spent or reserved, millionths of a dollar.
    pub(crate) fn spent_usd_micros(&self) -> u64 {
        let micros = |usd: f64| (usd * 1e6).round() as u64;
        self.spent.iter().map(|spent| micros(spent())).sum()
    }
}

/// The policy of all hops.
fn policy() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policy.toml")
}

fn limits() -> mesh::process::Limits {
    mesh::process::Limits {
        in_flight_max: IN_FLIGHT_MAX,
        deadline_default_ms: DEADLINE_DEFAULT_MS,
        ..mesh::process::Limits::default()
    }
}

async fn told(stopped: oneshot::Receiver<()>) {
    // The sender is dropped where it is told to end.
    drop(stopped.await);
}

/// Binds routers of these workers.
pub(crate) fn router(host: Host, workers: &[worker::Plan]) -> Bind {
    let worker = |plan: &worker::Plan| {
        let (tier, name) = plan.place.split_once('/').unwrap_or_default();
        WorkerOptions {
            name: name.to_owned(),
            tier: tier.to_owned(),
            address: address(plan.host),
            server_name: "worker.causeway".to_owned(),
            region: None,
            load: LoadSource::default(),
        }
    };
    let mut options = Options { limits: limits(), ..Options::default() };
    options.fleet.workers = workers.iter().map(worker).collect();
    options.listen.address = address(host);
    options.policy.file = policy();
    // Nobody changes the policy, and looking for it takes a thread that nobody schedules.
    options.policy.reload_interval_ms = 0;
    options.serve.drain_deadline_ms = DRAIN_MS;
    Box::new(move |rim, stopped| {
        let options = options.clone();
        async move {
            let router = Router::bind(options, rim).await.expect("a router binds");
            let spent = router.spent();
            let running = async move { router.run(told(stopped)).await.map_err(|error| error.to_string()) };
            let total = move || spent().iter().map(|(_, usd)| usd).sum();
            (running.boxed(), Box::new(total) as Spent)
        }
        .boxed()
    })
}

/// Binds agents without a model that ask these routers, the first of them first.
#[cfg(feature = "agent")]
pub(crate) fn agent(host: Host, routers: &[Host]) -> Bind {
    let mut options = edge_agent::Options { limits: limits(), ..edge_agent::Options::default() };
    options.listen.address = address(host);
    options.upstream.address = routers.first().copied().map(address);
    options.upstream.alternatives = routers.iter().skip(1).copied().map(address).collect();
    options.upstream.outlook_interval_ms = 500;
    options.policy.file = policy();
    options.policy.reload_interval_ms = 0;
    options.serve.drain_deadline_ms = DRAIN_MS;
    Box::new(move |rim, stopped| {
        let options = options.clone();
        async move {
            let agent = edge_agent::Agent::bind(options, rim).await.expect("an agent binds");
            let spent = agent.spent();
            let running = async move { agent.run(told(stopped)).await.map_err(|error| error.to_string()) };
            let total = move || spent().iter().map(|(_, usd)| usd).sum();
            (running.boxed(), Box::new(total) as Spent)
        }
        .boxed()
    })
}
