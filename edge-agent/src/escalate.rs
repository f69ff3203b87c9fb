//! Asks the upstream: what it may be expected to do, and then to do it.

mod outlook;
mod routers;
mod throttle;

use std::sync::Arc;
use std::time::Duration;

use async_stream::stream;
use futures_util::StreamExt as _;
use mesh::admit::RETRY_PUSHBACK;
use mesh::connect::{Channel, ConnectionState, Intake};
use mesh::deadline::Deadline;
use mesh::process::Rim;
use mesh::token::Bearer;
use mesh::transport::Address;
use policy::{Candidate, Kind, Name, Rules};
use proto::v1;
use proto::v1::generate_event::Event;
use proto::v1::generation_client::GenerationClient;
use tonic::{Code, Status, Streaming};
use tracing::Span;

use self::outlook::Outlook;
pub(crate) use self::routers::{Ask, Upstreams};
use crate::answer::{Begun, Setback, clipped};
use crate::config::Options;
use crate::error::{Error, Failure};

/// What one message of the upstream may hold, bytes.
const EVENT_BYTES_MAX: usize = 1 << 20;
/// The longest pushback that is believed.
const PUSHBACK_MAX: Duration = Duration::from_secs(60);

/// An answer of the upstream, taken in as it comes: a caller that does not read holds up no other's.
type Steps = Intake<v1::GenerateEvent, Streaming<v1::GenerateEvent>>;

/// One router above, or whatever stands in its place, and what it lately said of itself.
#[derive(Clone, Debug)]
struct Upstream {
    channel: Channel,
    outlook: Arc<Outlook>,
}

// === impl Upstream ===

impl Upstream {
    /// The one at this address, not called yet.
    fn new(address: Address, options: &Options, rim: &Rim, bearer: Option<Bearer>) -> Self {
        let mut connect = options.connect.clone().expecting(&options.upstream.server_name);
        connect.jitter_seed.get_or_insert(rim.seed);
        let channel = Channel::new(address, rim.transport.clone(), rim.identity.clone(), connect);
        let channel = channel.bearing(bearer);
        Self { channel, outlook: Arc::new(Outlook::new(&options.upstream, &options.connect)) }
    }

    /// Keeps the outlook, for as long as it is polled, telling `quiet` for how long nothing is to be asked.
    async fn watch(self, quiet: impl Fn(Duration)) -> std::convert::Infallible {
        self.outlook.watch(self.channel, quiet).await
    }

    /// The upstream's tiers as they are weighed: the policy says which there are, the outlook how they do.
    fn candidates(&self, rules: &Rules, residency: Option<&Name>) -> Vec<Candidate> {
        let reachable = !matches!(self.channel.state(), ConnectionState::Failed { .. });
        tiers(rules)
            .map(|candidate| {
                let mut candidate = self.outlook.inform(candidate, residency);
                candidate.healthy &= reachable;
                candidate
            })
            .collect()
    }

    /// What keeps it from being called now, for people.
    fn problem(&self) -> Option<String> {
        match self.channel.state() {
            ConnectionState::Failed { error, .. } => {
                Some(clipped(&format!("{} cannot be reached: {error}", self.channel.address())))
            }
            _ => None,
        }
    }

    /// Whether it has a connection, so that what failed was its own saying.
    fn is_connected(&self) -> bool {
        self.channel.state() == ConnectionState::Ready
    }

    /// Begins an answer after `previous` other attempts, up to the first event that shows something of it.
    async fn begin(
        &self,
        request: v1::GenerateRequest,
        (deadline, previous): (Option<Deadline>, u32),
        mut started: v1::Started,
    ) -> Result<Begun, Setback> {
        let place: Name = started.place.as_str().into();
        let mut call = tonic::Request::new(request);
        if let Some(deadline) = deadline {
            mesh::deadline::propagate(&mut call, deadline);
        }
        mesh::retry::follow(&mut call, previous);
        mesh::telemetry::inject(&mut call);
        let mut client =
            GenerationClient::new(self.channel.clone()).max_decoding_message_size(EVENT_BYTES_MAX);
        let judged = |status: Status| judge(&place, &status);
        let steps = client.generate(call).await.map_err(judged)?.into_inner();
        let mut steps = self.channel.take_in(steps, hop::EVENTS);
        let first = loop {
            match following(&mut steps).await.map_err(judged)? {
                Event::Started(upstream) => merge(&mut started, upstream),
                shown => break shown,
            }
        };
        let span = Span::current();
        let mut complete = matches!(first, Event::Done(_));
        let rest = stream! {
            while !complete {
                let step = following(&mut steps).await;
                complete = matches!(step, Ok(Event::Done(_)) | Err(_));
                match step {
                    // An answer begins once.
                    Ok(Event::Started(_)) => {}
                    Ok(event) => yield Ok(event),
                    Err(status) => {
                        span.record("error.type", tracing::field::debug(status.code()));
                        yield Err(broken(&place, &status));
                    }
                }
            }
        };
        Ok(Begun { started, first, rest: rest.boxed() })
    }
}

/// The tiers that stand upstream, of which nothing more is known.
pub(crate) fn tiers(rules: &Rules) -> impl Iterator<Item = Candidate> + '_ {
    let upstream = |kind: Kind| matches!(kind, Kind::Home | Kind::Cloud);
    let tiers = rules.tiers().iter().filter(move |tier| upstream(tier.kind));
    tiers.map(|tier| Candidate::new(tier.name.clone(), tier.name.clone(), tier.kind))
}

/// What the upstream says of the answer's start. If it decided too, its choice of place is the one that counts; a
/// worker does not know what it is called here.
fn merge(started: &mut v1::Started, upstream: v1::Started) {
    if upstream.decisions.len() > started.decisions.len() {
        started.decisions = upstream.decisions;
        if !upstream.place.is_empty() {
            started.place = upstream.place;
        }
    }
    started.attempt = started.attempt.saturating_add(upstream.attempt.saturating_sub(1));
    started.model_hash = upstream.model_hash;
}

/// The next event, or why there is none; an answer that ends without `done` is not complete.
async fn following(steps: &mut Steps) -> Result<Event, Status> {
    while let Some(message) = steps.message().await? {
        // Events that this version does not know are left out.
        if let Some(event) = message.event {
            return Ok(event);
        }
    }
    Err(Status::unavailable("the stream ended before the answer was complete"))
}

/// Whether another place may do better than the upstream that said this.
fn judge(place: &Name, status: &Status) -> Setback {
    let (place, code, message) = (place.clone(), status.code(), clipped(status.message()));
    match code {
        // The request itself is wrong, or unwelcome: this agent passed on what it was given.
        Code::InvalidArgument | Code::NotFound | Code::OutOfRange => {
            Setback::Final(Error::Refused { place, code, message })
        }
        _ if mesh::retry::is_forbidden(status) => {
            Setback::Spent(Failure { place, code, message, pushback: None })
        }
        // An upstream that cannot, may not or will not answer, or not in time, is no reason for the device not to.
        _ => Setback::Elsewhere(Failure { place, code, message, pushback: pushback(status) }),
    }
}

fn broken(place: &Name, status: &Status) -> Error {
    let code = match status.code() {
        Code::DeadlineExceeded => return Error::DeadlinePassed,
        // The caller did not cancel: the stream was reset upstream.
        Code::Cancelled | Code::Unknown | Code::Ok => Code::Unavailable,
        code => code,
    };
    Error::Broken { place: place.clone(), code, message: clipped(status.message()) }
}

fn pushback(status: &Status) -> Option<Duration> {
    let ms = status.metadata().get(RETRY_PUSHBACK)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_millis(ms).min(PUSHBACK_MAX))
}

#[cfg(test)]
mod tests;
