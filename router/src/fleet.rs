//! The workers: who they are, what they last said of themselves, what this router has with each.

pub mod predict;
mod report;
mod pool;
mod breaker;
mod signs;
mod standing;
mod tardiness;
mod entry;
mod watch;
mod discover;
mod members;
mod gauge;
mod lease;
mod trailing;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use dashmap::DashMap;
use mesh::connect::ConnectOptions;
use mesh::process::Rim;
use policy::{Candidate, Excluded, Kind, Name, Rules, Version};
use proto::v1;
use tokio::time::Instant;

pub(crate) use self::breaker::Outcome;
pub use self::discover::Discovered;
use self::discover::{Board, Member};
use self::entry::Entry;
pub(crate) use self::lease::Lease;
use self::pool::Pools;
use self::predict::Work;
use self::standing::{Standing, spare};
pub(crate) use self::trailing::Trailing;
use self::watch::Watching;
use crate::config::{BreakerOptions, FleetOptions, Options};
use crate::error::Error;

/// How a worker stands that is no longer known.
const GONE: Standing = Standing::Away("it has left the fleet");

/// Every worker that this router may choose. A lease holds its worker, so that it ends well whatever becomes of this.
#[derive(Debug)]
pub(crate) struct Fleet {
    workers: DashMap<Name, Arc<Entry>>,
    pools: Arc<Pools>,
    board: Arc<Board>,
    watching: Watching,
    options: FleetOptions,
    breaker: BreakerOptions,
    connect: ConnectOptions,
    rim: Rim,
    stale_after: Duration,
    /// Workers that were ever taken in, and those that were ever watched: each has its own random numbers.
    admitted: AtomicU64,
    followed: AtomicU64,
}

/// A worker, as it is described to callers.
#[derive(Debug)]
pub(crate) struct Place {
    /// `tier/worker`.
    pub(crate) place: Name,
    /// Its tier.
    pub(crate) tier: Name,
    /// What it serves; `None`: it has not said yet.
    pub(crate) model: Option<v1::ModelDescription>,
    /// How far predictions were off there: median and 95th percentile of the first token's and of the later ones'.
    pub(crate) errors: [Option<[f64; 2]>; 2],
}

// === impl Fleet ===

impl Fleet {
    /// The configured workers, none of them called yet.
    pub(crate) fn new(options: &Options, rim: &Rim) -> Self {
        let stale_after = Duration::from_millis(options.fleet.stale_after_ms);
        let board = Board::new(&options.fleet);
        let watching = Watching {
            interval: Duration::from_millis(options.fleet.report_interval_ms.into()),
            silence_max: stale_after * 2,
            retry: (
                Duration::from_millis(options.connect.reconnect_min_ms),
                Duration::from_millis(options.connect.reconnect_max_ms),
            ),
            lost: board.lost.clone(),
        };
        let fleet = Self {
            workers: DashMap::new(),
            pools: Arc::new(Pools::default()),
            board,
            watching,
            options: options.fleet.clone(),
            breaker: options.breaker.clone(),
            connect: options.connect.clone(),
            rim: rim.clone(),
            stale_after,
            admitted: AtomicU64::new(0),
            followed: AtomicU64::new(0),
        };
        for worker in &options.fleet.workers {
            fleet.admit(&Member::from(worker));
        }
        fleet
    }

    /// Every worker as it is now for this work, by name.
    pub(crate) fn candidates(&self, rules: &Rules, work: &Work) -> Vec<Candidate> {
        let now = Instant::now();
        let candidate = |entry: Arc<Entry>| entry.candidate(seen_as(rules, &entry.who.tier), work, now);
        let mut candidates: Vec<_> = self.entries().into_iter().map(candidate).collect();
        let standing = |place: &Name| self.workers.get(place).map_or(GONE, |entry| entry.standing(now));
        spare(&mut candidates, standing);
        candidates
    }

    /// Counts a request at a worker until the lease is dropped; `None`: there is no such worker.
    pub(crate) fn lease(&self, place: &Name, work: Work) -> Option<Lease> {
        self.workers.get(place).map(|entry| entry.lease(work))
    }

    /// Whether nothing is heard of this worker, neither reports nor tokens, though something should be.
    pub(crate) fn is_unheard(&self, place: &Name) -> bool {
        self.workers.get(place).is_none_or(|entry| entry.is_unheard(Instant::now()))
    }

    /// Nothing more is sent to this worker until it is heard again.
    pub(crate) fn doubt(&self, place: &Name) {
        if let Some(entry) = self.workers.get(place) {
            entry.doubt();
        }
    }

    /// When a first token that is expected after so long is late: later than all but one in twenty.
    pub(crate) fn late_after(&self, predicted: Duration) -> Duration {
        self.pools.tardiness.late_after(predicted)
    }

    /// Every worker with its model, by name.
    pub(crate) fn places(&self) -> Vec<Place> {
        let place = |entry: Arc<Entry>| Place {
            place: entry.who.place.clone(),
            tier: entry.who.tier.clone(),
            model: entry.model(),
            errors: entry.errors(),
        };
        self.entries().into_iter().map(place).collect()
    }

    /// An error unless a worker or a tier of workers has this name.
    pub(crate) fn knows(&self, wanted: &Name) -> Result<(), Error> {
        let is_it = |entry: &Arc<Entry>| entry.who.place == *wanted || entry.who.tier == *wanted;
        let entries = self.entries();
        if entries.iter().any(is_it) {
            return Ok(());
        }
        let known: BTreeSet<String> = entries
            .iter()
            .flat_map(|entry| [entry.who.tier.to_string(), entry.who.place.to_string()])
            .collect();
        Err(Error::PlaceUnknown { wanted: wanted.to_string(), known: known.into_iter().collect() })
    }

    /// The workers that do not serve this model, with that reason; an error if none does.
    pub(crate) fn without_model(&self, wanted: &str) -> Result<Vec<Excluded>, Error> {
        let mut known = BTreeSet::new();
        let mut excluded = Vec::new();
        let mut unheard = 0;
        let entries = self.entries();
        for entry in &entries {
            let place = entry.who.place.clone();
            match entry.model_name() {
                Some(name) if name == wanted => {}
                Some(name) => {
                    excluded.push(Excluded::new(place, format!("it serves the model `{name}`")));
                    known.insert(name);
                }
                None => {
                    unheard += 1;
                    excluded.push(Excluded::new(place, "it has not said yet which model it serves"));
                }
            }
        }
        if excluded.len() < entries.len() {
            return Ok(excluded);
        }
        Err(Error::ModelUnknown { wanted: wanted.to_owned(), known: known.into_iter().collect(), unheard })
    }

    /// The workers that do not compute the bits that the one at `place` computed with the model of this hash, with that
    /// reason: none of them can go on with its tokens.
    pub(crate) fn unlike(&self, place: &Name, hash: &str) -> Vec<Excluded> {
        const REASON: &str = "it does not compute the bits of the model that began the answer";
        let places = self.places();
        let here = places.iter().find(|one| one.place == *place).and_then(|one| one.model.as_ref());
        let class = here.map_or("", |model| &model.numeric_class);
        let like = |model: &v1::ModelDescription| model.hash == hash && model.numeric_class == class;
        let unlike = places.iter().filter(|one| !one.model.as_ref().is_some_and(like));
        unlike.map(|one| Excluded::new(one.place.clone(), REASON)).collect()
    }

    /// The same for an answer that another router began: the last place of these decisions that is known here computed what
    /// was shown.
    pub(crate) fn unlike_before(&self, decisions: &[v1::Decision], hash: &str) -> Vec<Excluded> {
        let places = decisions.iter().rev().map(|decision| Name::from(decision.place.as_str()));
        match places.into_iter().find(|place| self.workers.contains_key(place)) {
            Some(place) => self.unlike(&place, hash),
            None => Vec::new(),
        }
    }

    /// The edition of what was learned of the workers: how many answers it rests on.
    pub(crate) fn version(&self) -> Version {
        Version::new("fleet", self.pools.lessons().to_string())
    }

    /// By name, so that equal fleets give equal decisions.
    fn entries(&self) -> Vec<Arc<Entry>> {
        let mut entries: Vec<_> = self.workers.iter().map(|entry| entry.value().clone()).collect();
        entries.sort_unstable_by(|a, b| a.who.place.cmp(&b.who.place));
        entries
    }
}

/// Workers in a tier that a policy does not price, or that is not for workers, are refused.
pub(crate) fn check(fleet: &FleetOptions, rules: &Rules) -> Result<(), hop::Error> {
    let workers = fleet.workers.iter();
    let workers = workers.map(|worker| (format!("worker `{}` is in tier", worker.name), &worker.tier));
    let named = fleet.dns.iter();
    let named = named.map(|source| (format!("`{}` names workers of tier", source.name), &source.tier));
    let served = fleet.kubernetes.iter();
    let served = served.map(|one| (format!("service `{}` has workers of tier", one.service), &one.tier));
    let mut all = workers.chain(named).chain(served);
    let Some((what, tier)) = all.find(|(_, tier)| kind(rules, tier).is_none()) else {
        return Ok(());
    };
    let known = rules.tiers().iter().filter(|tier| kind(rules, &tier.name).is_some());
    Err(hop::Error::TierUnknown {
        what,
        tier: tier.clone(),
        wanted: "tier for workers",
        known: known.map(|tier| tier.name.to_string()).collect(),
    })
}

/// The same workers at the same moment, as another policy sees them.
pub(crate) fn seen_by(rules: &Rules, candidates: &[Candidate]) -> Vec<Candidate> {
    let seen =
        |candidate: &Candidate| Candidate { kind: seen_as(rules, &candidate.tier), ..candidate.clone() };
    candidates.iter().map(seen).collect()
}

/// A tier that is not in a policy has its workers where nothing private can reach them.
fn seen_as(rules: &Rules, tier: &str) -> Kind {
    kind(rules, tier).unwrap_or(Kind::Cloud)
}

/// Where the workers of a tier stand; `None`: it is no tier for workers. What is on the device is no worker, and a
/// worker that passed for it would be sent what must not leave the device.
fn kind(rules: &Rules, tier: &str) -> Option<Kind> {
    rules.tier(tier).map(|tier| tier.kind).filter(|kind| matches!(kind, Kind::Home | Kind::Cloud))
}
