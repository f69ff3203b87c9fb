//! Where workers are found: sources tell who belongs to the fleet, and what they told last is kept while they are silent.

mod dns;
mod kubernetes;

use std::sync::Arc;
use std::time::Duration;

use mesh::process::Rim;
use mesh::telemetry::{About, Attribute, Meter};
use mesh::transport::Address;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::config::{FleetOptions, LoadSource};

const AGE: About = About {
    name: "causeway.fleet.discovery.age",
    unit: "s",
    description: "Time since a source of workers last told who they are.",
};
const MEMBERS: About = About {
    name: "causeway.fleet.discovery.members",
    unit: "{worker}",
    description: "Workers that a source told of.",
};
const FAILURES: About = About {
    name: "causeway.fleet.discovery.failures",
    unit: "{failure}",
    description: "Times that a source of workers could not be asked.",
};

/// A worker, as a source describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// Unique in its tier.
    pub(super) name: String,
    /// Its tier in the policy.
    pub(super) tier: String,
    /// Where it listens.
    pub(super) address: Address,
    /// The DNS name that its certificate must have.
    pub(super) server_name: String,
    /// The region in which it computes; `None`: as its tier says.
    pub(super) region: Option<String>,
    /// What it is asked for its load by.
    pub(super) load: LoadSource,
    /// It takes no new work, and ends what it has.
    pub(super) leaving: bool,
}

/// What a source of workers has told, as operators are shown it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovered {
    /// The source, such as `dns workers.example:50061`.
    pub source: String,
    /// Since it last told anything; `None`: it never has.
    pub age: Option<Duration>,
    /// Workers that it told of.
    pub members: usize,
    /// Times that it could not be asked.
    pub failures: u64,
}

/// What all sources have told so far.
#[derive(Debug)]
pub(super) struct Board {
    told: Mutex<Vec<Told>>,
    /// Counts what was told, so that whoever waits sees that there is more.
    edition: watch::Sender<u64>,
    /// A worker was lost: its source may know why.
    pub(super) lost: Arc<Notify>,
}

#[derive(Debug)]
struct Told {
    source: String,
    members: Arc<[Member]>,
    at: Option<Instant>,
    failures: u64,
}

/// A source's way to tell.
#[derive(Clone, Debug)]
pub(super) struct Publisher {
    board: Arc<Board>,
    index: usize,
}

/// Begins to ask every source; dropping the set ends it.
pub(super) fn start(board: &Arc<Board>, options: &FleetOptions, rim: &Rim) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let mut publishers = (0..).map(|index| Publisher { board: board.clone(), index });
    for (options, publisher) in options.dns.iter().zip(&mut publishers) {
        tasks.spawn(dns::ask(options.clone(), rim.clone(), publisher));
    }
    for (options, publisher) in options.kubernetes.iter().zip(&mut publishers) {
        tasks.spawn(kubernetes::ask(options.clone(), rim.clone(), publisher));
    }
    tasks
}

// === impl Board ===

impl Board {
    /// The sources that are configured, of which none has told anything.
    pub(super) fn new(options: &FleetOptions) -> Arc<Self> {
        let dns = options.dns.iter().map(|source| format!("dns {}", source.name));
        let kubernetes = options.kubernetes.iter();
        let kubernetes =
            kubernetes.map(|source| format!("kubernetes {}/{}", source.namespace, source.service));
        let told = |source| Told { source, members: Arc::default(), at: None, failures: 0 };
        Arc::new(Self {
            told: Mutex::new(dns.chain(kubernetes).map(told).collect()),
            edition: watch::Sender::new(0),
            lost: Arc::default(),
        })
    }

    /// Tells of the sources from now on, where somebody listens.
    pub(super) fn measure(self: &Arc<Self>) {
        let Some(meter) = Meter::of_process() else { return };
        let named = |source: &Discovered| vec![Attribute::new("causeway.source", source.source.clone())];
        let board = self.clone();
        meter.levels(AGE, move || {
            let sources = board.report();
            let aged = sources.iter().filter_map(|source| Some((source.age?.as_secs_f64(), named(source))));
            aged.collect()
        });
        let board = self.clone();
        let members = move || board.report().iter().map(|one| (one.members as f64, named(one))).collect();
        meter.levels(MEMBERS, members);
        let board = self.clone();
        meter.counts(FAILURES, move || board.report().iter().map(|one| (one.failures, named(one))).collect());
    }

    /// What becomes of the sources.
    pub(super) fn report(&self) -> Vec<Discovered> {
        let now = Instant::now();
        let of = |told: &Told| Discovered {
            source: told.source.clone(),
            age: told.at.map(|at| now.saturating_duration_since(at)),
            members: told.members.len(),
            failures: told.failures,
        };
        self.told.lock().iter().map(of).collect()
    }

    /// Everybody, in the order of the sources.
    pub(super) fn members(&self) -> Vec<Arc<[Member]>> {
        self.told.lock().iter().map(|told| told.members.clone()).collect()
    }

    /// Changes whenever something was told.
    pub(super) fn editions(&self) -> watch::Receiver<u64> {
        self.edition.subscribe()
    }

    /// Waits until every source has told or failed once, but not for ever.
    pub(super) async fn first(&self, patience: Duration) {
        let mut editions = self.edition.subscribe();
        let tried = |told: &Told| told.at.is_some() || told.failures > 0;
        let all = editions.wait_for(|_| self.told.lock().iter().all(tried));
        // What is not found by then is found later.
        drop(timeout(patience, all).await);
    }
}

// === impl Publisher ===

impl Publisher {
    /// These are all.
    pub(super) fn tell(&self, mut members: Vec<Member>) {
        members.sort_unstable_by(|a, b| (&a.tier, &a.name).cmp(&(&b.tier, &b.name)));
        if let Some(told) = self.board.told.lock().get_mut(self.index) {
            if *told.members != *members {
                tracing::info!(source = told.source, members = members.len(), "workers were found");
            }
            (told.members, told.at) = (members.into(), Some(Instant::now()));
        }
        self.board.edition.send_modify(|edition| *edition += 1);
    }

    /// They could not be found out; those that were told of before stay.
    pub(super) fn fail(&self, reason: &str) {
        if let Some(told) = self.board.told.lock().get_mut(self.index) {
            told.failures += 1;
            let kept = told.members.len();
            tracing::warn!(source = told.source, reason, kept, "workers cannot be looked for");
        }
        self.board.edition.send_modify(|edition| *edition += 1);
    }

    /// Completes when a worker, of whichever source, is lost.
    pub(super) async fn lost(&self) {
        self.board.lost.notified().await;
    }
}
