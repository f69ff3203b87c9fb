//! A place at the worker that was chosen: at once where it has room, otherwise after waiting for a turn, and then of those
//! that have room the best.

use std::sync::Arc;
use std::time::Duration;

use hop::Asked;
use policy::{Decision, Facts, Name, Weighed};
use proto::v1;
use tokio::time::Instant;

use super::{Among, Attempt, Dispatch, HOP};
use crate::error::{Error, Failure};
use crate::fleet::{Ask, Inside, Leased, Offer, Wanted};
use crate::flow::{Asker, Lane, Refusal, Turn, Why};
use crate::predict::Work;

/// Where nothing has room, whatever waiting takes is of use.
const HOLD_ANY: Duration = Duration::MAX;

// === impl Dispatch ===

impl Dispatch {
    /// Decides, and takes a place there. Only the first attempt waits: whoever was let in once is not kept waiting again.
    pub(super) async fn placed(
        &self,
        asked: &mut Asked,
        number: u32,
        failures: &mut Vec<Failure>,
    ) -> Result<Box<Attempt>, Error> {
        let attempt = self.decide(asked, number, failures);
        let mut attempt = attempt.map_err(|error| self.for_want_of_room(asked, error))?;
        if number > 1 {
            return Ok(attempt);
        }
        match self.take(asked, &mut attempt) {
            None => Ok(attempt),
            Some(lane) => Box::pin(self.in_turn(asked, (lane, attempt), failures)).await,
        }
    }

    /// Waits for a turn, and decides again. Where a worker that is full is still expected to have answered sooner, it leaves
    /// the room that there is to others, for as long as it may make up for that ([`Dispatch::hold`]).
    async fn in_turn(
        &self,
        asked: &mut Asked,
        (lane, attempt): (Arc<Lane>, Box<Attempt>),
        failures: &mut Vec<Failure>,
    ) -> Result<Box<Attempt>, Error> {
        let (came, number, mut hold) = (Instant::now(), attempt.number, attempt.hold);
        let (asker, leave_at) = (self.asker(asked, &attempt.work), self.leave_at(asked, attempt.seconds));
        // What it reserved is for others while it waits.
        drop(attempt);
        let mut place = match lane.join(asker) {
            Ok(place) => place,
            Err(refusal) => return self.instead(asked, number, refusal),
        };
        loop {
            let until = hold.and_then(|hold| came.checked_add(hold)).map_or(leave_at, |at| at.min(leave_at));
            let turn = match place.turn(until).await {
                Ok(turn) => turn,
                Err(refusal) => return self.instead(asked, number, refusal),
            };
            if asked.is_late() {
                return Err(Error::DeadlinePassed);
            }
            if turn.is_none() && until == leave_at {
                let free = hold.and_then(|_| self.decide_among(asked, number, failures, Among::Free).ok());
                let Some(free) = free else {
                    return self.instead(asked, number, lane.refusal(Why::Expired));
                };
                return Ok(self.leased(asked, free));
            }
            let wait_seconds = turn.as_ref().map_or_else(|| place.wait_seconds(), Turn::wait_seconds);
            let inside = Inside { tier: lane.tier(), wait_seconds };
            let attempt = self.decide_among(asked, number, failures, Among::Inside(inside));
            let mut attempt = attempt.map_err(|error| self.for_want_of_room(asked, error))?;
            hold = attempt.hold.filter(|hold| lane.is_alive() && came.elapsed() < *hold);
            if hold.is_none() && self.fleet.is_full(&attempt.place.place) {
                match self.decide_among(asked, number, failures, Among::Free) {
                    Ok(free) => attempt = free,
                    Err(_) if turn.is_none() => continue,
                    // If all have filled up meanwhile, it has its place all the same.
                    Err(_) => {}
                }
            }
            if hold.is_none() {
                return Ok(self.leased(asked, attempt));
            }
            drop(attempt);
            if let Some(turn) = turn {
                place.decline(turn);
            }
        }
    }

    /// The same with a place at its worker, be that full.
    fn leased(&self, asked: &Asked, mut attempt: Box<Attempt>) -> Box<Attempt> {
        let prompt = (attempt.prompt.clone(), is_resumed(asked));
        attempt.lease = self.fleet.lease(&attempt.place.place, attempt.work, prompt);
        attempt
    }

    /// For how long it is of use to wait for the worker that was chosen, which has no room: while it is expected to have
    /// answered sooner than the best of those that have, for as long as that one takes longer. Whoever is wrong about it
    /// takes twice as long as it had to, at most (as who rents skis until they could have been bought; Karlin, Manasse,
    /// Rudolph and Sleator, "Competitive snoopy caching", Algorithmica 3, 1988).
    pub(super) fn hold(&self, decision: &Decision) -> Option<Duration> {
        let winner = decision.winner().filter(|winner| self.fleet.is_full(&winner.candidate.place))?;
        let free = |one: &&Weighed| one.removal.is_none() && !self.fleet.is_full(&one.candidate.place);
        let free = decision.trail.candidates.iter().filter(free);
        let Some(best) = free.min_by(|a, b| a.columns.total_usd.total_cmp(&b.columns.total_usd)) else {
            return Some(HOLD_ANY);
        };
        let (there, here) = (winner.inputs.expected_seconds, best.inputs.expected_seconds);
        let sooner = there < here && winner.columns.total_usd < best.columns.total_usd;
        let queue = winner.candidate.latency.map_or(0.0, |latency| latency.queue_seconds);
        Duration::try_from_secs_f64(here - there + queue).ok().filter(|_| sooner)
    }

    /// What becomes of one that cannot wait, or not any more.
    fn instead(&self, asked: &mut Asked, number: u32, refusal: Refusal) -> Result<Box<Attempt>, Error> {
        self.elsewhere(asked, number, &refusal).ok_or_else(|| self.refused(asked, refusal))
    }

    /// A place of another tier for one that its own does not even let wait: it may be dearer, and is better than none.
    fn elsewhere(&self, asked: &mut Asked, number: u32, refusal: &Refusal) -> Option<Box<Attempt>> {
        if refusal.why == Why::Expired || asked.is_late() {
            return None;
        }
        let mut attempt = self.decide_among(asked, number, &mut Vec::new(), Among::Free).ok()?;
        self.take(asked, &mut attempt).is_none().then_some(attempt)
    }

    /// Takes the place that was chosen, if that has room; otherwise the lane in which others wait for it. A worker that is
    /// gone is found out when it is sent something.
    fn take(&self, asked: &Asked, attempt: &mut Attempt) -> Option<Arc<Lane>> {
        let prompt = (attempt.prompt.clone(), is_resumed(asked));
        match self.fleet.lease_free(&attempt.place.place, attempt.work, prompt) {
            Leased::Lease(lease) => attempt.lease = Some(*lease),
            Leased::Full(lane) => return Some(lane),
            Leased::Gone => {}
        }
        None
    }

    /// An error where no tier would let this one wait, by what little is known of it.
    pub(crate) fn welcome(&self, request: &v1::GenerateRequest, tenant: Name) -> Result<(), Error> {
        let priority = policy::wire::request::priority(request);
        let facts = Facts { tenant, priority, ..Facts::default() };
        let said = request.signals.as_ref();
        let tokens =
            said.map_or(1.0, |said| f64::from(said.prompt_tokens) + f64::from(said.output_tokens_p50));
        let asker = self.fleet.lanes().asker(&facts, tokens, None);
        let Some(refusal) = self.fleet.lanes().would_refuse(&asker) else { return Ok(()) };
        let id =
            request.request_id.bytes().fold(0_u64, |id, byte| id.wrapping_mul(31).wrapping_add(byte.into()));
        let refusal = refusal.spread(id).told(priority);
        Err(Error::Overloaded { refusal, answer_locally: is_agents(request), tiers: Vec::new() })
    }

    /// The request as it would wait, where anybody does.
    pub(super) fn waits(&self, asked: &Asked, work: &Work) -> Option<Asker> {
        self.fleet.lanes().are_busy().then(|| self.asker(asked, work))
    }

    fn asker(&self, asked: &Asked, work: &Work) -> Asker {
        let deadline = asked.deadline.map(mesh::deadline::Deadline::instant);
        self.fleet.lanes().asker(&asked.facts, work.tokens() as f64, deadline)
    }

    /// When its turn comes too late: it could not be answered in its time any more, or it has waited for twice as long as
    /// anybody should.
    fn leave_at(&self, asked: &Asked, seconds: f64) -> Instant {
        let now = Instant::now();
        let patience = Duration::from_millis(self.fleet.lanes().options().queue_ms_max) * 2;
        let left = asked.deadline.map(|deadline| {
            let answer = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
            // An estimate of the answer's time is no reason to leave before the first chance of a turn.
            deadline.remaining().saturating_sub(answer).max(deadline.remaining() / 4)
        });
        now + left.map_or(patience, |left| left.min(patience))
    }

    /// An answer that comes too late because of what waits is a matter of room: it may have it later.
    fn for_want_of_room(&self, asked: &Asked, error: Error) -> Error {
        if !error.is_for_want_of_time() {
            return error;
        }
        self.fleet.lanes().too_late().map_or(error, |refusal| self.refused(asked, refusal))
    }

    /// What the caller is told: when to come again, and what it may do instead.
    fn refused(&self, asked: &Asked, refusal: Refusal) -> Error {
        let refusal = refusal.spread(asked.seed).told(asked.facts.priority);
        Error::Overloaded {
            refusal,
            answer_locally: is_agents(&asked.request),
            tiers: self.offered(asked).into_iter().collect(),
        }
    }

    /// The tier that would answer now if the request did not name another as the only one.
    fn offered(&self, asked: &Asked) -> Option<Name> {
        asked.facts.only_place.as_ref()?;
        let rules = &asked.picked.rules;
        let facts = Facts { only_place: None, ..asked.facts.clone() };
        let prompt = self.fleet.prompt(&asked.request, &facts.tenant);
        let wanted = Wanted::of(&asked.request, None);
        let ask = Ask { rules, work: self.work(asked), prompt: &prompt, wanted, seed: asked.seed };
        let Offer { candidates, excluded, known } = self.offer(&facts, &ask, (None, Among::Free));
        let facts = Facts { excluded: [facts.excluded, excluded].concat(), places_known: known, ..facts };
        let decision = policy::decide(rules, &facts, &candidates, asked.seed);
        decision.place.map(|place| place.tier)
    }
}

/// Whether it goes on with an answer.
pub(super) fn is_resumed(asked: &Asked) -> bool {
    resumed_tokens(asked) > 0
}

/// Tokens of the answer that it goes on with; 0: it begins one.
pub(super) fn resumed_tokens(asked: &Asked) -> u32 {
    let tokens = asked.request.resume.as_ref().map_or(0, |resume| resume.token_ids.len());
    u32::try_from(tokens).unwrap_or(u32::MAX)
}

/// Whether an agent is behind it, which may answer with what it has.
fn is_agents(request: &v1::GenerateRequest) -> bool {
    request.decisions.iter().any(|decision| decision.hop != HOP)
}
