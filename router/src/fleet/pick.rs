//! Which workers are weighed where there are too many to weigh all: some that are drawn, those that were best when last
//! heard of or weighed, and those that hold the prompt.
//!
//! Two drawn at random are much better than one, and a few that are remembered as the best are nearly as good as all
//! (Mitzenmacher, Prabhakar and Shah, "Load balancing with memory", FOCS 2002). Workers are drawn by strata, alike in what
//! a hard constraint asks of a worker, so that a constraint which leaves few of them does not leave none that was drawn.

use std::cmp::Ordering;
use std::sync::atomic::{AtomicUsize, Ordering as AtomicOrdering};

use parking_lot::{Mutex, RwLock};
use policy::{Latency, Name};
use proto::v1;
use rand::rngs::StdRng;
use rand::seq::index;
use rand::{RngExt as _, SeedableRng as _};

use super::predict::Work;
use crate::config::PickOptions;

/// Workers that are drawn of a stratum, at least.
const DRAWN_MIN: usize = 2;
/// The best of a stratum that are remembered: more than are weighed, since those that are chosen are the best no longer.
const REMEMBERED: usize = 64;
/// What a common request asks of a worker, which they are remembered by.
pub(super) const COMMON: Work = Work { prompt_tokens: 512, cached_tokens: 0, output_tokens: 128.0 };

/// What workers have in common that a request may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kin {
    /// Their tier.
    pub(super) tier: Name,
    /// Where they compute.
    pub(super) region: Option<Name>,
    /// What they serve; `None`: they have not said yet.
    pub(super) model: Option<Model>,
}

/// What tells models apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Model {
    /// Its name.
    pub(super) name: Name,
    /// Its weights, and the arithmetic that is done with them.
    hash: Name,
    numeric_class: Name,
}

/// What a request asks for by name.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// The model's name; empty: any.
    pub model: &'a str,
    /// The hash and the numeric class of the model that made what is to be gone on with; `None`: none.
    pub resume: Option<(&'a str, &'a str)>,
    /// The only tier, or the only worker; `None`: any.
    pub only: Option<&'a Name>,
}

/// All workers, by what they have in common.
#[derive(Debug)]
pub(super) struct Strata {
    options: PickOptions,
    members: AtomicUsize,
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    strata: Vec<Stratum>,
    /// The stratum of each worker.
    of: Vec<Option<usize>>,
}

#[derive(Debug)]
struct Stratum {
    kin: Kin,
    members: Vec<u32>,
    /// Those that were best when last weighed, by expected seconds of a common request.
    leaders: Mutex<Vec<(f64, u32)>>,
}

/// Seconds that a common request takes at a worker this fast.
pub(super) fn common_seconds(latency: &Latency) -> f64 {
    latency.queue_seconds
        + latency.network_seconds
        + f64::from(COMMON.prompt_tokens) * latency.prefill_seconds_per_token
        + COMMON.output_tokens * latency.seconds_per_output_token
}

// === impl Model ===

impl Model {
    /// As a worker describes it.
    pub(super) fn of(model: &v1::ModelDescription) -> Self {
        let v1::ModelDescription { name, hash, numeric_class, .. } = model;
        Self {
            name: name.as_str().into(),
            hash: hash.as_str().into(),
            numeric_class: numeric_class.as_str().into(),
        }
    }

    /// The arithmetic that is done with its weights.
    pub(super) fn numeric_class(&self) -> &str {
        &self.numeric_class
    }

    /// Whether it is the one that is described.
    pub(super) fn is(&self, model: &v1::ModelDescription) -> bool {
        let v1::ModelDescription { name, hash, numeric_class, .. } = model;
        self.name == **name && self.hash == **hash && self.numeric_class == **numeric_class
    }
}

// === impl Wanted ===

impl<'a> Wanted<'a> {
    /// What a request asks for, of which `only` is the one place that may answer.
    pub fn of(request: &'a v1::GenerateRequest, only: Option<&'a Name>) -> Self {
        let resume = request
            .resume
            .as_ref()
            .and_then(|resume| Some((resume.model_hash.as_str(), resume.numeric_class.as_deref()?)));
        Self { model: &request.model, resume, only }
    }

    /// Why workers that serve this model cannot be asked; `None`: they can.
    pub(super) fn refuses(&self, model: Option<&Model>) -> Option<Name> {
        if !self.model.is_empty() {
            let Some(model) = model else { return Some("it has not said yet which model it serves".into()) };
            if model.name != *self.model {
                return Some(format!("it serves the model `{}`", model.name).into());
            }
        }
        let (hash, class) = self.resume?;
        let like = model.is_some_and(|model| model.hash == *hash && model.numeric_class == *class);
        (!like).then(|| "it does not compute the bits of the model that began the answer".into())
    }

    fn fits(&self, kin: &Kin) -> bool {
        self.only.is_none_or(|only| *only == kin.tier) && self.refuses(kin.model.as_ref()).is_none()
    }
}

// === impl Strata ===

impl Strata {
    /// Nobody yet.
    pub(super) fn new(options: &PickOptions) -> Self {
        Self { options: options.clone(), members: AtomicUsize::new(0), inner: RwLock::default() }
    }

    /// A worker is of this kin from now on.
    pub(super) fn join(&self, worker: u32, kin: Kin) {
        let mut inner = self.inner.write();
        if !inner.leave(worker) {
            self.members.fetch_add(1, AtomicOrdering::Relaxed);
        }
        let at = inner.strata.iter().position(|one| one.kin == kin).unwrap_or_else(|| {
            inner.strata.push(Stratum { kin, members: Vec::new(), leaders: Mutex::default() });
            inner.strata.len() - 1
        });
        let members = &mut inner.strata[at].members;
        let place = members.partition_point(|other| *other < worker);
        members.insert(place, worker);
        inner.of[worker as usize] = Some(at);
    }

    /// A worker is gone.
    pub(super) fn leave(&self, worker: u32) {
        if self.inner.write().leave(worker) {
            self.members.fetch_sub(1, AtomicOrdering::Relaxed);
        }
    }

    /// Whether there are so many that some are drawn.
    pub(super) fn is_large(&self) -> bool {
        self.members.load(AtomicOrdering::Relaxed) > self.options.full_max
    }

    /// How many of all may be weighed at once.
    pub(super) fn full_max(&self) -> usize {
        self.options.full_max
    }

    /// Workers that are offered for holding the prompt, at most.
    pub(super) fn named_max(&self) -> usize {
        self.options.named
    }

    /// Workers to weigh of those that fit, in order; the same for the same seed and the same past. `named` are among them.
    pub(super) fn draw(&self, wanted: &Wanted<'_>, named: &[u32], seed: u64) -> Vec<u32> {
        let inner = self.inner.read();
        let mut fit: Vec<&Stratum> = inner.strata.iter().filter(|one| wanted.fits(&one.kin)).collect();
        let mut random = StdRng::seed_from_u64(seed);
        let most = (self.options.drawn / DRAWN_MIN).max(1);
        if fit.len() > most {
            // So many kinds that not each can be drawn of.
            fit = index::sample(&mut random, fit.len(), most).into_iter().map(|at| fit[at]).collect();
        }
        let all: usize = fit.iter().map(|one| one.members.len()).sum();
        let mut drawn: Vec<u32> = named.to_vec();
        for one in &fit {
            let members = &one.members;
            if all <= self.options.full_max {
                drawn.extend(members);
                continue;
            }
            let share = (self.options.drawn * members.len()).div_ceil(all).max(DRAWN_MIN);
            // With one more than once, which is seldom, it is cheaper than without.
            drawn.extend((0..share).map(|_| members[random.random_range(0..members.len())]));
            let leaders = (self.options.leaders * members.len()).div_ceil(all).max(1);
            drawn.extend(one.leaders.lock().iter().take(leaders).map(|(_, worker)| *worker));
        }
        drawn.sort_unstable();
        drawn.dedup();
        drawn
    }

    /// What workers were found to take for a common request, seconds; `None`: it is not known, or they take none.
    pub(super) fn weighed(&self, workers: impl Iterator<Item = (u32, Option<f64>)>) {
        let inner = self.inner.read();
        for (worker, seconds) in workers {
            let Some(at) = inner.of.get(worker as usize).copied().flatten() else { continue };
            let mut leaders = inner.strata[at].leaders.lock();
            leaders.retain(|(_, other)| *other != worker);
            let Some(seconds) = seconds.filter(|seconds| seconds.is_finite()) else { continue };
            let place = leaders.partition_point(|(other, _)| other.total_cmp(&seconds) != Ordering::Greater);
            if place < REMEMBERED {
                leaders.insert(place, (seconds, worker));
                leaders.truncate(REMEMBERED);
            }
        }
    }

    /// The names of all models, and how many workers have not said theirs.
    pub(super) fn models(&self) -> (Vec<Name>, usize) {
        let inner = self.inner.read();
        let names = inner.strata.iter().filter_map(|one| Some(one.kin.model.as_ref()?.name.clone()));
        let unheard = inner.strata.iter().filter(|one| one.kin.model.is_none());
        (names.collect(), unheard.map(|one| one.members.len()).sum())
    }
}

// === impl Inner ===

impl Inner {
    /// A worker is of no kin any more, if it was of any; a kin that nobody is of is forgotten.
    fn leave(&mut self, worker: u32) -> bool {
        let index = worker as usize;
        if index >= self.of.len() {
            self.of.resize(index + 1, None);
        }
        let Some(at) = self.of[index].take() else { return false };
        let stratum = &mut self.strata[at];
        stratum.members.retain(|other| *other != worker);
        stratum.leaders.lock().retain(|(_, other)| *other != worker);
        if stratum.members.is_empty() {
            self.strata.swap_remove(at);
            for moved in self.strata.get(at).into_iter().flat_map(|one| &one.members) {
                self.of[*moved as usize] = Some(at);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests;
