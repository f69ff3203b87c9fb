//! A place at the worker that was chosen: at once where it has room, otherwise after waiting for a turn, and then of those
//! that have room the best.

use std::sync::Arc;
use std::time::Duration;

use hop::Asked;
use policy::{Facts, Name};
use proto::v1;
use tokio::time::Instant;

use super::{Attempt, Dispatch, HOP};
use crate::error::{Error, Failure};
use crate::fleet::{Ask, Leased, Offer, Wanted};
use crate::flow::{Asker, Lane, Refusal, Why};
use crate::predict::Work;

// === impl Dispatch ===

impl Dispatch {
    /// Decides, and takes a place there. Only the first attempt waits: whoever was let in once is not kept waiting again.
    pub(super) async fn placed(
        &self,
        asked: &mut Asked,
        number: u32,
        failures: &mut Vec<Failure>,
    ) -> Result<Attempt, Error> {
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

    /// Waits for a turn, and decides again among those that have room by then.
    async fn in_turn(
        &self,
        asked: &mut Asked,
        (lane, attempt): (Arc<Lane>, Attempt),
        failures: &mut Vec<Failure>,
    ) -> Result<Attempt, Error> {
        let (asker, leave_at) = (self.asker(asked, &attempt.work), self.leave_at(asked, attempt.seconds));
        let number = attempt.number;
        // What it reserved is for others while it waits.
        drop(attempt);
        let turn = match lane.turn(asker, leave_at).await {
            Ok(turn) => turn,
            Err(refusal) => {
                let elsewhere = self.elsewhere(asked, number, &refusal);
                return elsewhere.ok_or_else(|| self.refused(asked, refusal));
            }
        };
        if asked.is_late() {
            return Err(Error::DeadlinePassed);
        }
        // If all have filled up meanwhile, it has its place all the same.
        let attempt = self.decide_among(asked, number, failures, true);
        let attempt = attempt.or_else(|_| self.decide(asked, number, failures));
        let mut attempt = attempt.map_err(|error| self.for_want_of_room(asked, error))?;
        let prompt = (attempt.prompt.clone(), is_resumed(asked));
        attempt.lease = self.fleet.lease(&attempt.place.place, attempt.work, prompt);
        drop(turn);
        Ok(attempt)
    }

    /// A place of another tier for one that its own does not even let wait: it may be dearer, and is better than none.
    fn elsewhere(&self, asked: &mut Asked, number: u32, refusal: &Refusal) -> Option<Attempt> {
        if refusal.why == Why::Expired || asked.is_late() {
            return None;
        }
        let mut attempt = self.decide_among(asked, number, &mut Vec::new(), true).ok()?;
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
        let Offer { candidates, excluded, known } = self.offer(&facts, &ask, (None, true));
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
