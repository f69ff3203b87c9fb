//! One attempt and, where its first token is late, another beside it: whichever begins first has the answer.

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hop::{Asked, Stake};
use mesh::connect::Channel;
use policy::{Excluded, Name};
use prost::Message as _;
use proto::v1;
use tokio::time::sleep;
use tonic::Status;
use tracing::{Span, field};

use super::below::{Rest, following, merge, outcome};
use super::turn::is_resumed;
use super::{Attempt, Begun, Dispatch, Leg};
use crate::fleet::{Lease, prefix};
use crate::relay::{EVENTS, Event, Outgoing, Started, ask};

/// Why nothing could be sent.
const GONE: &str = "the worker has left the fleet";

/// An attempt that is under way.
pub(super) struct Sent {
    number: u32,
    place: Name,
    stake: Stake,
    /// `None`: the worker was gone before anything was sent.
    lease: Option<Lease>,
    span: Span,
    /// How long its first token was expected to take.
    predicted: Option<Duration>,
    /// Attempts before it that count as its own.
    earlier: u32,
    reply: BoxFuture<'static, Result<Reply, Status>>,
}

/// What a worker began with.
struct Reply {
    started: Started,
    first: Event,
    rest: Rest,
}

/// An attempt that failed.
pub(super) struct Failed {
    pub(super) number: u32,
    pub(super) place: Name,
    pub(super) status: Status,
}

/// Why another is asked beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Late {
    /// Its first token is later than all but one in twenty.
    Hedge,
    /// Nothing at all is heard of its worker.
    Silence,
}

// === impl Dispatch ===

impl Dispatch {
    /// Sends an attempt, after `earlier` others. The reply is there with the first event that shows something of the
    /// answer; until then the caller is sent nothing, not even headers.
    pub(super) fn send(&self, asked: &Asked, attempt: Box<Attempt>, earlier: u32) -> Box<Sent> {
        let span = attempt.span();
        let Attempt { number, place, decision, stake, work, prompt, lease, .. } = *attempt;
        let place = place.place;
        let now = || self.fleet.lease(&place, work, (prompt, is_resumed(asked)));
        let Some(lease) = lease.or_else(now) else {
            let gone = std::future::ready(Err(Status::unavailable(GONE)));
            let reply = gone.boxed();
            let sent = Sent { number, place, stake, lease: None, span, predicted: None, earlier, reply };
            return Box::new(sent);
        };
        let request = &asked.request;
        let salt = request.cache.as_ref().map_or("", |cache| &cache.salt);
        let salt = prefix::salt(&asked.facts.tenant, salt);
        let cache = Some(v1::CacheUse { salt, blocks_wanted: true });
        let mut added = v1::GenerateRequest { cache, ..v1::GenerateRequest::default() };
        stake.bind(&mut added);
        let before = request.decisions.iter().map(|before| before.encode_to_vec().into());
        let started = Started {
            request_id: request.request_id.clone(),
            decisions: before.chain([decision.clone()]).collect(),
            place: place.to_string(),
            attempt: number,
            model_hash: String::new(),
        };
        let mut call = tonic::Request::new(Outgoing::new(request, &added, &decision));
        if let Some(deadline) = asked.deadline {
            mesh::deadline::propagate(&mut call, deadline);
        }
        mesh::retry::follow(&mut call, asked.previous_attempts.saturating_add(earlier));
        mesh::telemetry::inject_from(&mut call, &span);
        let predicted = lease.first_token();
        // Outside of its span, for nothing on the way there tells of it: what becomes of it is told here.
        let reply = reply(lease.channel(), call, started).boxed();
        Box::new(Sent { number, place, stake, lease: Some(lease), span, predicted, earlier, reply })
    }

    /// Waits for an attempt, and sends another where it is late; those that failed, if none began.
    pub(super) async fn race(&self, asked: &mut Asked, mut first: Box<Sent>) -> Result<Begun, Vec<Failed>> {
        let Sent { place, predicted, earlier, reply, .. } = &mut *first;
        let late = tokio::select! {
            biased;
            reply = reply => Err(reply),
            late = self.late(asked, place, predicted.filter(|_| *earlier == 0)) => Ok(late),
        };
        match late {
            Ok(late) => Box::pin(self.both(asked, first, late)).await,
            Err(reply) => first.ended(reply).map_err(|failed| vec![failed]),
        }
    }

    /// Sends another attempt beside one that is late, if there is a place for it; whichever begins first has the answer.
    async fn both(&self, asked: &mut Asked, mut first: Box<Sent>, late: Late) -> Result<Begun, Vec<Failed>> {
        let Some(mut second) = self.beside(asked, &first, late) else {
            let reply = (&mut first.reply).await;
            return first.ended(reply).map_err(|failed| vec![failed]);
        };
        let (ended, reply, mut other) = tokio::select! {
            biased;
            reply = &mut first.reply => (first, reply, second),
            reply = &mut second.reply => (second, reply, first),
        };
        match ended.ended(reply) {
            Ok(begun) => Ok(Begun { outrun_usd: self.outrun(other), ..begun }),
            Err(failed) => {
                let reply = (&mut other.reply).await;
                other.ended(reply).map_err(|last| vec![failed, last])
            }
        }
    }

    /// Ends when the attempt at this place is late, and its caller's class or its worker's silence allow another.
    /// `predicted`: its first token is expected after so long; `None`: nobody knows, or it is itself not the first.
    async fn late(&self, asked: &Asked, place: &Name, predicted: Option<Duration>) -> Late {
        let class = asked.picked.rules.class_of(&asked.facts);
        // After the first token, be it shown by whoever asks, an answer is gone on with and not begun twice.
        let Some(predicted) = predicted.filter(|_| class.hedge && asked.request.resume.is_none()) else {
            return self.silence(place).await;
        };
        self.hedges.deposit();
        // Where all come alike, whoever is late by next to nothing is no reason to pay twice.
        let delay = self.fleet.late_after(predicted).max(predicted + self.hedge_delay_min);
        tokio::select! {
            late = self.silence(place) => late,
            () = sleep(delay) => match self.hedges.withdraw() {
                true => Late::Hedge,
                false => self.silence(place).await,
            }
        }
    }

    /// Ends when nothing is heard of the worker any more.
    async fn silence(&self, place: &Name) -> Late {
        let step = Duration::from_millis(self.resume.stall_min_ms);
        // Nothing announces that nothing is heard, so this is a wait for time.
        loop {
            sleep(step).await;
            if self.fleet.is_unheard(place) && self.retries.withdraw() {
                return Late::Silence;
            }
        }
    }

    /// Another attempt beside a late one, if there is a place for it.
    fn beside(&self, asked: &mut Asked, first: &Sent, late: Late) -> Option<Box<Sent>> {
        let reason = match late {
            Late::Hedge => format!("the first token of attempt {} is late", first.number),
            Late::Silence => format!("nothing is heard of attempt {}", first.number),
        };
        let excluded = asked.facts.excluded.len();
        asked.facts.excluded.push(Excluded::new(first.place.clone(), reason));
        let decided =
            (!asked.is_late()).then(|| self.decide(asked, first.number.saturating_add(1), &mut Vec::new()));
        asked.facts.excluded.truncate(excluded);
        let Some(Ok(attempt)) = decided else {
            match late {
                Late::Hedge => self.hedges.refund(),
                Late::Silence => self.retries.refund(),
            }
            return None;
        };
        let attempt = Box::new(Attempt { beside: Some(late), ..*attempt });
        let place = &first.place;
        let told = || tracing::info!(%place, reason = late.name(), "another worker is asked as well");
        first.span.in_scope(told);
        Some(self.send(asked, attempt, first.earlier.saturating_add(1)))
    }

    /// The slower of two attempts ends; what it cost. Whoever is not heard is not taken to have done anything.
    fn outrun(&self, slower: Box<Sent>) -> f64 {
        let Sent { place, stake, mut lease, span, .. } = *slower;
        span.record("error.type", "outrun");
        if self.fleet.is_unheard(&place) {
            self.fleet.doubt(&place);
            return 0.0;
        }
        if let Some(lease) = &mut lease {
            lease.outrun();
        }
        stake.outrun()
    }
}

// === impl Sent ===

impl Sent {
    /// What became of it.
    fn ended(self, reply: Result<Reply, Status>) -> Result<Begun, Failed> {
        let Self { number, place, stake, lease, span, .. } = self;
        let status = match (reply, lease) {
            (Ok(Reply { started, first, rest }), Some(lease)) => {
                let leg = Leg { rest, lease, stake, span };
                return Ok(Begun { started, first, leg, outrun_usd: 0.0 });
            }
            (Err(status), Some(mut lease)) => {
                lease.ended(outcome(&status));
                status
            }
            (reply, None) => reply.err().unwrap_or_else(|| Status::unavailable(GONE)),
        };
        span.record("error.type", field::debug(status.code()));
        span.in_scope(|| tracing::info!(%place, reason = status.message(), "an attempt failed"));
        Err(Failed { number, place, status })
    }
}

// === impl Late ===

impl Late {
    /// What spans call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Hedge => "hedge",
            Self::Silence => "silence",
        }
    }
}

/// Calls a worker, up to the first event that shows something of the answer.
async fn reply(
    channel: Channel,
    call: tonic::Request<Outgoing>,
    mut started: Started,
) -> Result<Reply, Status> {
    let mut rest = channel.take_in(ask(channel.clone(), call).await?, EVENTS);
    loop {
        match following(&mut rest).await? {
            Event::Started(downstream) => merge(&mut started, *downstream)?,
            first => return Ok(Reply { started, first, rest }),
        }
    }
}
