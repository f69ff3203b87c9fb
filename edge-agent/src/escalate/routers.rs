//! The routers that an agent may ask, in the order of preference: before the first token the next answers where one is
//! lost, and after it the next goes on.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_stream::stream;
use futures_util::StreamExt as _;
use futures_util::future::{FutureExt as _, select_all};
use hop::Shown;
use mesh::deadline::Deadline;
use mesh::process::Rim;
use mesh::retry::Budget;
use mesh::token::Bearer;
use mesh::transport::Address;
use parking_lot::Mutex;
use policy::{Candidate, Name, Price, Rules};
use proto::v1;
use proto::v1::generate_event::Event;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::{Instant, sleep};
use tonic::Code;
use tracing::Instrument as _;

use super::Upstream;
use super::throttle::{Held, Throttle};
use crate::answer::{Begun, Setback};
use crate::config::Options;
use crate::error::{Error, Failure};

/// The first and the longest pause between two rounds in which no router could go on with an answer.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));
/// Pauses give or take this share, so that the agents of a lost router do not come together.
const JITTER: f64 = 0.2;

/// The routers. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Upstreams {
    /// At least one.
    routers: Arc<[Upstream]>,
    retries: Arc<Budget>,
    /// One for all of them: they have the same workers.
    throttle: Arc<Throttle>,
    resumes_max: u32,
    resume_wait: Duration,
    random: Arc<Mutex<StdRng>>,
}

/// What they are asked.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    /// As it is sent.
    pub(crate) request: v1::GenerateRequest,
    /// When the caller gives up.
    pub(crate) deadline: Option<Deadline>,
    /// The start of the answer, as far as it is known here.
    pub(crate) started: v1::Started,
    /// What its tokens cost as this hop decided.
    pub(crate) price: Price,
    /// Attempts that its caller made before.
    pub(crate) previous: u32,
}

// === impl Upstreams ===

impl Upstreams {
    /// The routers of the options, none of them called yet.
    ///
    /// # Errors
    /// The token that they are to be sent cannot be read.
    pub(crate) fn new(options: &Options, rim: &Rim) -> Result<Option<Self>, Error> {
        let bearer = options.upstream.token_file.as_deref().map(Bearer::load).transpose()?;
        let first = options.upstream.address.iter();
        let addresses = first.chain(&options.upstream.alternatives);
        let upstream = |address: &Address| Upstream::new(address.clone(), options, rim, bearer.clone());
        let routers: Arc<[Upstream]> = addresses.map(upstream).collect();
        Ok((!routers.is_empty()).then(|| Self {
            routers,
            retries: Arc::new(options.retry.budget()),
            throttle: Arc::new(Throttle::new(&options.upstream.throttle, rim.seed)),
            resumes_max: options.upstream.resumes_max,
            resume_wait: Duration::from_millis(options.upstream.resume_wait_ms),
            random: Arc::new(Mutex::new(StdRng::seed_from_u64(rim.seed))),
        }))
    }

    /// Keeps the outlook of each, for as long as it is polled.
    pub(crate) async fn watch(self) -> Infallible {
        let quiet = |time| self.throttle.quiet(time);
        select_all(self.routers.iter().cloned().map(|router| router.watch(quiet).boxed())).await.0
    }

    /// The tiers above as they are weighed: as the router says that would be asked now.
    pub(crate) fn candidates(&self, rules: &Rules, residency: Option<&Name>) -> Vec<Candidate> {
        self.in_order().next().map(|router| router.candidates(rules, residency)).unwrap_or_default()
    }

    /// What keeps all of them from being called now, for people.
    pub(crate) fn problem(&self) -> Option<String> {
        let problems: Option<Vec<_>> = self.routers.iter().map(Upstream::problem).collect();
        problems.map(|problems| problems.join("; "))
    }

    /// Begins an answer, up to the first event that shows something of it, unless it is held back.
    pub(crate) async fn begin(&self, ask: Ask) -> Result<Begun, Setback> {
        let priority = policy::wire::request::priority(&ask.request);
        // What one tier has no room for says nothing of the others.
        let of_all = ask.request.only_place.is_empty();
        let ticket = self.throttle.ask(priority).map_err(|held| held_back(&ask.started.place, held))?;
        let begun = self.begin_at_one(ask).await;
        if let Err(Setback::Elsewhere(failure)) = &begun
            && (failure.code == Code::ResourceExhausted || failure.pushback.is_some())
        {
            self.throttle.refused(ticket, priority, failure.pushback.filter(|_| of_all));
        }
        begun
    }

    async fn begin_at_one(&self, ask: Ask) -> Result<Begun, Setback> {
        if ask.previous == 0 {
            self.retries.deposit();
        }
        let mut previous = ask.previous;
        let mut last = None;
        for router in self.in_order() {
            let failure = match router
                .begin(ask.request.clone(), (ask.deadline, previous), ask.started.clone())
                .await
            {
                Ok(begun) => return Ok(self.clone().carry(begun, ask)),
                Err(Setback::Elsewhere(failure)) if is_lost(&failure) => failure,
                Err(Setback::Spent(failure)) => return Err(Setback::Elsewhere(failure)),
                Err(setback) => return Err(setback),
            };
            // A router that was not reached has done nothing. One that has judged is not second-guessed without money.
            let judged = router.is_connected();
            last = Some(Setback::Elsewhere(failure));
            if judged && !self.retries.withdraw() {
                break;
            }
            previous = previous.saturating_add(u32::from(judged));
        }
        // There is at least one.
        let nobody = || Setback::Final(Error::NoPlace { removed: Vec::new(), failures: Vec::new() });
        Err(last.unwrap_or_else(nobody))
    }

    /// An answer that has begun, and goes on at the next router where one is lost in the midst of it.
    fn carry(self, begun: Begun, ask: Ask) -> Begun {
        let Begun { started, first, mut rest } = begun;
        let start = started.clone();
        let mut shown = Shown::of(&ask.request);
        shown.take(&first);
        let rest = stream! {
            let (mut resumes, mut earlier) = (0, 0);
            while let Some(event) = rest.next().await {
                let error = match event {
                    Ok(Event::Done(done)) => {
                        yield Ok(Event::Done(total(done, earlier, &ask.price)));
                        return;
                    }
                    Ok(event) => {
                        shown.take(&event);
                        yield Ok(event);
                        continue;
                    }
                    Err(error) => error,
                };
                let more = error.is_retryable() && resumes < self.resumes_max;
                let begun = match shown.resume(&start.model_hash).filter(|_| more) {
                    Some(resume) => self.resume(&ask, resume, &start).await,
                    None => None,
                };
                let Some(next) = begun else {
                    yield Err(error);
                    return;
                };
                (resumes, earlier) = (resumes + 1, shown.tokens());
                rest = futures_util::stream::iter([Ok(next.first)]).chain(next.rest).boxed();
            }
        };
        Begun { started, first, rest: rest.boxed() }
    }

    /// Asks every router to go on with an answer, until one does or the wait for it is over.
    async fn resume(&self, ask: &Ask, resume: v1::Resume, started: &v1::Started) -> Option<Begun> {
        let span = tracing::info_span!("resume", causeway.place = started.place.as_str());
        // The router that goes on learns from these who computed what was shown.
        let decisions = started.decisions.clone();
        let request = v1::GenerateRequest { resume: Some(resume), decisions, ..ask.request.clone() };
        let over = Instant::now() + self.resume_wait;
        let mut pause = PAUSES.0;
        loop {
            for router in self.in_order() {
                let begun = router.begin(request.clone(), (ask.deadline, 0), started.clone());
                match begun.instrument(span.clone()).await {
                    Ok(begun) => return Some(begun),
                    Err(Setback::Final(error)) => {
                        tracing::info!(parent: &span, %error, "nobody goes on with it");
                        return None;
                    }
                    Err(_) => {}
                }
            }
            let jitter = self.random.lock().random_range(1.0 - JITTER..1.0 + JITTER);
            if Instant::now() + pause > over || ask.deadline.is_some_and(Deadline::is_past) {
                return None;
            }
            // Which router is back first, and has workers by then, nothing announces.
            sleep(pause.mul_f64(jitter)).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Those that can be called before those that cannot, otherwise as configured.
    fn in_order(&self) -> impl Iterator<Item = &Upstream> {
        let callable = |router: &&Upstream| router.problem().is_none();
        self.routers
            .iter()
            .filter(callable)
            .chain(self.routers.iter().filter(move |router| !callable(router)))
    }
}

fn held_back(place: &str, held: Held) -> Setback {
    let (code, message) = (Code::ResourceExhausted, held.to_string());
    Setback::Held(Failure { place: place.into(), code, message, pushback: Some(held.rest()) })
}

/// Whether a router was lost before it began, so that the next may do better. What it refuses for the load or for what is
/// asked, the next refuses as well: they have the same workers.
fn is_lost(failure: &Failure) -> bool {
    matches!(failure.code, Code::Unavailable | Code::Cancelled)
}

/// The end of an answer of which `earlier` tokens were made before the last router took it over, which counts the prompt.
fn total(mut done: v1::Done, earlier: u32, price: &Price) -> v1::Done {
    let mut usage = done.usage.unwrap_or_default();
    usage.output_tokens = usage.output_tokens.saturating_add(earlier);
    done.usage = Some(usage);
    done.price_usd += f64::from(earlier) * price.output_usd_per_million_tokens / 1e6;
    done
}
