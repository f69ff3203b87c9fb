//! Sends a request to the place that a decision chose, and to the next best until one begins to answer.

mod below;
mod weigh;

use std::sync::Arc;

use async_stream::stream;
use futures_util::Stream;
use mesh::deadline::Deadline;
use mesh::rollout::{Picked, Trial};
use policy::{Excluded, Facts, Placement, Price, Rules};
use proto::v1;
use proto::v1::generate_event::Event;
use proto::v1::generation_client::GenerationClient;
use tokio::time::Instant;
use tonic::{Status, Streaming};
use tracing::{Instrument, Span, field};

use self::below::{broken, following, judge, merge};
use crate::budgets::{Budgets, Hold};
use crate::decisions::{Log, Pending};
use crate::error::{Error, Failure};
use crate::feedback::Answered;
use crate::fleet::{Fleet, Lease};
use crate::policies::Policies;

/// What one message of a worker's stream may hold, bytes.
const EVENT_BYTES_MAX: usize = 1 << 20;
/// What this hop is called in decisions.
pub(crate) const HOP: &str = "router";

/// Sends requests on.
#[derive(Clone, Debug)]
pub(crate) struct Dispatch {
    /// The workers.
    pub(crate) fleet: Arc<Fleet>,
    /// What is decided by.
    pub(crate) policies: Arc<Policies>,
    /// What may be spent.
    pub(crate) budgets: Arc<Budgets>,
    /// What is kept of decisions.
    pub(crate) log: Log,
    /// The answers given lately.
    pub(crate) answered: Arc<Answered>,
    /// Places that are tried before the caller is told.
    pub(crate) attempts_max: u32,
}

/// A request that is ready to be decided.
#[derive(Debug)]
pub(crate) struct Asked {
    /// As it came, with its id.
    pub(crate) request: v1::GenerateRequest,
    /// What the decision knows of it; failed places are added.
    pub(crate) facts: Facts,
    /// The policy, the same for every attempt.
    pub(crate) picked: Picked<Rules>,
    /// Breaks ties.
    pub(crate) seed: u64,
    /// When the caller gives up.
    pub(crate) deadline: Option<Deadline>,
}

/// An answer that has begun.
#[derive(Debug)]
pub(crate) struct Begun {
    started: v1::Started,
    first: Event,
    rest: Streaming<v1::GenerateEvent>,
    price: Price,
    lease: Lease,
    span: Span,
    pending: Pending,
    hold: Hold,
    trial: Option<Trial>,
    prompt_tokens: u32,
}

/// One try at one place.
struct Attempt {
    /// Counted from 1.
    number: u32,
    place: Placement,
    decision: v1::Decision,
    pending: Pending,
    hold: Hold,
}

// === impl Dispatch ===

impl Dispatch {
    /// Decides and tries until an answer begins.
    pub(crate) async fn begin(&self, mut asked: Asked) -> Result<Begun, Error> {
        let trial = asked.picked.trial.take();
        if asked.picked.instead.is_none() {
            self.budgets.sweep(&asked.picked.rules);
        }
        match self.tries(asked).await {
            Ok(begun) => Ok(Begun { trial, ..begun }),
            Err(error) => {
                if let Some(trial) = trial.filter(|_| !error.is_the_callers()) {
                    trial.failed();
                }
                Err(error)
            }
        }
    }

    /// The worker that failed is left out of the next decision.
    async fn tries(&self, mut asked: Asked) -> Result<Begun, Error> {
        let mut failures: Vec<Failure> = Vec::new();
        loop {
            asked.facts.deadline_seconds = asked.deadline.map(|deadline| deadline.remaining().as_secs_f64());
            if asked.deadline.is_some_and(Deadline::is_past) {
                return Err(Error::DeadlinePassed);
            }
            let mut attempt = self.decide(&mut asked, &mut failures)?;
            let span = attempt.span();
            let status = match self.attempt(&asked, &mut attempt).instrument(span.clone()).await {
                Ok(begun) => return Ok(begun),
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
        &self,
        begun: Begun,
    ) -> impl Stream<Item = Result<v1::GenerateEvent, Status>> + Send + 'static {
        let Begun {
            started,
            first,
            mut rest,
            price,
            mut lease,
            span,
            pending,
            mut hold,
            trial,
            prompt_tokens,
        } = begun;
        let answered = self.answered.clone();
        stream! {
            let (id, place) = (started.request_id.clone(), started.place.clone());
            yield Ok(event(Event::Started(started)));
            let mut next = first;
            let mut so_far = v1::Usage { prompt_tokens, ..v1::Usage::default() };
            loop {
                match next {
                    Event::Done(mut done) => {
                        complete(&mut done, &price, place);
                        let output_tokens = done.usage.unwrap_or_default().output_tokens;
                        lease.done(output_tokens);
                        answered.remember(&id);
                        pending.done(&id, done.price_usd, output_tokens);
                        hold.cost(done.price_usd);
                        drop(hold);
                        if let Some(trial) = trial {
                            trial.answered(done.price_usd);
                        }
                        yield Ok(event(Event::Done(done)));
                        return;
                    }
                    // An answer begins once.
                    Event::Started(_) => {}
                    shown => {
                        lease.came(tokens(&shown));
                        so_far.output_tokens = so_far.output_tokens.saturating_add(tokens(&shown));
                        hold.cost(usd(&price, &so_far));
                        let before = Instant::now();
                        yield Ok(event(shown));
                        lease.held_up(before.elapsed());
                    }
                }
                next = match following(&mut rest).await {
                    Ok(event) => event,
                    Err(status) => {
                        yield Err(broke_off(&span, trial, (broken(lease.place(), &status), status)));
                        return;
                    }
                };
            }
        }
    }

    /// One attempt, up to the first event that shows something of the answer.
    async fn attempt(&self, asked: &Asked, attempt: &mut Attempt) -> Result<Begun, Status> {
        let place = &attempt.place;
        let lease = self
            .fleet
            .lease(&place.place, asked.facts.prompt_tokens)
            .ok_or_else(|| Status::unavailable("the worker has left the fleet"))?;
        let mut request = asked.request.clone();
        request.decisions.push(attempt.decision.clone());
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
        let price = asked.picked.rules.tier(&place.tier).map(|tier| tier.price).unwrap_or_default();
        let mut pending = std::mem::take(&mut attempt.pending);
        pending.begun();
        let hold = std::mem::take(&mut attempt.hold);
        let (span, trial, prompt_tokens) = (Span::current(), None, asked.facts.prompt_tokens);
        Ok(Begun { started, first, rest, price, lease, span, pending, hold, trial, prompt_tokens })
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

/// Puts into `done` what only this hop knows.
fn complete(done: &mut v1::Done, price: &Price, place: String) {
    done.place = place;
    done.price_usd = usd(price, &done.usage.unwrap_or_default());
}

fn usd(price: &Price, usage: &v1::Usage) -> f64 {
    let cached = usage.cached_prompt_tokens.min(usage.prompt_tokens);
    let millionths = f64::from(usage.prompt_tokens - cached) * price.input_usd_per_million_tokens
        + f64::from(cached) * price.cached_input_usd_per_million_tokens
        + f64::from(usage.output_tokens) * price.output_usd_per_million_tokens;
    millionths / 1e6
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

#[cfg(test)]
mod tests;

/// Says in the attempt's span, in the log and to the canary that an answer ended early; what the caller is told of it.
fn broke_off(span: &Span, trial: Option<Trial>, (error, status): (Error, Status)) -> Status {
    if let Some(trial) = trial {
        trial.failed();
    }
    span.record("error.type", field::debug(status.code()));
    tracing::warn!(parent: span, %error, "an answer broke off");
    error.status()
}
