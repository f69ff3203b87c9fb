//! Sends a request to the place that a decision chose, and to the next best until one begins to answer.

use std::sync::Arc;
use std::time::Duration;

use async_stream::stream;
use futures_util::Stream;
use mesh::admit::RETRY_PUSHBACK;
use mesh::deadline::Deadline;
use policy::{Decision, Excluded, Facts, Name, Placement, Price, Rules};
use proto::v1;
use proto::v1::generate_event::Event;
use proto::v1::generation_client::GenerationClient;
use tokio::time::Instant;
use tonic::{Code, Status, Streaming};
use tracing::{Instrument, Span, field};

use crate::error::{Error, Failure, Removed};
use crate::feedback::Answered;
use crate::fleet::{Fleet, Lease};

/// What one message of a worker's stream may hold, bytes.
const EVENT_BYTES_MAX: usize = 1 << 20;
/// A worker's words in a message to the caller, characters.
const MESSAGE_CHARS_MAX: usize = 512;
/// What this hop is called in decisions.
pub(crate) const HOP: &str = "router";
/// The longest pushback that is believed.
const PUSHBACK_MAX: Duration = Duration::from_secs(60);

/// Sends requests on.
#[derive(Clone, Debug)]
pub(crate) struct Dispatch {
    /// The workers.
    pub(crate) fleet: Arc<Fleet>,
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
    pub(crate) rules: Arc<Rules>,
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
}

/// One try at one place.
struct Attempt {
    /// Counted from 1.
    number: u32,
    place: Placement,
    decision: v1::Decision,
}

// === impl Dispatch ===

impl Dispatch {
    /// Decides and tries until an answer begins. The worker that failed is left out of the next decision.
    pub(crate) async fn begin(&self, mut asked: Asked) -> Result<Begun, Error> {
        let mut failures: Vec<Failure> = Vec::new();
        loop {
            asked.facts.deadline_seconds = asked.deadline.map(|deadline| deadline.remaining().as_secs_f64());
            if asked.deadline.is_some_and(Deadline::is_past) {
                return Err(Error::DeadlinePassed);
            }
            let attempt = self.decide(&asked, &mut failures)?;
            let span = attempt.span();
            let status = match self.attempt(&asked, &attempt).instrument(span.clone()).await {
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
        let Begun { started, first, mut rest, price, mut lease, span } = begun;
        let answered = self.answered.clone();
        stream! {
            let (id, place) = (started.request_id.clone(), started.place.clone());
            yield Ok(event(Event::Started(started)));
            let mut next = first;
            loop {
                match next {
                    Event::Done(mut done) => {
                        complete(&mut done, &price, place);
                        lease.done(done.usage.unwrap_or_default().output_tokens);
                        answered.remember(&id);
                        yield Ok(event(Event::Done(done)));
                        return;
                    }
                    // An answer begins once.
                    Event::Started(_) => {}
                    shown => {
                        lease.came(tokens(&shown));
                        let before = Instant::now();
                        yield Ok(event(shown));
                        lease.held_up(before.elapsed());
                    }
                }
                next = match following(&mut rest).await {
                    Ok(event) => event,
                    Err(status) => {
                        span.record("error.type", field::debug(status.code()));
                        let error = broken(lease.place(), &status);
                        tracing::warn!(parent: &span, %error, "an answer broke off");
                        yield Err(error.status());
                        return;
                    }
                };
            }
        }
    }

    /// Weighs the fleet as it is now.
    fn decide(&self, asked: &Asked, failures: &mut Vec<Failure>) -> Result<Attempt, Error> {
        let span = decide_span();
        let _entered = span.enter();
        let before = Instant::now();
        let candidates = self.fleet.candidates(&asked.rules);
        let decision = policy::decide(&asked.rules, &asked.facts, &candidates, asked.seed);
        let decide_us = u32::try_from(before.elapsed().as_micros()).unwrap_or(u32::MAX);
        record(&span, &decision);
        let number = u32::try_from(failures.len()).unwrap_or(u32::MAX).saturating_add(1);
        match &decision.place {
            Some(place) => {
                Ok(Attempt { number, place: place.clone(), decision: decision.to_wire(HOP, decide_us) })
            }
            None => Err(Error::NoPlace { removed: removed(&decision), failures: std::mem::take(failures) }),
        }
    }

    /// One attempt, up to the first event that shows something of the answer.
    async fn attempt(&self, asked: &Asked, attempt: &Attempt) -> Result<Begun, Status> {
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
        let price = asked.rules.tier(&place.tier).map(|tier| tier.price).unwrap_or_default();
        Ok(Begun { started, first, rest, price, lease, span: Span::current() })
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

/// What the place below says of its own start. A router below has decided too, and its choice of place is the one
/// that counts; a worker below does not know what it is called here.
fn merge(started: &mut v1::Started, downstream: v1::Started) {
    if downstream.decisions.len() > started.decisions.len() {
        started.decisions = downstream.decisions;
        if !downstream.place.is_empty() {
            started.place = downstream.place;
        }
    }
    started.attempt = started.attempt.saturating_add(downstream.attempt.saturating_sub(1));
    started.model_hash = downstream.model_hash;
}

/// The next event, or why there is none; an answer that ends without `done` is not complete.
async fn following(rest: &mut Streaming<v1::GenerateEvent>) -> Result<Event, Status> {
    while let Some(message) = rest.message().await? {
        // Events that this version does not know are left out.
        if let Some(event) = message.event {
            return Ok(event);
        }
    }
    Err(Status::unavailable("the stream ended before the answer was complete"))
}

/// Whether another place may do better: if so the failure, otherwise the error that ends the call.
fn judge(place: &Name, status: &Status) -> Result<Failure, Error> {
    let (code, message) = (status.code(), clipped(status.message()));
    match code {
        // Before its first token an answer has no effect, so that a reset is as safe to repeat as a refusal.
        Code::Unavailable | Code::ResourceExhausted | Code::Cancelled => {
            Ok(Failure { place: place.clone(), code, message, pushback: pushback(status) })
        }
        _ => Err(Error::Refused { place: place.clone(), code, message }),
    }
}

fn broken(place: &Name, status: &Status) -> Error {
    let code = match status.code() {
        // The caller did not cancel: the stream was reset below.
        Code::Cancelled | Code::Unknown | Code::Ok => Code::Unavailable,
        code => code,
    };
    Error::Broken { place: place.clone(), code, message: clipped(status.message()) }
}

fn pushback(status: &Status) -> Option<Duration> {
    let ms = status.metadata().get(RETRY_PUSHBACK)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_millis(ms).min(PUSHBACK_MAX))
}

fn removed(decision: &Decision) -> Vec<Removed> {
    let removed = |(place, reason): (&Name, &policy::Reason)| Removed {
        place: place.clone(),
        code: reason.code(),
        text: reason.to_string(),
    };
    decision.removals().map(removed).collect()
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

fn clipped(text: &str) -> String {
    text.chars().take(MESSAGE_CHARS_MAX).collect()
}

fn decide_span() -> Span {
    tracing::info_span!(
        "decide",
        causeway.decision.place = field::Empty,
        causeway.decision.class = field::Empty,
        causeway.decision.policy_hash = field::Empty,
        causeway.decision.margin_usd = field::Empty,
        causeway.decision.price_usd = field::Empty,
        causeway.decision.waiting_usd = field::Empty,
        causeway.decision.wrong_usd = field::Empty,
        causeway.decision.candidates = field::Empty,
    )
}

fn record(span: &Span, decision: &Decision) {
    span.record("causeway.decision.class", decision.class.as_str());
    span.record("causeway.decision.policy_hash", decision.trail.policy_hash.as_str());
    span.record("causeway.decision.candidates", decision.trail.candidates.len());
    if let Some(margin_usd) = decision.trail.margin_usd {
        span.record("causeway.decision.margin_usd", margin_usd);
    }
    if let Some(winner) = decision.winner() {
        span.record("causeway.decision.place", winner.candidate.place.as_str());
        span.record("causeway.decision.price_usd", winner.columns.price_usd);
        span.record("causeway.decision.waiting_usd", winner.columns.waiting_usd);
        span.record("causeway.decision.wrong_usd", winner.columns.wrong_usd);
    }
}

#[cfg(test)]
mod tests;
