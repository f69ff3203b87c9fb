//! The workers: who they are, what they last said of themselves, what this router has with each.

pub mod predict;
pub mod prefix;
mod pick;
mod roster;
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
mod limit;
mod room;
mod vacancy;
mod trailing;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use mesh::connect::ConnectOptions;
use mesh::process::Rim;
use policy::{Candidate, Excluded, Kind, Name, Rules, Version};
use proto::v1;
use tokio::time::Instant;

pub(crate) use self::breaker::Outcome;
pub use self::discover::Discovered;
use self::discover::{Board, Member};
use self::entry::Entry;
pub use self::lease::Lease;
pub use self::pick::Wanted;
use self::pick::{Model, Strata};
use self::pool::Pools;
use self::predict::Work;
use self::prefix::{Matches, Prefixes, Prompt};
pub use self::report::doubts;
use self::room::Room;
use self::roster::Roster;
use self::standing::{Standing, spare};
pub(crate) use self::trailing::Trailing;
pub(crate) use self::vacancy::Inside;
use self::watch::Watching;
use crate::config::{BreakerOptions, FleetOptions, Options};
use crate::error::Error;
use crate::flow::{self, Lane, Lanes};

/// How a worker stands that is no longer known.
const GONE: Standing = Standing::Away("it has left the fleet");

/// Every worker that this router may choose. A lease holds its worker, so that it ends well whatever becomes of this.
#[derive(Debug)]
pub struct Fleet {
    roster: Roster,
    strata: Arc<Strata>,
    prefixes: Arc<Prefixes>,
    pools: Arc<Pools>,
    lanes: Arc<Lanes>,
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

/// A request, as workers are weighed for it.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The policy that weighs them.
    pub rules: &'a Rules,
    /// What it asks of a worker, as far as all are alike in it.
    pub work: Work,
    /// Its prompt.
    pub prompt: &'a Prompt,
    /// What it asks for by name.
    pub wanted: Wanted<'a>,
    /// What chance depends on, where workers are drawn.
    pub seed: u64,
}

/// Workers to decide over.
#[derive(Debug)]
pub struct Offer {
    /// As they are now, by name.
    pub candidates: Vec<Candidate>,
    /// Those of them that cannot serve the request for what it asks for by name.
    pub excluded: Vec<Excluded>,
    /// How many workers there are, where these were drawn from them; `None`: they are all.
    pub known: Option<u32>,
}

/// What came of asking for a place at a worker.
#[derive(Debug)]
pub(crate) enum Leased {
    /// It is taken.
    Lease(Box<Lease>),
    /// The worker has no room, or others wait for it, here.
    Full(Arc<Lane>),
    /// There is no such worker.
    Gone,
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
    pub fn new(options: &Options, rim: &Rim) -> Self {
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
            roster: Roster::default(),
            strata: Arc::new(Strata::new(&options.fleet.pick)),
            prefixes: Arc::new(Prefixes::new(&options.fleet.prefix, rim.seed)),
            pools: Arc::new(Pools::default()),
            lanes: Arc::new(Lanes::new(options.flow.clone())),
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

    /// A request's prompt, by what can be known of where it is cached.
    pub fn prompt(&self, request: &v1::GenerateRequest, tenant: &str) -> Prompt {
        self.prefixes.prompt(request, tenant)
    }

    /// Workers to weigh for a request: all of a small fleet, some of a large one.
    pub fn offer(&self, ask: &Ask<'_>) -> Offer {
        let known = self.roster.len();
        if known <= self.strata.full_max() {
            return self.offer_all(ask);
        }
        let matches = self.prefixes.find(ask.prompt);
        let only = ask.wanted.only.and_then(|only| self.roster.get(only));
        let drawn = || {
            let named = matches.holders(self.strata.named_max());
            self.roster.of(&self.strata.draw(&ask.wanted, &named, ask.seed))
        };
        let entries = only.map_or_else(drawn, |only| vec![only]);
        let candidates = candidates(ask, &matches, &entries);
        let seconds = |(entry, candidate): (&Arc<Entry>, &Candidate)| {
            let latency = candidate.latency.filter(|_| candidate.healthy);
            (entry.number(), latency.map(|latency| pick::common_seconds(&latency)))
        };
        self.strata.weighed(entries.iter().zip(&candidates).map(seconds));
        let excluded = excluded(&ask.wanted, &entries);
        Offer { candidates, excluded, known: Some(u32::try_from(known).unwrap_or(u32::MAX)) }
    }

    /// All workers: none that is drawn may be able to serve a request, and somebody else may.
    pub fn offer_all(&self, ask: &Ask<'_>) -> Offer {
        let (matches, entries) = (self.prefixes.find(ask.prompt), self.roster.all());
        let mut candidates = candidates(ask, &matches, &entries);
        let now = Instant::now();
        spare(&mut candidates, |place| self.roster.get(place).map_or(GONE, |entry| entry.standing(now)));
        Offer { candidates, excluded: excluded(&ask.wanted, &entries), known: None }
    }

    /// Counts a request of this prompt at a worker until the lease is dropped; `None`: there is no such worker. `resumed`: it
    /// goes on with an answer.
    pub fn lease(&self, place: &Name, work: Work, prompt: (Prompt, bool)) -> Option<Lease> {
        self.roster.get(place)?.lease(work, prompt, true)
    }

    /// The same where the worker has room that nobody waits for.
    pub(crate) fn lease_free(&self, place: &Name, work: Work, prompt: (Prompt, bool)) -> Leased {
        let Some(entry) = self.roster.get(place) else { return Leased::Gone };
        match entry.lease(work, prompt, false) {
            Some(lease) => Leased::Lease(Box::new(lease)),
            None => Leased::Full(entry.room(|room| room.lane().clone())),
        }
    }

    /// Tells of what waits and of the workers' limits, for as long as there is this fleet.
    pub(crate) fn measure(self: &Arc<Self>) {
        let fleet = Arc::downgrade(self);
        flow::gauge::watch(&self.lanes, move || {
            fleet.upgrade().map(|fleet| fleet.limits()).unwrap_or_default()
        });
    }

    /// Where requests wait for workers that are full.
    pub(crate) fn lanes(&self) -> &Arc<Lanes> {
        &self.lanes
    }

    /// How many requests each worker is sent at once.
    fn limits(&self) -> Vec<(Name, u32)> {
        self.roster
            .all()
            .into_iter()
            .map(|entry| (entry.who.place.clone(), entry.room(Room::limit)))
            .collect()
    }

    /// A worker reported, which it does by itself once it is watched.
    pub fn hear(&self, place: &Name, report: v1::Report) {
        if let Some(entry) = self.roster.get(place) {
            entry.hear(report, self.watching.interval, Instant::now());
        }
    }

    /// Whether nothing is heard of this worker, neither reports nor tokens, though something should be.
    pub(crate) fn is_unheard(&self, place: &Name) -> bool {
        self.roster.get(place).is_none_or(|entry| entry.is_unheard(Instant::now()))
    }

    /// Nothing more is sent to this worker until it is heard again.
    pub(crate) fn doubt(&self, place: &Name) {
        if let Some(entry) = self.roster.get(place) {
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
        self.roster.all().into_iter().map(place).collect()
    }

    /// An error unless a worker or a tier of workers has this name.
    pub(crate) fn knows(&self, wanted: &Name) -> Result<(), Error> {
        if self.roster.get(wanted).is_some() || self.roster.any(|entry| entry.who.tier == *wanted) {
            return Ok(());
        }
        let names = |entry: Arc<Entry>| [entry.who.tier.to_string(), entry.who.place.to_string()];
        let known: BTreeSet<String> = self.roster.all().into_iter().flat_map(names).collect();
        Err(Error::PlaceUnknown { wanted: wanted.to_string(), known: known.into_iter().collect() })
    }

    /// An error unless a worker serves this model.
    pub(crate) fn serves(&self, wanted: &str) -> Result<(), Error> {
        let (models, unheard) = self.strata.models();
        if models.iter().any(|name| *name == *wanted) {
            return Ok(());
        }
        let known: BTreeSet<String> = models.iter().map(ToString::to_string).collect();
        Err(Error::ModelUnknown { wanted: wanted.to_owned(), known: known.into_iter().collect(), unheard })
    }

    /// The numeric class of what a worker computes, as far as it has said: only workers of the same can go on with its tokens.
    pub(crate) fn numeric_class(&self, place: &Name) -> String {
        let class = |model: Option<&Model>| model.map(|model| model.numeric_class().to_owned());
        self.roster.get(place).and_then(|entry| entry.serves(class)).unwrap_or_default()
    }

    /// The same for an answer that another router began: the last place of these decisions that is known here computed what
    /// was shown.
    pub(crate) fn numeric_class_before(&self, decisions: &[v1::Decision]) -> Option<String> {
        let mut places = decisions.iter().rev().map(|decision| Name::from(decision.place.as_str()));
        places.find(|place| self.roster.get(place).is_some()).map(|place| self.numeric_class(&place))
    }

    /// The edition of what was learned of the workers: how many answers it rests on.
    pub(crate) fn version(&self) -> Version {
        Version::new("fleet", self.pools.lessons().to_string())
    }
}

fn candidates(ask: &Ask<'_>, matches: &Matches, entries: &[Arc<Entry>]) -> Vec<Candidate> {
    let now = Instant::now();
    let candidate =
        |entry: &Arc<Entry>| entry.candidate(seen_as(ask.rules, &entry.who.tier), (&ask.work, matches), now);
    entries.iter().map(candidate).collect()
}

/// Those that cannot serve what a request asks for by name, each with that reason.
fn excluded(wanted: &Wanted<'_>, entries: &[Arc<Entry>]) -> Vec<Excluded> {
    if wanted.model.is_empty() && wanted.resume.is_none() {
        return Vec::new();
    }
    let excluded = |entry: &Arc<Entry>| {
        let reason = entry.serves(|model| wanted.refuses(model))?;
        Some(Excluded::new(entry.who.place.clone(), reason))
    };
    entries.iter().filter_map(excluded).collect()
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
