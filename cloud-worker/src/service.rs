//! `Generate` at the worker: the engine answers, and its steps become events.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::Stream;
use inference::{Event, Handle};
use mesh::deadline::Deadline;
use mesh::process::Limits;
use mesh::tls::Peer;
use proto::v1::generate_event::Event as Sent;
use proto::v1::{
    DescribeRequest, DescribeResponse, Feedback, FeedbackReceipt, GenerateEvent, GenerateRequest,
    PlaceDescription, Started, content_part::Part,
};
use tonic::{Request, Response, Status};
use tracing::{Instrument as _, Span, field::Empty};

use crate::Error;
use crate::config::Sharing;

/// The place that a worker calls itself; its router knows it by tier and name.
const PLACE: &str = "worker";

/// By the wire contract.
const REQUEST_ID_BYTES_MAX: usize = 64;
const SALT_BYTES_MAX: usize = 64;
/// Blocks that are named in one answer, at most.
const BLOCKS_NAMED_MAX: usize = 1 << 14;

pub(crate) type Events = Pin<Box<dyn Stream<Item = Result<GenerateEvent, Status>> + Send>>;

/// Serves the engine.
#[derive(Debug, Clone)]
pub(crate) struct Generation {
    limits: Limits,
    sharing: Sharing,
    handle: Handle,
    /// Requests that nothing names.
    unnamed: Arc<AtomicU64>,
}

// === impl Generation ===

impl Generation {
    pub(crate) fn new(limits: Limits, sharing: Sharing, handle: Handle) -> Self {
        Self { limits, sharing, handle, unnamed: Arc::default() }
    }

    async fn start(&self, request: &Request<GenerateRequest>) -> Result<(inference::Stream, Span), Error> {
        let asked = request.get_ref();
        self.check(asked)?;
        mesh::telemetry::name_request(&asked.request_id);
        let deadline = Deadline::of(request).map(|deadline| deadline.instant().into_std());
        let limits = inference::wire::Limits {
            output_tokens_default: self.limits.output_tokens_default,
            output_tokens_max: self.limits.output_tokens_max,
            deadline,
        };
        let wanted = inference::wire::request(asked, limits)?;
        let wanted = inference::Request { tenant: tenant(self.sharing, request, &self.unnamed), ..wanted };
        let model = &self.handle.model().name;
        let chat = tracing::info_span!(
            "chat",
            otel.name = format!("chat {model}"),
            gen_ai.operation.name = "chat",
            gen_ai.provider.name = "causeway",
            gen_ai.request.model = model,
            gen_ai.request.max_tokens = wanted.max_tokens,
            gen_ai.request.temperature = wanted.sampling.temperature.map(f64::from),
            gen_ai.usage.input_tokens = Empty,
            gen_ai.usage.output_tokens = Empty,
            gen_ai.response.finish_reasons = Empty,
        );
        let stream = self.handle.begin(wanted).instrument(chat.clone()).await?;
        Ok((stream, chat))
    }

    fn check(&self, asked: &GenerateRequest) -> Result<(), Error> {
        let here = self.handle.model();
        let id = &asked.request_id;
        if id.len() > REQUEST_ID_BYTES_MAX || id.contains(char::is_control) {
            let problem = format!("is not at most {REQUEST_ID_BYTES_MAX} bytes without control characters");
            return Err(Error::Invalid { field: "request_id", problem });
        }
        if asked.cache.as_ref().is_some_and(|cache| cache.salt.len() > SALT_BYTES_MAX) {
            let problem = format!("is longer than {SALT_BYTES_MAX} bytes");
            return Err(Error::Invalid { field: "cache.salt", problem });
        }
        if !asked.model.is_empty() && asked.model != here.name {
            return Err(Error::OtherModel { asked: asked.model.clone(), here: here.name.clone() });
        }
        let resumed = asked.resume.as_ref().filter(|resume| !resume.token_ids.is_empty());
        if let Some(resume) = resumed.filter(|resume| resume.model_hash != here.hash_hex()) {
            return Err(Error::OtherTokens { asked: resume.model_hash.clone(), here: here.hash_hex() });
        }
        let bytes = asked.turns.iter().flat_map(|turn| &turn.parts).map(|part| match &part.part {
            Some(Part::Text(text)) => text.len(),
            _ => 0,
        });
        let (bytes, max) = (bytes.sum(), self.limits.prompt_bytes_max);
        if bytes > max { Err(Error::PromptBytes { bytes, max }) } else { Ok(()) }
    }
}

/// The name of those with whom a request shares what is computed of its beginning. Its parts are told apart by their
/// first letter and by the lengths of caller and salt.
fn tenant(sharing: Sharing, request: &Request<GenerateRequest>, unnamed: &AtomicU64) -> String {
    let caller = request.extensions().get::<Peer>().and_then(Peer::path).unwrap_or_default();
    let GenerateRequest { conversation_id, request_id, cache, .. } = request.get_ref();
    let salt = cache.as_ref().map_or("", |cache| &cache.salt);
    let whose = format!("{} {} {caller}{salt}", caller.len(), salt.len());
    match sharing {
        Sharing::Everyone => String::new(),
        Sharing::Caller => format!("c{whose}"),
        Sharing::Conversation if !conversation_id.is_empty() => format!("t{whose}{conversation_id}"),
        // The same request, tried again.
        Sharing::Conversation if !request_id.is_empty() => format!("r{whose}{request_id}"),
        Sharing::Conversation => format!("n{}", unnamed.fetch_add(1, Ordering::Relaxed)),
    }
}

#[tonic::async_trait]
impl proto::v1::generation_server::Generation for Generation {
    type GenerateStream = Events;

    async fn generate(&self, request: Request<GenerateRequest>) -> Result<Response<Events>, Status> {
        let (stream, chat) = self.start(&request).await?;
        let asked = request.into_inner();
        let blocks_wanted = asked.cache.as_ref().is_some_and(|cache| cache.blocks_wanted);
        let started = Started {
            request_id: asked.request_id,
            decisions: asked.decisions,
            place: PLACE.to_owned(),
            attempt: 1,
            model_hash: self.handle.model().hash_hex(),
        };
        Ok(Response::new(Box::pin(events((self.handle.clone(), blocks_wanted), stream, started, chat))))
    }

    async fn give_feedback(&self, _: Request<Feedback>) -> Result<Response<FeedbackReceipt>, Status> {
        // A worker keeps nothing of a request once it is answered.
        Ok(Response::new(FeedbackReceipt { known: false }))
    }

    async fn describe(&self, _: Request<DescribeRequest>) -> Result<Response<DescribeResponse>, Status> {
        let place = PlaceDescription {
            place: PLACE.to_owned(),
            tier: String::new(),
            model: Some(inference::wire::model(self.handle.model())),
            prediction_error: None,
        };
        Ok(Response::new(DescribeResponse {
            hop: "worker".to_owned(),
            places: vec![place],
            request_bytes_max: u32::try_from(self.limits.request_bytes_max).unwrap_or(u32::MAX),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            policy: None,
        }))
    }
}

/// The engine's events for the wire; dropping them cancels the request.
fn events(
    (handle, blocks_wanted): (Handle, bool),
    mut stream: inference::Stream,
    started: Started,
    chat: Span,
) -> impl Stream<Item = Result<GenerateEvent, Status>> + Send {
    let decode = tracing::info_span!(parent: &chat, "decode", causeway.tokens = Empty);
    async_stream::stream! {
        let mut started = Some(started);
        let mut tokens_seen = 0_usize;
        while let Some(event) = stream.next().instrument(decode.clone()).await {
            match event {
                Event::Delta { text, tokens, first_index, logprobs } => {
                    tokens_seen += tokens.len();
                    if let Some(started) = started.take() {
                        yield Ok(wrap(Sent::Started(started)));
                    }
                    let delta = inference::wire::delta(text, tokens, first_index, logprobs);
                    yield Ok(wrap(Sent::Delta(delta)));
                }
                Event::Done(done) => {
                    decode.record("causeway.tokens", tokens_seen);
                    record(&chat, &done);
                    if let Some(started) = started.take() {
                        yield Ok(wrap(Sent::Started(started)));
                    }
                    match inference::wire::done(&done, handle.model()) {
                        Some(sent) => {
                            let named = if blocks_wanted { &done.blocks[..] } else { &[] };
                            let cache_blocks = named.iter().take(BLOCKS_NAMED_MAX).copied().collect();
                            let place = PLACE.to_owned();
                            yield Ok(wrap(Sent::Done(proto::v1::Done { place, cache_blocks, ..sent })));
                        }
                        None => yield Err(Error::Deadline.into()),
                    }
                }
                Event::Failed(error) => yield Err(Error::from(error).into()),
            }
        }
    }
}

fn wrap(event: Sent) -> GenerateEvent {
    GenerateEvent { event: Some(event) }
}

fn record(chat: &Span, done: &inference::Done) {
    chat.record("gen_ai.usage.input_tokens", done.usage.prompt_tokens);
    chat.record("gen_ai.usage.output_tokens", done.usage.output_tokens);
    let finish = match done.finish {
        inference::Finish::Stop => "stop",
        inference::Finish::Length => "length",
        inference::Finish::Deadline => "deadline",
    };
    chat.record("gen_ai.response.finish_reasons", finish);
}

#[cfg(test)]
mod tests;
