//! One answer on its way to the caller. When its worker is lost or stalls, another of the same model goes on after the
//! last token that was shown: the caller sees one answer, no token twice and none left out.

use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use async_stream::stream;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, Stream};
use hop::{Asked, Shown};
use policy::Excluded;
use proto::v1;
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::Status;
use tracing::{Instrument as _, Span, field};

use crate::config::ResumeOptions;
use crate::dispatch::below::{broken, following, outcome};
use crate::dispatch::{Begun, Dispatch, Leg};
use crate::error::Error;
use crate::fleet::{Lease, Outcome, Trailing};
use crate::relay::{Event, Started};

/// Longer than anybody is waited for.
const PATIENCE_MAX: Duration = Duration::from_secs(365 * 24 * 3_600);

/// An answer that has begun.
#[derive(Debug)]
pub(crate) struct Answer {
    dispatch: Dispatch,
    asked: Box<Asked>,
    started: Started,
    /// The event that it began with.
    first: Option<Event>,
    leg: Leg,
    /// What the caller has of it.
    shown: Shown,
    /// Places that were out of the question before any worker was lost.
    excluded: usize,
    /// Places that were lost in the midst of it.
    lost: Vec<Excluded>,
    /// What the workers before this one came to.
    earlier: Earlier,
    /// Ends when the worker may have been silent for too long; set again only when it does.
    watch: Option<Pin<Box<Sleep>>>,
    /// Since when the next event is waited for.
    since: Instant,
    /// The call's span, entered where there is something to tell.
    call: Span,
}

/// What was made of the answer before the present worker.
#[derive(Debug, Default)]
struct Earlier {
    usd: f64,
    usage: v1::Usage,
    workers: u32,
}

/// What comes next.
enum Next {
    Event(Event),
    /// The worker is gone, and no other can go on.
    Lost,
    /// The answer has an error that another worker would have, too.
    Broken(Status),
    /// The caller left too much of it unread.
    Unread(Status),
}

// === impl Answer ===

impl Answer {
    /// In a place of its own from the beginning: it is large, and many hands pass it on.
    pub(crate) fn new(dispatch: Dispatch, asked: Box<Asked>, begun: Begun) -> Box<Self> {
        let Begun { started, first, leg, outrun_usd } = begun;
        let shown = Shown::of(&asked.request);
        let excluded = asked.facts.excluded.len();
        let earlier = Earlier { usd: outrun_usd, ..Earlier::default() };
        Box::new(Self {
            dispatch,
            asked,
            started,
            first: Some(first),
            leg,
            shown,
            excluded,
            lost: Vec::new(),
            earlier,
            watch: None,
            since: Instant::now(),
            call: Span::current(),
        })
    }

    /// Everything that the caller is sent, from `started` to `done`. It enters the call's span itself.
    pub(crate) fn stream(mut self: Box<Self>) -> impl Stream<Item = Result<Event, Status>> + Send + 'static {
        stream! {
            yield Ok(Event::Started(self.begins().into()));
            loop {
                match self.next().await {
                    Next::Event(Event::Done(done)) => {
                        let call = self.call.clone();
                        let (done, trailing) = call.in_scope(|| self.done(*done));
                        yield Ok(Event::Done(done.into()));
                        if trailing.is_heeded() {
                            trailing.heed().instrument(call).await;
                        }
                        return;
                    }
                    // An answer begins once.
                    Next::Event(Event::Started(_)) => self.since = Instant::now(),
                    Next::Event(shown) => {
                        let before = self.shows(&shown);
                        yield Ok(shown);
                        self.since = Instant::now();
                        self.leg.lease.held_up(self.since - before);
                    }
                    Next::Lost => {
                        // What came until then stands, and its caller is told that it is not all.
                        let done = self.call.clone().in_scope(|| self.interrupted());
                        yield Ok(Event::Done(done.into()));
                        return;
                    }
                    Next::Broken(status) => {
                        self.call.clone().in_scope(|| self.leg.stake.failed());
                        yield Err(status);
                        return;
                    }
                    Next::Unread(status) => {
                        yield Err(status);
                        return;
                    }
                }
            }
        }
    }

    /// The beginning, which nobody asks for its decisions afterwards.
    fn begins(&mut self) -> Started {
        let decisions = std::mem::take(&mut self.started.decisions);
        Started { decisions, ..self.started.clone() }
    }

    async fn next(&mut self) -> Next {
        if let Some(first) = self.first.take() {
            return Next::Event(first);
        }
        // Doubled each time that there is nobody else.
        let mut factor = 1;
        let status = loop {
            match self.within(factor).await {
                Some(Ok(event)) => return Next::Event(event),
                Some(Err(status)) => break status,
                None => match self.look_elsewhere_apart().await {
                    Ok(Some(event)) => return Next::Event(event),
                    Ok(None) => (factor, self.since) = (factor.saturating_mul(2), Instant::now()),
                    Err(status) => break status,
                },
            }
        };
        let call = self.call.clone();
        Box::pin(self.broke_off(&status).instrument(call)).await
    }

    /// Apart, for it is as large as a whole request, and every answer would hold room for it.
    fn look_elsewhere_apart(&mut self) -> BoxFuture<'_, Result<Option<Event>, Status>> {
        let call = self.call.clone();
        self.look_elsewhere().instrument(call).boxed()
    }

    /// The worker is gone with this status: another goes on, or the answer ends.
    async fn broke_off(&mut self, status: &Status) -> Next {
        let error = broken(self.leg.lease.place(), status);
        if self.leg.rest.is_over() {
            // The worker has done nothing wrong.
            return Next::Unread(error.status());
        }
        self.leg.lease.ended(outcome(status));
        self.leg.span.record("error.type", field::debug(status.code()));
        self.leg.span.in_scope(|| tracing::warn!(%error, "an answer broke off"));
        if !error.is_retryable() {
            return Next::Broken(error.status());
        }
        // Those that were lost before are the last to be asked again: they may be back.
        let anew = if self.lost.is_empty() { &[false][..] } else { &[false, true] };
        for anew in anew {
            let Some(bounds) = self.prepare(status.message(), *anew) else { return Next::Lost };
            let span = self.span(status.message());
            let begun = self.dispatch.tries(&mut self.asked, bounds).instrument(span).await;
            if let Some(event) = self.take_over(begun) {
                return Next::Event(event);
            }
        }
        Next::Lost
    }

    /// The next event, or why there is none; `None`: nothing came for so many times as long as a worker may be silent.
    async fn within(&mut self, factor: u32) -> Option<Result<Event, Status>> {
        let Self { watch, leg, since, dispatch, .. } = self;
        let Leg { rest, lease, .. } = leg;
        let mut next = pin!(following(rest));
        let mut until = None;
        poll_fn(|cx| {
            if let Poll::Ready(event) = next.as_mut().poll(cx) {
                return Poll::Ready(Some(event));
            }
            // Most events are there when they are asked for, and nobody waits.
            let until = *until.get_or_insert_with(|| {
                let patience = patience(&dispatch.resume, lease).saturating_mul(factor);
                *since + patience.min(PATIENCE_MAX)
            });
            let watch = watch.get_or_insert_with(|| Box::pin(sleep_until(until)));
            if watch.deadline() > until {
                watch.as_mut().reset(until);
            }
            // It is set for an event before this one, most often: then it ends too early, and is set again.
            while watch.as_mut().poll(cx).is_ready() {
                if watch.deadline() >= until {
                    return Poll::Ready(None);
                }
                watch.as_mut().reset(until);
            }
            Poll::Pending
        })
        .await
    }

    /// The worker is silent: another is asked to go on, and whichever speaks first has the answer from then on.
    async fn look_elsewhere(&mut self) -> Result<Option<Event>, Status> {
        const SILENT: &str = "no token came in time";
        self.leg.lease.silent();
        let Some(bounds) = self.prepare(SILENT, false) else { return Ok(None) };
        let span = self.span(SILENT);
        let tries = self.dispatch.tries(&mut self.asked, bounds).instrument(span);
        let begun = tokio::select! {
            biased;
            next = following(&mut self.leg.rest) => {
                self.asked.facts.excluded.truncate(self.excluded);
                return next.map(Some);
            }
            begun = tries => begun,
        };
        Ok(self.take_over(begun))
    }

    /// Makes of the request one that goes on after what was shown, at another worker of the same model; the attempts
    /// before it, and how many are left. `None`: it cannot be gone on with. `anew`: those that were lost before may do it.
    fn prepare(&mut self, reason: &str, anew: bool) -> Option<(u32, u32)> {
        let left = self.dispatch.resume.attempts_max.saturating_sub(self.earlier.workers);
        let model_hash = &self.started.model_hash;
        let resume = self.shown.resume(model_hash).filter(|_| left > 0)?;
        let excluded = &mut self.asked.facts.excluded;
        excluded.push(Excluded::new(self.leg.lease.place().clone(), format!("it was lost: {reason}")));
        if !anew {
            excluded.extend_from_slice(&self.lost);
        }
        let numeric_class = Some(self.dispatch.fleet.numeric_class(self.leg.lease.place()));
        self.asked.request.resume = Some(v1::Resume { numeric_class, ..resume });
        Some((self.started.attempt.saturating_add(self.earlier.workers), left))
    }

    fn span(&self, reason: &str) -> Span {
        tracing::info_span!(
            "resume",
            causeway.place = self.leg.lease.place().as_str(),
            causeway.reason = reason,
            causeway.tokens = self.shown.token_ids().len(),
        )
    }

    /// Goes on with what another worker has begun; its first event.
    fn take_over(&mut self, begun: Result<Begun, Error>) -> Option<Event> {
        self.asked.facts.excluded.truncate(self.excluded);
        let Begun { first, leg, outrun_usd, .. } = begun
            .inspect_err(|error| self.leg.span.in_scope(|| tracing::info!(%error, "nobody goes on with it")))
            .ok()?;
        let mut lost = std::mem::replace(&mut self.leg, Leg { stake: leg.stake.resumed(), ..leg });
        lost.lease.ended(Outcome::Failed);
        self.lost.push(Excluded::new(lost.lease.place().clone(), "it was lost earlier in this answer"));
        let so_far = lost.stake.interrupted(&self.started.summary());
        self.earlier.add(&so_far);
        self.earlier.usd += outrun_usd;
        Some(first)
    }

    /// Takes note of an event that the caller is about to be shown; the present moment.
    fn shows(&mut self, shown: &Event) -> Instant {
        let tokens = match shown {
            Event::Delta(delta) => delta.shown_in(&mut self.shown),
            _ => self.shown.take_action(),
        };
        // The first one may have something to tell of its worker.
        let _entered = (!self.leg.lease.has_begun()).then(|| self.call.enter());
        let now = self.leg.lease.came(tokens);
        self.leg.lease.shows(shown);
        self.leg.stake.shows(tokens);
        now
    }

    /// The end as the caller is told it: with what only this hop knows, and what all workers came to.
    fn done(self: Box<Self>, mut done: v1::Done) -> (v1::Done, Trailing) {
        let Self { leg, earlier, started, .. } = *self;
        let Leg { mut lease, stake, rest, .. } = leg;
        let trailing = lease.trailing(rest.into_inner());
        lease.learn(&mut done);
        let usage = done.usage.unwrap_or_default();
        if done.finish_reason() != v1::FinishReason::Interrupted {
            lease.done(usage.output_tokens.saturating_add(earlier.usage.output_tokens));
        }
        done.place = if earlier.workers == 0 { started.place } else { lease.place().to_string() };
        done.price_usd = stake.costs(&usage);
        stake.done(&started.request_id, &done);
        (earlier.into_total(done), trailing)
    }

    /// What the answer comes to where nobody can go on with it.
    fn interrupted(self: Box<Self>) -> v1::Done {
        let Self { leg, earlier, started, .. } = *self;
        let place = leg.lease.place().to_string();
        let done = leg.stake.interrupted(&started.summary());
        let place = if earlier.workers == 0 { done.place } else { place };
        earlier.into_total(v1::Done { place, ..done })
    }
}

/// How long a worker may be silent.
fn patience(options: &ResumeOptions, lease: &Lease) -> Duration {
    let least = Duration::from_millis(options.stall_min_ms);
    let gap = lease.gap().map(|gap| gap.mul_f64(options.stall_gaps));
    gap.unwrap_or(Duration::from_millis(options.stall_unknown_ms)).max(least)
}

// === impl Earlier ===

impl Earlier {
    /// A worker is gone that came to this.
    fn add(&mut self, so_far: &v1::Done) {
        let usage = so_far.usage.unwrap_or_default();
        self.usd += so_far.price_usd;
        self.usage.prompt_tokens = self.usage.prompt_tokens.max(usage.prompt_tokens);
        self.usage.output_tokens = self.usage.output_tokens.saturating_add(usage.output_tokens);
        self.workers += 1;
    }

    /// The end of the last worker as that of all.
    fn into_total(self, mut done: v1::Done) -> v1::Done {
        let mut usage = done.usage.unwrap_or_default();
        usage.prompt_tokens = usage.prompt_tokens.max(self.usage.prompt_tokens);
        usage.output_tokens = usage.output_tokens.saturating_add(self.usage.output_tokens);
        (done.usage, done.price_usd) = (Some(usage), done.price_usd + self.usd);
        done
    }
}
