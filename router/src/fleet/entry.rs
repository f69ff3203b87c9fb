//! One worker as this router knows it: how it is reached, what it last said, what it was sent, what it was seen to do.

mod hearing;
mod holding;

use std::sync::Arc;
use std::time::Duration;

use mesh::connect::Channel;
use parking_lot::Mutex;
use policy::{Candidate, Kind, Latency, Load, Name};
use proto::v1;
use tokio::time::Instant;

use super::breaker::{Breaker, Change, Pass};
use super::gauge;
use super::pick::{Kin, Model, Strata};
use super::pool::{Pools, Share};
use super::predict::{Moment, Predictor, Seen, Ticket, Work};
use super::prefix::{Cache, Matches};
use super::report::Heard;
use super::room::Room;
use super::roster::Number;
use super::signs::Signs;
use super::standing::Standing;
use crate::config::LoadSource;

/// A report is old when this many of its intervals have passed without the next, whatever the options say.
const INTERVALS_MISSED_MAX: u32 = 2;

/// Who a worker is, as configured.
#[derive(Debug)]
pub(super) struct Who {
    /// `tier/worker`.
    pub(super) place: Name,
    /// Its tier in the policy.
    pub(super) tier: Name,
    /// Where it computes.
    pub(super) region: Option<Name>,
    /// What it is asked for its load by.
    pub(super) load: LoadSource,
    /// The way there, connected when first needed and again when lost.
    pub(super) channel: Channel,
}

/// One worker of the fleet.
#[derive(Debug)]
pub(super) struct Entry {
    /// Who it is.
    pub(super) who: Who,
    stale_after: Duration,
    /// From which time is counted in predictions.
    born: Instant,
    strata: Arc<Strata>,
    pools: Arc<Pools>,
    signs: Signs,
    state: Mutex<State>,
    number: Arc<Number>,
}

/// What is known beside it.
#[derive(Debug)]
pub(super) struct Known {
    /// Its number.
    pub(super) number: Arc<Number>,
    /// The workers by what they have in common.
    pub(super) strata: Arc<Strata>,
    /// What all workers have on average; it counts there once it was heard of.
    pub(super) pools: Arc<Pools>,
    /// Its cache.
    pub(super) cache: Cache,
    /// What ejects it.
    pub(super) breaker: Breaker,
    /// Its room, and its part in what waits for its tier.
    pub(super) room: Room,
}

#[derive(Debug)]
struct State {
    link: Link,
    heard: Option<(Heard, Instant)>,
    /// Whether that came with the answer to a call, and not by itself.
    by_call: bool,
    predictor: Predictor,
    cache: Cache,
    /// What it serves; `None`: it has not said yet.
    model: Option<Model>,
    /// What the pool holds of this worker.
    share: Share,
    doubted: bool,
    breaker: Breaker,
    room: Room,
    /// Its source says that it takes no new work.
    leaving: bool,
    /// Its health says the same.
    resting: bool,
    /// It has left the fleet, and the pool.
    retired: bool,
}

/// What is known of the way to a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Link {
    /// Never tried: it may well be there.
    Untried,
    /// It answers.
    Up,
    /// The last try failed.
    Down,
}

// === impl Entry ===

impl Entry {
    /// A worker that was never heard of.
    pub(super) fn new(who: Who, stale_after: Duration, known: Known) -> Self {
        let Known { number, strata, pools, cache, breaker, room } = known;
        let kin = Kin { tier: who.tier.clone(), region: who.region.clone(), model: None };
        strata.join(number.get(), kin);
        let mut state = State {
            link: Link::Untried,
            heard: None,
            by_call: false,
            predictor: Predictor::new(),
            cache,
            model: None,
            share: Share::default(),
            doubted: false,
            breaker,
            room,
            leaving: false,
            resting: false,
            retired: false,
        };
        state.reckon();
        let (born, signs, state) = (Instant::now(), Signs::default(), Mutex::new(state));
        Self { who, stale_after, born, strata, pools, signs, state, number }
    }

    /// The worker as the decision weighs it for this work, in a tier of this kind.
    pub(super) fn candidate(
        &self,
        kind: Kind,
        (work, matches): (&Work, &Matches),
        now: Instant,
    ) -> Candidate {
        let mut state = self.state.lock();
        let cached_tokens = state.cache.cached_tokens(matches, work.prompt_tokens);
        let work = &Work { cached_tokens, ..*work };
        let mut candidate = self.weighed(&state, (kind, work), now);
        candidate.cached_prompt_tokens = cached_tokens;
        if let Some(latency) = &mut candidate.latency {
            latency.queue_seconds += state.breaker.verdict(now).penalty.as_secs_f64();
        }
        self.stands(&mut state, now).mark(&mut candidate);
        candidate
    }

    /// Whether it is sent work, and why not.
    pub(super) fn standing(&self, now: Instant) -> Standing {
        self.stands(&mut self.state.lock(), now)
    }

    /// Whether nothing is heard of it, though something should be.
    pub(super) fn is_unheard(&self, now: Instant) -> bool {
        let mut state = self.state.lock();
        state.link == Link::Down || matches!(self.stands(&mut state, now), Standing::Silent(_))
    }

    fn stands(&self, state: &mut State, now: Instant) -> Standing {
        if state.link == Link::Down {
            return Standing::Away("it cannot be reached");
        }
        if state.heard.as_ref().is_some_and(|(heard, _)| heard.draining) {
            return Standing::Away("it is about to end");
        }
        if state.leaving {
            return Standing::Away("it is being taken out of service");
        }
        if state.resting {
            return Standing::Away("it says that it is not serving");
        }
        if let Some((cause, time)) = state.breaker.verdict(now).ejected {
            return Standing::Ejected { cause, time, success_rate: state.breaker.success_rate(now) };
        }
        let reports = state.heard.as_ref().filter(|_| !state.by_call).map(|(heard, _)| self.lifetime(heard));
        let patience = reports.unwrap_or(self.stale_after);
        let silent = self.signs.silent(self.age(now), patience, reports.is_some());
        silent.map_or(Standing::Fit, Standing::Silent)
    }

    fn weighed(&self, state: &State, (kind, work): (Kind, &Work), now: Instant) -> Candidate {
        let mut candidate = Candidate::new(self.who.place.clone(), self.who.tier.clone(), kind);
        candidate.region = self.who.region.clone();
        let Some((heard, _)) = &state.heard else {
            if state.predictor.lessons() > 0 {
                candidate.latency = state.latency(work, &self.moment(state, now));
            }
            return candidate;
        };
        candidate.context_tokens_max =
            heard.model.as_ref().map(|model| model.context_tokens_max).filter(|tokens| *tokens > 0);
        let moment = self.moment(state, now);
        candidate.latency = state.latency(work, &moment);
        if state.link == Link::Up && heard.load_known && moment.late == 0.0 {
            // What was sent since the report is not in it.
            let own = state.predictor.in_flight();
            let unseen = own.saturating_sub(heard.running.saturating_add(heard.waiting));
            let waiting = heard.waiting.saturating_add(unseen);
            candidate.load = Some(Load { running: heard.running, waiting });
        }
        candidate
    }

    /// What it said that it serves, however long ago.
    pub(super) fn model(&self) -> Option<v1::ModelDescription> {
        self.state.lock().heard.as_ref().and_then(|(heard, _)| heard.model.clone())
    }

    /// What `of` makes of what it serves; `None` there: it has not said yet.
    pub(super) fn serves<T>(&self, of: impl Fn(Option<&Model>) -> Option<T>) -> Option<T> {
        of(self.state.lock().model.as_ref())
    }

    /// Its number.
    pub(super) fn number(&self) -> u32 {
        self.number.get()
    }

    /// Its source says whether it takes new work.
    pub(super) fn set_leaving(&self, leaving: bool) {
        let mut state = self.state.lock();
        state.leaving = leaving;
        self.changed(state);
    }

    /// Its health says whether it serves.
    pub(super) fn set_serving(&self, serving: bool) {
        let mut state = self.state.lock();
        if state.resting == serving {
            tracing::info!(place = %self.who.place, serving, "a worker's health has changed");
        }
        state.resting = !serving;
        self.changed(state);
    }

    /// It has left the fleet: what it is still doing says nothing of those who stay.
    pub(super) fn retire(&self) {
        let mut state = self.state.lock();
        self.pools.replace(&state.share, &Share::default());
        (state.share, state.retired) = (Share::default(), true);
        self.changed(state);
        self.strata.leave(self.number());
    }

    /// The worker answered, though not with a report.
    pub(super) fn reached(&self) {
        let mut state = self.state.lock();
        state.is_up(Instant::now());
        self.count(&mut state);
        self.changed(state);
    }

    /// The worker cannot be reached; what it said before is no longer true.
    pub(super) fn lost(&self, reason: &str) {
        let mut state = self.state.lock();
        if state.link != Link::Down {
            tracing::warn!(place = %self.who.place, reason, "a worker is lost");
        }
        state.link = Link::Down;
        self.count(&mut state);
        self.changed(state);
    }

    /// The cache, and the change of it, that its next watch goes on from.
    pub(super) fn following(&self) -> (u64, u64) {
        self.state.lock().cache.following()
    }

    /// A token came.
    pub(super) fn spoke(&self, now: Instant) {
        self.signs.heard(self.age(now));
    }

    /// A leased request is silent for longer than it should be.
    pub(super) fn doubt(&self) {
        self.signs.doubt(self.age(Instant::now()));
    }

    /// A leased request has been answered, at least in part, or has ended.
    pub(super) fn settled(&self) {
        self.signs.settled();
    }

    fn tell(&self, change: Option<Change>) {
        let Some(change) = change else { return };
        let place = &self.who.place;
        match change {
            Change::Ejected(cause, time) => {
                tracing::warn!(%place, reason = %cause, ms = time.as_millis(), "a worker is ejected");
            }
            Change::Back => tracing::info!(%place, "a worker that was ejected serves again"),
        }
        gauge::changed(place, change);
    }

    /// A leased request's first token came, with `more` behind it.
    pub(super) fn began(
        &self,
        (ticket, pass): (&mut Ticket, Option<&Pass>),
        more: u32,
        now: Instant,
    ) -> Option<Seen> {
        let mut state = self.state.lock();
        let seen = state.predictor.began(ticket, more, self.seconds(now));
        self.count(&mut state);
        if let (Some(seen), Some(predicted)) = (&seen, ticket.predicted()) {
            self.pools.tardiness.came(seen.seconds, predicted.first_token());
            state.room.came(seen.seconds, predicted.network + predicted.prefill);
        }
        let change = pass.and_then(|pass| state.breaker.began(pass, now));
        self.changed(state);
        self.tell(change);
        seen
    }

    /// A leased request's answer told what its worker held of the prompt, where `share` of it was expected; tokens of its
    /// cache's blocks.
    pub(super) fn learn(&self, share: f64, usage: &v1::Usage) -> u32 {
        let cache = &mut self.state.lock().cache;
        cache.learn(share, usage);
        cache.block()
    }

    /// How far its predictions were off: medians and 95th percentiles; see [`Predictor::errors`].
    pub(super) fn errors(&self) -> [Option<[f64; 2]>; 2] {
        self.state.lock().predictor.errors()
    }

    fn count(&self, state: &mut State) {
        if state.retired {
            return;
        }
        let old = state.link == Link::Down || self.moment(state, Instant::now()).late > 0.0;
        let now = Share::of(&state.predictor, old);
        self.pools.replace(&state.share, &now);
        state.share = now;
    }

    fn seconds(&self, now: Instant) -> f64 {
        self.age(now).as_secs_f64()
    }

    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.born)
    }

    /// For how long a report is believed.
    fn lifetime(&self, heard: &Heard) -> Duration {
        self.stale_after.max(heard.interval * INTERVALS_MISSED_MAX)
    }

    /// A report that is old, or from before the worker was lost, is worth less and less; where none ever told of a load,
    /// the pool's average stands for it.
    fn moment(&self, state: &State, now: Instant) -> Moment {
        let told = state.heard.as_ref().filter(|(heard, _)| heard.load_known);
        let late = told.map_or(f64::INFINITY, |(heard, at)| {
            now.saturating_duration_since(*at).saturating_sub(self.lifetime(heard)).as_secs_f64()
        });
        Moment { now: self.seconds(now), late, pool: self.pools.mean(), sent_max: state.room.limit() }
    }
}

// === impl State ===

impl State {
    fn is_up(&mut self, now: Instant) {
        if self.link == Link::Down {
            self.breaker.returned(now);
        }
        self.link = Link::Up;
    }

    fn latency(&self, work: &Work, moment: &Moment) -> Option<Latency> {
        self.predictor.predict(work, moment).map(|prediction| prediction.latency(work))
    }
}
