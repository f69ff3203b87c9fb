//! One world: its hosts, its load, what goes wrong in it, and how it comes to rest.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mesh::connect::{Channel, ConnectOptions};
use proto::v1;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::task::JoinHandle;
use tokio::time::{sleep, sleep_until};

use crate::chaos::{Fault, Scene, WINDOW_MS, What, faults};
use crate::check;
use crate::client::{Ask, Seen};
use crate::given::{self, mixed};
use crate::hop::{self, Hop};
use crate::network::{Host, Network};
use crate::trace::Trace;
use crate::worker::{Efforts, Mood, Plan, Worker};

/// Hosts, by kind.
pub(crate) const CLIENTS: Host = 1000;
#[cfg(feature = "agent")]
const AGENTS: Host = 2000;
const ROUTERS: Host = 3000;
const WORKERS: Host = 4000;
/// Time after the last request in which connections are found again and everything left is noticed.
const REST: Duration = Duration::from_secs(10);
/// Until hops and workers know each other.
const BEGIN_MS: u64 = 300;

/// How requests ended, by kind.
pub(crate) type Ends = BTreeMap<&'static str, u64>;

/// Everything that a seed makes.
pub(crate) struct World {
    pub(crate) trace: Arc<Trace>,
    network: Network,
    pub(crate) workers: Vec<Worker>,
    /// Routers first.
    pub(crate) hops: Vec<Hop>,
    pub(crate) routers: usize,
    pub(crate) efforts: Efforts,
    channels: BTreeMap<(Host, Host), Channel>,
    faults: Vec<Fault>,
    pub(crate) seed: u64,
}

// === impl World ===

impl World {
    /// The world of a seed, nothing of it started.
    pub(crate) fn new(seed: u64, trace: Arc<Trace>) -> Self {
        let random = &mut StdRng::seed_from_u64(mixed(seed));
        let least = random.random_range(0..4);
        let network = Network::new(trace.clone(), seed, (least, least + random.random_range(0..6)));
        let efforts = Efforts::default();
        let plans = plans(random);
        let worker = |plan: &Plan| {
            let seed = mixed(seed ^ u64::from(plan.host));
            Worker::new(plan.clone(), network.clone(), trace.clone(), efforts.clone(), seed)
        };
        let workers: Vec<_> = plans.iter().map(worker).collect();
        let routers = random.random_range(1..=2);
        let mut hops = Vec::new();
        for index in 0..routers as Host {
            let (host, seed) = (ROUTERS + index, random.random());
            let bind = hop::router(host, &plans);
            hops.push(Hop::new((format!("router-{index}"), host), bind, &network, &trace, seed));
        }
        #[cfg(feature = "agent")]
        for index in 0..random.random_range(1..=2) as Host {
            let (host, seed) = (AGENTS + index, random.random());
            let mut known: Vec<Host> = (0..routers as Host).map(|router| ROUTERS + router).collect();
            known.rotate_left(usize::from(index) % routers);
            let bind = hop::agent(host, &known);
            hops.push(Hop::new((format!("agent-{index}"), host), bind, &network, &trace, seed));
        }
        let (channels, faults) = (BTreeMap::new(), Vec::new());
        let mut world = Self { trace, network, workers, hops, routers, efforts, channels, faults, seed };
        world.connect();
        world.faults = faults_of(&world);
        world
    }

    /// A channel from every client to every hop.
    fn connect(&mut self) {
        for client in CLIENTS..CLIENTS + 3 {
            let port = Arc::new(self.network.port(client));
            for hop in &self.hops {
                let seed = mixed(self.seed ^ u64::from(client) << 16 ^ u64::from(hop.host));
                let options = ConnectOptions { jitter_seed: Some(seed), ..ConnectOptions::default() };
                let channel = Channel::new(crate::network::address(hop.host), port.clone(), None, options);
                self.channels.insert((client, hop.host), channel);
            }
        }
    }

    /// Runs to its end; how its requests ended.
    pub(crate) async fn run(mut self) -> Ends {
        self.start().await;
        let asks = self.load();
        let calm = self.faults.is_empty();
        let jumps = self.faults.iter().filter(|fault| matches!(fault.what, What::ClockJumps { .. })).count();
        let running: Vec<_> = asks.into_iter().map(|(client, ask)| self.ask(client, ask)).collect();
        self.go_wrong().await;
        let mut all = self.finish(running).await;
        sleep(REST).await;
        self.at_rest();
        all.extend(self.probe().await);
        sleep(REST).await;
        self.at_rest();
        for seen in &all {
            check::answer(seen, calm, &self.trace);
        }
        self.count(&all);
        let mut ends = Ends::from([("clock_jumps", jumps as u64)]);
        for seen in &all {
            *ends.entry(seen.kind()).or_default() += 1;
            let legs = self.efforts.lock().get(&seen.ask.request_id).map_or(0, |effort| effort.legs);
            *ends.entry("at_several_workers").or_default() += u64::from(legs > 1);
        }
        self.end().await;
        ends
    }

    async fn start(&mut self) {
        // One after another: what a hop reads of the disk when it starts must not race with another's first words.
        for worker in &mut self.workers {
            worker.start().await;
        }
        for hop in &mut self.hops {
            hop.start().await;
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Who asks what, when and how.
    fn load(&self) -> Vec<(Host, Ask)> {
        let random = &mut StdRng::seed_from_u64(mixed(self.seed ^ 3));
        let count = random.random_range(12..=36);
        (0..count)
            .map(|number| {
                let hop = &self.hops[random.random_range(0..self.hops.len())];
                let at_ms = random.random_range(BEGIN_MS..WINDOW_MS.1);
                let prompt = format!("question {number} of {}", self.seed);
                let mut ask = Ask {
                    request_id: format!("q{number}"),
                    at_ms,
                    via: hop.host,
                    prompt,
                    max_tokens: random.random_bool(0.3).then(|| random.random_range(1..40)),
                    deadline_ms: Some(5_000),
                    leaves_after_tokens: None,
                    leaves_after_ms: None,
                    reads_ms: 0,
                    priority: v1::Priority::Normal,
                };
                match random.random_range(0..10) {
                    _ if self.is_patient() => {}
                    0 => ask.deadline_ms = Some(random.random_range(5..900)),
                    1 => ask.deadline_ms = None,
                    2 => ask.leaves_after_tokens = Some(random.random_range(1..20)),
                    3 => ask.leaves_after_ms = Some(random.random_range(0..400)),
                    4 => ask.reads_ms = random.random_range(1..60),
                    5 => ask.priority = v1::Priority::Interactive,
                    6 => ask.priority = v1::Priority::Background,
                    _ => {}
                }
                (CLIENTS + random.random_range(0..3), ask)
            })
            .collect()
    }

    /// Nothing goes wrong in it, and nobody leaves: the money must be right to the last millionth.
    fn is_patient(&self) -> bool {
        self.faults.is_empty() && self.seed.is_multiple_of(2)
    }

    pub(crate) fn ask(&self, client: Host, ask: Ask) -> JoinHandle<Seen> {
        let channel = self.channels[&(client, ask.via)].clone();
        tokio::spawn(ask.run(channel, self.trace.clone()))
    }

    /// Everything that goes wrong, in order, and everything that is well again.
    async fn go_wrong(&mut self) {
        let faults = std::mem::take(&mut self.faults);
        let begin = faults.iter().map(|fault| (fault.at_ms, true, &fault.what));
        let end = faults.iter().map(|fault| (fault.until_ms, false, &fault.what));
        let mut events: Vec<_> = begin.chain(end).collect();
        events.sort_by_key(|(at_ms, ..)| *at_ms);
        for (at_ms, begins, what) in events {
            sleep_until(self.trace.at(at_ms)).await;
            self.trace.note(format_args!("{}: {what:?}", if begins { "fault" } else { "over" }));
            if begins {
                self.begin(what);
            } else {
                self.mend(what).await;
            }
        }
        // Faults overlap: what one of them mended another may have broken since.
        sleep(hop::DRAIN_MAX + Duration::from_millis(100)).await;
        for worker in &mut self.workers {
            worker.revive().await;
        }
        for hop in &mut self.hops {
            hop.revive().await;
        }
    }

    fn begin(&mut self, what: &What) {
        match *what {
            What::Part { link: (one, other), both } => {
                self.network.part(one, other);
                if both {
                    self.network.part(other, one);
                }
            }
            What::Slow { link: (one, other), by_ms } => self.network.slow(one, other, by_ms),
            What::Cut { link: (one, other), after_bytes } => drop(self.network.cut(one, other, after_bytes)),
            What::WorkerCrashes { worker, dark } => self.workers[worker].crash(dark),
            What::WorkerDrains { worker } => self.workers[worker].drain(),
            What::WorkerStalls { worker, frozen } => {
                self.mood(worker, |mood| mood.stalled = true);
                self.freeze(worker, frozen, Network::part);
            }
            What::WorkerBreaks { worker, permille } => {
                self.mood(worker, |mood| mood.breaks_permille = permille);
            }
            What::WorkerRefuses { worker, permille } => {
                self.mood(worker, |mood| mood.refuses_permille = permille);
            }
            What::HopCrashes { hop, dark } => self.hops[hop].crash(dark),
            What::HopDrains { hop } => self.hops[hop].drain(),
            What::ClockJumps { by_ms } => given::jump(by_ms),
        }
    }

    async fn mend(&mut self, what: &What) {
        match *what {
            What::Part { link: (one, other), .. } => {
                self.network.heal(one, other);
                self.network.heal(other, one);
            }
            What::Slow { link: (one, other), .. } => self.network.slow(one, other, 0),
            What::Cut { link: (one, other), .. } => self.network.uncut(one, other),
            What::ClockJumps { .. } => {}
            What::WorkerCrashes { worker, .. } | What::WorkerDrains { worker } => {
                self.workers[worker].revive().await;
            }
            What::WorkerStalls { worker, frozen } => {
                self.mood(worker, |mood| mood.stalled = false);
                self.freeze(worker, frozen, Network::heal);
            }
            What::WorkerBreaks { worker, .. } => self.mood(worker, |mood| mood.breaks_permille = 0),
            What::WorkerRefuses { worker, .. } => self.mood(worker, |mood| mood.refuses_permille = 0),
            What::HopCrashes { hop, .. } | What::HopDrains { hop } => self.hops[hop].revive().await,
        }
    }

    fn mood(&self, worker: usize, change: impl FnOnce(&mut Mood)) {
        self.workers[worker].mood.send_modify(change);
    }

    /// A stopped process still has a kernel that takes bytes, and nobody who reads them.
    fn freeze(&self, worker: usize, frozen: bool, change: fn(&Network, Host, Host)) {
        let worker = self.workers[worker].plan.host;
        for hop in self.hops[..self.routers].iter().filter(|_| frozen) {
            change(&self.network, hop.host, worker);
            change(&self.network, worker, hop.host);
        }
    }

    /// Waits until every caller has its end. Their deadlines see to it.
    pub(crate) async fn finish(&self, running: Vec<JoinHandle<Seen>>) -> Vec<Seen> {
        let mut all = Vec::new();
        for task in running {
            match task.await {
                Ok(seen) => all.push(seen),
                Err(error) => self.trace.violated(format_args!("a caller died: {error}")),
            }
        }
        all
    }
}

fn faults_of(world: &World) -> Vec<Fault> {
    let hosts = |hops: &[Hop]| hops.iter().map(|hop| hop.host).collect::<Vec<_>>();
    let (routers, agents) = world.hops.split_at(world.routers);
    let (routers, agents) = (hosts(routers), hosts(agents));
    let mut links: Vec<(Host, Host)> = world.channels.keys().copied().collect();
    for router in &routers {
        links.extend(world.workers.iter().map(|worker| (*router, worker.plan.host)));
        links.extend(agents.iter().map(|agent| (*agent, *router)));
    }
    faults(world.seed, &Scene { links, workers: world.workers.len(), hops: world.hops.len() })
}

/// Two to four workers, most of one model.
fn plans(random: &mut StdRng) -> Vec<Plan> {
    const PLACES: [&str; 4] = ["quick/a", "slow/b", "quick/c", "slow/d"];
    let count = random.random_range(2..=PLACES.len());
    let plan = |(index, place): (usize, &&'static str)| {
        let quick = place.starts_with("quick");
        let other = index > 1 && random.random_range(0..4) == 0;
        Plan {
            host: WORKERS + index as Host,
            place,
            model_hash: if other { "other-model" } else { "one-model" },
            token_ms: if quick { random.random_range(2..12) } else { random.random_range(8..40) },
            running_max: random.random_range(3..=8),
            waiting_max: 24,
            price: if quick { (2.0, 3.0) } else { (1.0, 2.0) },
        }
    };
    PLACES[..count].iter().enumerate().map(plan).collect()
}
