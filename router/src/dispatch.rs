//! Sends a request to the place that a decision chose, and to the next best until one begins to answer.

pub(crate) mod below;
mod race;
mod turn;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hop::{Asked, Desk, Stake, Weighed};
use mesh::retry::Budget;
use policy::{Candidate, Decision, Excluded, Facts, Name, Placement, Rules};
use tracing::{Span, field};

use self::below::{Rest, judge};
use self::race::{Failed, Late};
use crate::answer::Answer;
use crate::config::ResumeOptions;
use crate::error::{Error, Failure, Removed};
use crate::fleet::prefix::Prompt;
use crate::fleet::{Ask, Fleet, Inside, Lease, Offer, Wanted, seen_by};
use crate::flow::Asker;
use crate::predict::Work;
use crate::relay::{Event, Started};

/// What this hop is called in decisions.
pub(crate) const HOP: &str = "router";

/// Sends requests on.
#[derive(Clone, Debug)]
pub(crate) struct Dispatch {
    /// The workers.
    pub(crate) fleet: Arc<Fleet>,
    /// What is decided with.
    pub(crate) desk: Desk,
    /// Places that are tried before the caller is told.
    pub(crate) attempts_max: u32,
    /// What tries after the first are paid from.
    pub(crate) retries: Arc<Budget>,
    /// What second attempts beside late ones are paid from.
    pub(crate) hedges: Arc<Budget>,
    /// No first token is late sooner than this after it was expected.
    pub(crate) hedge_delay_min: Duration,
    /// What is done when a worker is lost in the midst of its answer.
    pub(crate) resume: ResumeOptions,
}

/// An answer that has begun somewhere, and the event it began with.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) started: Started,
    pub(crate) first: Event,
    pub(crate) leg: Leg,
    /// What the attempt beside it cost that it outran, US dollars.
    pub(crate) outrun_usd: f64,
}

/// What one worker has of an answer: its stream, and all that is held for it.
#[derive(Debug)]
pub(crate) struct Leg {
    pub(crate) rest: Rest,
    pub(crate) lease: Lease,
    pub(crate) stake: Stake,
    pub(crate) span: Span,
}

/// One try at one place. It is large, and passed on in a place of its own.
struct Attempt {
    /// Counted from 1.
    number: u32,
    place: Placement,
    /// As a `causeway.v1.Decision`.
    decision: Bytes,
    stake: Stake,
    work: Work,
    prompt: Prompt,
    /// What it is made beside another for.
    beside: Option<Late>,
    /// Until its last token, as expected.
    seconds: f64,
    /// For how long it is of use to wait for its place, which has no room; `None`: it has, or nothing is gained.
    hold: Option<Duration>,
    /// The place that it has; `None`: it takes one when it is sent.
    lease: Option<Lease>,
}

/// Over which workers it is decided.
#[derive(Clone, Copy, Debug)]
enum Among<'a> {
    /// All.
    All,
    /// Those that have room.
    Free,
    /// All, by one that waits.
    Inside(Inside<'a>),
}

// === impl Dispatch ===

impl Dispatch {
    /// Decides and tries until an answer begins.
    pub(crate) async fn begin(self, mut asked: Box<Asked>) -> Result<Box<Answer>, Error> {
        self.count(&asked)?;
        let trial = self.desk.try_out(&mut asked.picked);
        match self.tries(&mut asked, (0, self.attempts_max)).await {
            Ok(mut begun) => {
                begun.leg.stake = begun.leg.stake.begun(trial);
                Ok(Answer::new(self, asked, begun))
            }
            Err(error) => {
                if let Some(trial) = trial.filter(|_| !error.is_the_callers()) {
                    trial.failed();
                }
                Err(error)
            }
        }
    }

    /// A request that is made for the first time pays for retries. One that its caller makes again is itself one, so that
    /// both hops together make no more of them than one would.
    fn count(&self, asked: &Asked) -> Result<(), Error> {
        if asked.previous_attempts == 0 {
            self.retries.deposit();
            return Ok(());
        }
        self.retries.withdraw().then_some(()).ok_or(Error::RetriesSpent { failures: Vec::new() })
    }

    /// Tries after `before` earlier attempts, at most so many. A worker that failed is left out of the next decision. The
    /// first is free: its request has paid, or the caller has seen a part of the answer that it goes on with.
    pub(crate) async fn tries(
        &self,
        asked: &mut Asked,
        (before, attempts_max): (u32, u32),
    ) -> Result<Begun, Error> {
        let mut failures: Vec<Failure> = Vec::new();
        let mut number = before;
        loop {
            if asked.is_late() {
                return Err(Error::DeadlinePassed);
            }
            if !failures.is_empty() && !self.retries.withdraw() {
                return Err(Error::RetriesSpent { failures });
            }
            number = number.saturating_add(1);
            let again = !failures.is_empty();
            let attempt = self.placed(asked, number, &mut failures).await;
            let attempt = attempt.inspect_err(|_| {
                if again {
                    self.retries.refund();
                }
            })?;
            let failed = match self.race(asked, self.send(asked, attempt, number - before - 1)).await {
                Ok(begun) => return Ok(begun),
                Err(failed) => failed,
            };
            for Failed { number: failed, place, status } in failed {
                let failure = judge(&place, &status)?;
                let reason = format!("attempt {failed} failed: {}", failure.message);
                asked.facts.excluded.push(Excluded::new(place, reason));
                failures.push(failure);
                number = number.max(failed);
            }
            if number - before >= attempts_max {
                return Err(Error::NoPlace { removed: Vec::new(), failures });
            }
        }
    }

    /// What the request asks of a worker of which nothing is known.
    fn work(&self, asked: &Asked) -> Work {
        Work {
            prompt_tokens: asked.facts.prompt_tokens,
            cached_tokens: 0,
            output_tokens: policy::expected_output_tokens(&asked.picked.rules, &asked.facts),
        }
    }

    /// Weighs the fleet as it is now.
    fn decide(
        &self,
        asked: &mut Asked,
        number: u32,
        failures: &mut Vec<Failure>,
    ) -> Result<Box<Attempt>, Error> {
        self.decide_among(asked, number, failures, Among::All)
    }

    /// The same over some of it.
    fn decide_among(
        &self,
        asked: &mut Asked,
        number: u32,
        failures: &mut Vec<Failure>,
        among: Among<'_>,
    ) -> Result<Box<Attempt>, Error> {
        let rules = &asked.picked.rules;
        let work = self.work(asked);
        let prompt = self.fleet.prompt(&asked.request, &asked.facts.tenant);
        let wanted = Wanted::of(&asked.request, asked.facts.only_place.as_ref());
        let ask = Ask { rules, work, prompt: &prompt, wanted, seed: asked.seed };
        let Offer { candidates, excluded, known } =
            self.offer(&asked.facts, &ask, (self.waits(asked, &work), among));
        let named = asked.facts.excluded.len();
        asked.facts.excluded.extend(excluded);
        asked.facts.places_known = known;
        let again = |asked: &Asked, rules: &Rules| {
            policy::decide(rules, &asked.facts, &seen_by(rules, &candidates), asked.seed)
        };
        let Weighed { decision, decide_us, stake } = self.desk.weigh(asked, &candidates, number == 1, again);
        asked.facts.excluded.truncate(named);
        let Some((place, mut work, seconds)) = chosen(&decision) else {
            return Err(Error::NoPlace { removed: removed(&decision), failures: std::mem::take(failures) });
        };
        work.prompt_tokens = work.prompt_tokens.saturating_add(turn::resumed_tokens(asked));
        let hold = self.hold(&decision);
        let decision = Bytes::from(decision.encode(HOP, decide_us));
        let (beside, lease) = (None, None);
        let attempt = Attempt { number, place, decision, stake, work, prompt, beside, seconds, hold, lease };
        Ok(Box::new(attempt))
    }

    /// Workers to decide over, with what answers taught of them. Where none of those that were drawn may answer, all are.
    /// `asker`: whoever waits if others do.
    fn offer(&self, facts: &Facts, ask: &Ask<'_>, (asker, among): (Option<Asker>, Among<'_>)) -> Offer {
        let informed = |offer: Offer| {
            let mut candidates = self.desk.informed(offer.candidates, ask.rules);
            if let Some(asker) = &asker {
                self.fleet.inform(&mut candidates, asker, among.inside());
            }
            let mut excluded = offer.excluded;
            if matches!(among, Among::Free) {
                excluded.extend(self.fleet.full(&candidates));
            }
            Offer { candidates, excluded, ..offer }
        };
        let offer = informed(self.fleet.offer(ask));
        let possible = || {
            let barred = |one: &&Candidate| !offer.excluded.iter().any(|other| other.place == one.place);
            policy::possible(ask.rules, facts, offer.candidates.iter().filter(barred))
        };
        if offer.known.is_none() || possible() { offer } else { informed(self.fleet.offer_all(ask)) }
    }
}

// === impl Among ===

impl<'a> Among<'a> {
    fn inside(self) -> Option<Inside<'a>> {
        match self {
            Self::Inside(inside) => Some(inside),
            Self::All | Self::Free => None,
        }
    }
}

// === impl Attempt ===

impl Attempt {
    /// What it comes to, for its trace: where that is not recorded, lines name the place themselves.
    fn span(&self) -> Span {
        if !mesh::telemetry::is_recorded() {
            return Span::none();
        }
        tracing::info_span!(
            "attempt",
            otel.kind = "client",
            causeway.place = self.place.place.as_str(),
            causeway.attempt = self.number,
            causeway.beside = self.beside.map(Late::name),
            error.type = field::Empty,
        )
    }
}

/// The place that was chosen, the work as it counts it, and the seconds that it is expected to take.
fn chosen(decision: &Decision) -> Option<(Placement, Work, f64)> {
    let inputs = decision.winner()?.inputs;
    let work = Work {
        prompt_tokens: inputs.prompt_tokens,
        cached_tokens: inputs.cached_tokens,
        output_tokens: inputs.output_tokens,
    };
    Some((decision.place.clone()?, work, inputs.expected_seconds))
}

fn removed(decision: &Decision) -> Vec<Removed> {
    let removed = |(place, reason): (&Name, &policy::Reason)| Removed {
        place: place.clone(),
        code: reason.code(),
        text: reason.to_string(),
    };
    decision.removals().map(removed).collect()
}

#[cfg(test)]
mod tests;
