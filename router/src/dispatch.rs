//! Sends a request to the place that a decision chose, and to the next best until one begins to answer.

mod below;

use std::sync::Arc;

use async_stream::stream;
use futures_util::Stream;
use hop::{Asked, Desk, Stake, Weighed};
use policy::{Decision, Excluded, Name, Placement, Rules};
use proto::v1;
use proto::v1::generate_event::Event;
use proto::v1::generation_client::GenerationClient;
use tokio::time::Instant;
use tonic::{Status, Streaming};
use tracing::{Instrument, Span, field};

use self::below::{broken, following, judge, merge};
use crate::error::{Error, Failure, Removed};
use crate::fleet::{Fleet, Lease, seen_by};

/// What one message of a worker's stream may hold, bytes.
const EVENT_BYTES_MAX: usize = 1 << 20;
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
}

/// An answer that has begun.
#[derive(Debug)]
pub(crate) struct Begun {
    started: v1::Started,
    first: Event,
    rest: Streaming<v1::GenerateEvent>,
    lease: Lease,
    span: Span,
}

/// One try at one place.
struct Attempt {
    /// Counted from 1.
    number: u32,
    place: Placement,
    decision: v1::Decision,
    stake: Stake,
}

// === impl Dispatch ===

impl Dispatch {
    /// Decides and tries until an answer begins.
    pub(crate) async fn begin(&self, mut asked: Asked) -> Result<(Begun, Stake), Error> {
        let trial = self.desk.try_out(&mut asked.picked);
        match self.tries(asked).await {
            Ok((begun, stake)) => Ok((begun, stake.begun(trial))),
            Err(error) => {
                if let Some(trial) = trial.filter(|_| !error.is_the_callers()) {
                    trial.failed();
                }
                Err(error)
            }
        }
    }

    /// The worker that failed is left out of the next decision.
    async fn tries(&self, mut asked: Asked) -> Result<(Begun, Stake), Error> {
        let mut failures: Vec<Failure> = Vec::new();
        loop {
            if asked.is_late() {
                return Err(Error::DeadlinePassed);
            }
            let attempt = self.decide(&mut asked, &mut failures)?;
            let span = attempt.span();
            let status = match self.attempt(&asked, &attempt).instrument(span.clone()).await {
                Ok(begun) => return Ok((begun, attempt.stake)),
                Err(status) => status,
            };
            span.record("error.type", field::debug(status.code()));
            tracing::info!(parent: &span, reason = status.message(), "an attempt failed");
            let failure = judge(&attempt.place.place, &status)?;
            let reason = format!("attempt {} failed: {}", attempt.number, failure.message);
            asked.facts.excluded.push(Excluded::new(attempt.place.place, reason));
            failures.push(failure);
            if attempt.number >= self.attempts_max {
                return Err(Error::NoPlace { removed: Vec::new(), failures });
            }
        }
    }

    /// Everything that the caller is sent, from `started` to `done`.
    pub(crate) fn stream(
        (begun, mut stake): (Begun, Stake),
    ) -> impl Stream<Item = Result<v1::GenerateEvent, Status>> + Send + 'static {
        let Begun { started, first, mut rest, mut lease, span } = begun;
        stream! {
            yield Ok(event(Event::Started(started.clone())));
            let mut next = first;
            loop {
                match next {
                    Event::Done(mut done) => {
                        // What only this hop knows.
                        let usage = done.usage.unwrap_or_default();
                        (done.place, done.price_usd) = (started.place, hop::usd(stake.price(), &usage));
                        if done.finish_reason() != v1::FinishReason::Interrupted {
                            lease.done(usage.output_tokens);
                        }
                        stake.done(&started.request_id, &done);
                        yield Ok(event(Event::Done(done)));
                        return;
                    }
                    // An answer begins once.
                    Event::Started(_) => {}
                    shown => {
                        lease.came(tokens(&shown));
                        stake.shows(tokens(&shown));
                        let before = Instant::now();
                        yield Ok(event(shown));
                        lease.held_up(before.elapsed());
                    }
                }
                next = match following(&mut rest).await {
                    Ok(event) => event,
                    Err(status) => {
                        let error = broken(lease.place(), &status);
                        let lost = error.is_retryable();
                        let status = broke_off(&span, (error, status));
                        if lost {
                            // What came until then stands, and its caller is told that it is not all.
                            yield Ok(event(Event::Done(stake.interrupted(&started))));
                        } else {
                            stake.failed();
                            yield Err(status);
                        }
                        return;
                    }
                };
            }
        }
    }

    /// One attempt, up to the first event that shows something of the answer.
    async fn attempt(&self, asked: &Asked, attempt: &Attempt) -> Result<Begun, Status> {
        let place = &attempt.place;
        let lease = self
            .fleet
            .lease(&place.place, attempt.stake.prompt_tokens())
            .ok_or_else(|| Status::unavailable("the worker has left the fleet"))?;
        let mut request = asked.request.clone();
        request.decisions.push(attempt.decision.clone());
        attempt.stake.bind(&mut request);
        let mut started = v1::Started {
            request_id: request.request_id.clone(),
            decisions: request.decisions.clone(),
            place: place.place.to_string(),
            attempt: attempt.number,
            model_hash: String::new(),
        };
        let mut call = tonic::Request::new(request);
        if let Some(deadline) = asked.deadline {
            mesh::deadline::propagate(&mut call, deadline);
        }
        mesh::telemetry::inject(&mut call);
        let mut client = GenerationClient::new(lease.channel()).max_decoding_message_size(EVENT_BYTES_MAX);
        let mut rest = client.generate(call).await?.into_inner();
        let first = loop {
            match following(&mut rest).await? {
                Event::Started(downstream) => merge(&mut started, downstream),
                shown => break shown,
            }
        };
        Ok(Begun { started, first, rest, lease, span: Span::current() })
    }

    /// Weighs the fleet as it is now.
    fn decide(&self, asked: &mut Asked, failures: &mut Vec<Failure>) -> Result<Attempt, Error> {
        let rules = &asked.picked.rules;
        let candidates = self.desk.informed(self.fleet.candidates(rules), rules);
        let again = |asked: &Asked, rules: &Rules| {
            policy::decide(rules, &asked.facts, &seen_by(rules, &candidates), asked.seed)
        };
        let weighed = self.desk.weigh(asked, &candidates, failures.is_empty(), again);
        let Weighed { decision, wire, stake } = weighed;
        let number = u32::try_from(failures.len()).unwrap_or(u32::MAX).saturating_add(1);
        match decision.place {
            Some(place) => Ok(Attempt { number, place, decision: wire, stake }),
            None => Err(Error::NoPlace { removed: removed(&decision), failures: std::mem::take(failures) }),
        }
    }
}

// === impl Attempt ===

impl Attempt {
    fn span(&self) -> Span {
        tracing::info_span!(
            "attempt",
            otel.kind = "client",
            causeway.place = self.place.place.as_str(),
            causeway.attempt = self.number,
            error.type = field::Empty,
        )
    }
}

fn removed(decision: &Decision) -> Vec<Removed> {
    let removed = |(place, reason): (&Name, &policy::Reason)| Removed {
        place: place.clone(),
        code: reason.code(),
        text: reason.to_string(),
    };
    decision.removals().map(removed).collect()
}

/// Tokens that an event shows; an action is the work of at least one.
fn tokens(event: &Event) -> u32 {
    match event {
        Event::Delta(delta) => u32::try_from(delta.token_ids.len()).unwrap_or(u32::MAX).max(1),
        _ => 1,
    }
}

fn event(event: Event) -> v1::GenerateEvent {
    v1::GenerateEvent { event: Some(event) }
}

/// Says in the attempt's span and in the log that an answer ended early; what the caller is told of it.
fn broke_off(span: &Span, (error, status): (Error, Status)) -> Status {
    span.record("error.type", field::debug(status.code()));
    tracing::warn!(parent: span, %error, "an answer broke off");
    error.status()
}

#[cfg(test)]
mod tests;
