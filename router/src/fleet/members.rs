//! The fleet as it changes: workers that are found are taken in, those that are gone are let go when they are done.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mesh::connect::Channel;
use policy::Name;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::Fleet;
use super::breaker::Breaker;
use super::discover::{self, Discovered, Member};
use super::entry::{Entry, Known, Who};
use super::limit::Limit;
use super::prefix::Cache;
use super::room::Room;
use super::watch::watch;
use crate::config::WorkerOptions;

/// How long a start waits to hear of those who are not named one by one.
const FIRST_MAX: Duration = Duration::from_secs(2);

/// Who is wanted, by place.
type Wanted = BTreeMap<Name, Member>;

/// The workers that are in the fleet because of a source, and the tasks that watch all of them.
#[derive(Debug, Default)]
struct Kept {
    found: Wanted,
    watched: HashMap<Name, AbortHandle>,
    tasks: JoinSet<()>,
    /// Whether it was said that there are too many.
    crowded: bool,
}

// === impl Fleet ===

impl Fleet {
    /// Begins to watch every worker and to look for others; dropping the set ends it.
    pub(crate) fn watch(self: &Arc<Self>) -> JoinSet<()> {
        let mut task = JoinSet::new();
        self.board.measure();
        task.spawn(self.clone().keep());
        task
    }

    /// Waits until it is known who belongs to the fleet, as far as it can be known.
    pub(crate) async fn found(&self) {
        self.board.first(FIRST_MAX).await;
    }

    /// What becomes of the sources of workers.
    pub(crate) fn discovered(&self) -> Vec<Discovered> {
        self.board.report()
    }

    /// Takes a worker in: from now on it may be chosen.
    pub(super) fn admit(&self, member: &Member) -> Arc<Entry> {
        let number = self.admitted.fetch_add(1, Ordering::Relaxed);
        let mut connect = self.connect.clone().expecting(&member.server_name);
        let seed = self.rim.seed.wrapping_add(number);
        connect.jitter_seed.get_or_insert(seed);
        let breaker = Breaker::new(self.breaker.clone(), seed, Instant::now());
        let (transport, identity) = (self.rim.transport.clone(), self.rim.identity.clone());
        let place = place(member);
        let who = Who {
            place: place.clone(),
            tier: member.tier.as_str().into(),
            region: member.region.as_deref().map(Name::from),
            load: member.load,
            channel: Channel::new(member.address.clone(), transport, identity, connect),
        };
        let number = self.roster.number();
        let cache = Cache::new(self.prefixes.clone(), number.clone());
        let (pools, strata) = (self.pools.clone(), self.strata.clone());
        let room = Room::new(self.lanes.of(&who.tier), Limit::new(self.lanes.options().limit.clone()));
        let known = Known { number, pools, strata, cache, breaker, room };
        let entry = Arc::new(Entry::new(who, self.stale_after, known));
        entry.set_leaving(member.leaving);
        self.roster.insert(entry.clone());
        entry
    }

    /// Lets a worker go: it is not chosen any more. What it is answering holds it until that ends.
    fn dismiss(&self, place: &Name) {
        if let Some(entry) = self.roster.remove(place) {
            entry.retire();
        }
    }

    async fn keep(self: Arc<Self>) {
        let sources = discover::start(&self.board, &self.options, &self.rim);
        let mut kept = Kept::default();
        for entry in self.roster.all() {
            self.follow(&mut kept, entry);
        }
        let mut editions = self.board.editions();
        loop {
            editions.mark_unchanged();
            self.change(&mut kept, &self.board.members());
            tokio::select! {
                changed = editions.changed() => if changed.is_err() { break },
                // Those that were let go.
                Some(_) = kept.tasks.join_next() => {}
            }
        }
        drop(sources);
    }

    /// Makes the fleet what the sources say.
    fn change(&self, kept: &mut Kept, told: &[Arc<[Member]>]) {
        let mut wanted = wanted(told);
        // Those that are named one by one stay as they are.
        wanted.retain(|place, _| kept.found.contains_key(place) || self.roster.get(place).is_none());
        let same = |was: &Member, is: &Member| Member { leaving: is.leaving, ..was.clone() } == *is;
        let gone = |place: &Name, was: &Member| !wanted.get(place).is_some_and(|is| same(was, is));
        let gone: Vec<Name> = kept
            .found
            .iter()
            .filter(|(place, was)| gone(place, was))
            .map(|(place, _)| place.clone())
            .collect();
        for place in gone {
            tracing::info!(%place, "a worker has left the fleet");
            self.dismiss(&place);
            kept.found.remove(&place);
            if let Some(watched) = kept.watched.remove(&place) {
                watched.abort();
            }
        }
        let mut too_many = 0_usize;
        for (place, member) in wanted {
            let known = kept.found.contains_key(&place);
            if !known && self.roster.len() >= self.options.workers_max {
                too_many += 1;
                continue;
            }
            if !known {
                tracing::info!(%place, address = %member.address, "a worker has joined the fleet");
                let entry = self.admit(&member);
                self.follow(kept, entry);
            } else if let Some(entry) = self.roster.get(&place) {
                entry.set_leaving(member.leaving);
            }
            kept.found.insert(place, member);
        }
        if too_many > 0 && !kept.crowded {
            let workers_max = self.options.workers_max;
            tracing::warn!(too_many, workers_max, "workers are left out of the fleet");
        }
        kept.crowded = too_many > 0;
    }

    fn follow(&self, kept: &mut Kept, entry: Arc<Entry>) {
        let number = self.followed.fetch_add(1, Ordering::Relaxed);
        let mut random = StdRng::seed_from_u64(self.rim.seed.wrapping_add(number));
        let place = entry.who.place.clone();
        let watching = watch(entry, self.watching.clone(), move || random.random_range(0.0..1.0));
        kept.watched.insert(place, kept.tasks.spawn(watching));
    }
}

/// Everybody that sources tell of; the first to tell of a place describes it.
fn wanted(told: &[Arc<[Member]>]) -> Wanted {
    let mut wanted = Wanted::new();
    for member in told.iter().flat_map(|members| members.iter()) {
        wanted.entry(place(member)).or_insert_with(|| member.clone());
    }
    wanted
}

fn place(member: &Member) -> Name {
    Name::from(format!("{}/{}", member.tier, member.name))
}

// === impl Member ===

impl From<&WorkerOptions> for Member {
    fn from(options: &WorkerOptions) -> Self {
        let WorkerOptions { name, tier, address, server_name, region, load } = options.clone();
        Self { name, tier, address, server_name, region, load, leaving: false }
    }
}
