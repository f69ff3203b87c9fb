//! The agent's hop: a request is checked, heard as a command or not, its facts are gathered, a place is chosen, its
//! answer is given.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_stream::stream;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt as _};
use mesh::deadline::Deadline;
use mesh::process::Limits;
use mesh::tls::Peer;
use policy::Name;
use policy::wire::request;
use proto::v1;
use proto::v1::feedback::Verdict;
use proto::v1::generate_event::Event;
use proto::v1::generation_server::Generation;
use tonic::{Request, Response, Status};

use crate::answer::{Begun, sent};
use crate::decisions::Stake;
use crate::error::Error;
use crate::facts;
use crate::feedback::Answered;
use crate::places::{Asked, HOP, Places};

/// Bytes of the hash that an id made here shows.
const ID_BYTES: usize = 16;

/// Serves `Generation`.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    parts: Arc<Parts>,
    models: Arc<signals::Models>,
    unnamed: Arc<AtomicU64>,
}

/// What the service is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) limits: Limits,
    pub(crate) places: Places,
    pub(crate) answered: Answered,
    /// Only this machine can call, so that every caller is believed.
    pub(crate) callers_local: bool,
    /// Begins every sequence of random numbers.
    pub(crate) seed: u64,
}

// === impl Service ===

impl Service {
    /// A service with the signal models that ship.
    pub(crate) fn new(parts: Parts) -> Self {
        let models = Arc::new(signals::Models::shipped());
        Self { parts: Arc::new(parts), models, unnamed: Arc::default() }
    }

    /// From a request to one that is ready to be decided.
    fn ask(&self, request: Request<v1::GenerateRequest>) -> Result<Asked, Error> {
        let deadline = Deadline::of(&request);
        let peer = request.extensions().get::<Peer>().cloned().unwrap_or_default();
        let mut request = request.into_inner();
        request::check(&request, &self.bounds())?;
        if request.request_id.is_empty() {
            request.request_id = self.new_id();
        }
        let grammar = self.parts.places.grammar.as_ref();
        let command = grammar.zip(facts::said(&request)).and_then(|(grammar, text)| grammar.hear(text));
        // Anyone may say anything of a text; only a known peer is spared having it read again.
        let believed = peer.spiffe.is_some() || self.parts.callers_local;
        let signals = match request.signals.take().filter(|_| believed) {
            Some(signals) => signals,
            None => signals::wire::read(&request, &self.models),
        };
        let facts = facts::of(&request, &signals, peer.path().map(Name::from).unwrap_or_default());
        let seed = self.seed_of(&request.request_id);
        request.signals = Some(signals);
        let picked = self.parts.places.policies.pick(lot_of(&request, &facts.tenant));
        Ok(Asked { request, facts, command, picked, seed, deadline })
    }

    /// Everything that the caller is sent, from `started` to `done`.
    fn events(
        &self,
        (begun, mut stake): (Begun, Stake),
    ) -> impl Stream<Item = Result<v1::GenerateEvent, Status>> + Send + use<> {
        let Begun { started, first, mut rest } = begun;
        let parts = self.parts.clone();
        stream! {
            let id = started.request_id.clone();
            yield sent(Event::Started(started));
            let mut next = Some(Ok::<_, Error>(first));
            while let Some(event) = next {
                match event {
                    Ok(Event::Done(done)) => {
                        parts.answered.remember(&id);
                        stake.done(&id, &done);
                        yield sent(Event::Done(done));
                        return;
                    }
                    Ok(event) => {
                        stake.shows(&event);
                        yield sent(event);
                    }
                    Err(error) => {
                        tracing::warn!(%error, "an answer broke off");
                        stake.failed();
                        yield Err(error.status());
                        return;
                    }
                }
                next = rest.next().await;
            }
        }
    }

    fn bounds(&self) -> request::Limits {
        let Limits { prompt_bytes_max, output_tokens_max, .. } = self.parts.limits;
        request::Limits { prompt_bytes_max, output_tokens_max }
    }

    fn new_id(&self) -> String {
        let number = self.unnamed.fetch_add(1, Ordering::Relaxed);
        let hash = self.hash(&number.to_le_bytes());
        hash.to_hex()[..ID_BYTES * 2].to_owned()
    }

    /// The same request is decided alike, whenever it comes.
    fn seed_of(&self, request_id: &str) -> u64 {
        let hash = self.hash(request_id.as_bytes());
        hash.as_bytes().iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte))
    }

    fn hash(&self, of: &[u8]) -> blake3::Hash {
        blake3::Hasher::new().update(&self.parts.seed.to_le_bytes()).update(of).finalize()
    }
}

/// What says whether a policy that is tried decides this request: the same for a whole conversation, and for all that a
/// tenant asks outside of any.
fn lot_of(request: &v1::GenerateRequest, tenant: &str) -> u64 {
    let names = [request.conversation_id.as_str(), tenant, request.request_id.as_str()];
    let name = names.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
    let hash = blake3::hash(name.as_bytes());
    hash.as_bytes().iter().take(8).fold(0, |lot, byte| lot << 8 | u64::from(*byte))
}

#[tonic::async_trait]
impl Generation for Service {
    type GenerateStream = BoxStream<'static, Result<v1::GenerateEvent, Status>>;

    async fn generate(
        &self,
        request: Request<v1::GenerateRequest>,
    ) -> Result<Response<Self::GenerateStream>, Status> {
        let begun = async { self.parts.places.begin(self.ask(request)?).await };
        let begun = begun.await.map_err(|error| {
            tracing::info!(%error, retryable = error.is_retryable(), "a request was not answered");
            error.status()
        })?;
        Ok(Response::new(self.events(begun).boxed()))
    }

    async fn give_feedback(
        &self,
        request: Request<v1::Feedback>,
    ) -> Result<Response<v1::FeedbackReceipt>, Status> {
        let feedback = request.into_inner();
        let known = self.parts.answered.knows(&feedback.request_id);
        // That a person asks again is no verdict: it may be the question that was wrong.
        if let (true, Some(log), Some(Verdict::Right(right))) =
            (known, &self.parts.places.log, feedback.verdict)
        {
            log.tell(&feedback.request_id, right);
        }
        Ok(Response::new(v1::FeedbackReceipt { known }))
    }

    async fn describe(
        &self,
        _: Request<v1::DescribeRequest>,
    ) -> Result<Response<v1::DescribeResponse>, Status> {
        Ok(Response::new(v1::DescribeResponse {
            hop: HOP.to_owned(),
            places: self.parts.places.describe(),
            request_bytes_max: u32::try_from(self.parts.limits.request_bytes_max).unwrap_or(u32::MAX),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            policy: Some(crate::policies::state(&self.parts.places.policies, &self.parts.places.log)),
        }))
    }
}
