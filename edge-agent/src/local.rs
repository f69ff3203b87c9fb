//! Answers with the model on this device: the engine on a thread of its own, its steps as events.

use std::future::Future;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use async_stream::stream;
use futures_util::StreamExt as _;
use hop::usd;
use inference::{Event as Step, Finish, Handle, Service};
use mesh::deadline::Deadline;
use mesh::process::Limits;
use policy::{Candidate, Capabilities, Kind, Latency, Load, Name, Price, Rules};
use proto::v1;
use proto::v1::generate_event::Event;
use tokio::task::JoinError;
use tonic::Code;
use tracing::{Instrument as _, Span, field};

use crate::answer::{Begun, Setback};
use crate::config::ModelOptions;
use crate::error::{Error, Failure};

/// What a caller is told to wait when the model's line is full: about one short answer of a small model.
const PUSHBACK: Duration = Duration::from_millis(500);

/// The model on this device.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    handle: Handle,
    tier: Name,
    limits: Limits,
}

/// The loop behind it, before it has a thread.
#[derive(Debug)]
pub(crate) struct Engine {
    service: Service,
    handle: Handle,
}

/// Loads the model, if one is configured.
pub(crate) async fn load(options: &ModelOptions, limits: &Limits) -> Result<Option<(Device, Engine)>, Error> {
    let Some(path) = options.path.clone() else { return Ok(None) };
    let (service, handle) = build(options, path).await?;
    let device =
        Device { handle: handle.clone(), tier: options.tier.as_str().into(), limits: limits.clone() };
    Ok(Some((device, Engine { service, handle })))
}

async fn build(options: &ModelOptions, path: PathBuf) -> Result<(Service, Handle), Error> {
    let engine = options.engine(path);
    let built = tokio::task::spawn_blocking(move || engine.build()).await;
    let lost =
        |error: JoinError| Error::Engine { problem: format!("was lost while it loaded the model: {error}") };
    built.map_err(lost)?.map_err(Error::Model)
}

/// A policy that does not price the model's tier is refused.
pub(crate) fn check(tier: &str, rules: &Rules) -> Result<(), hop::Error> {
    let devices = || rules.tiers().iter().filter(|tier| tier.kind == Kind::Device);
    if devices().any(|known| known.name.as_str() == tier) {
        return Ok(());
    }
    let known = devices().map(|tier| tier.name.to_string()).collect();
    let what = "`model.tier` is".to_owned();
    Err(hop::Error::TierUnknown { what, tier: tier.to_owned(), wanted: "device tier", known })
}

// === impl Engine ===

impl Engine {
    /// Runs on a thread of its own for as long as `work` does.
    pub(crate) async fn run_beside<T>(self, work: impl Future<Output = T>) -> Result<T, Error> {
        let Self { service, handle } = self;
        let thread = thread::Builder::new().name("engine".to_owned()).spawn(move || service.run());
        let thread =
            thread.map_err(|error| Error::Engine { problem: format!("cannot be started: {error}") })?;
        let done = work.await;
        handle.stop();
        match tokio::task::spawn_blocking(move || thread.join()).await {
            Ok(Ok(())) => Ok(done),
            _ => Err(Error::Engine { problem: "died; its log says why".to_owned() }),
        }
    }
}

// === impl Device ===

impl Device {
    /// Its place in decisions.
    pub(crate) fn place(&self) -> &Name {
        &self.tier
    }

    /// What it is.
    pub(crate) fn description(&self) -> v1::ModelDescription {
        inference::wire::model(self.handle.model())
    }

    /// The device as it is weighed, by the engine's own measurements.
    pub(crate) fn candidate(&self) -> Candidate {
        let load = self.handle.load();
        let prefill_seconds_per_token = 1.0 / load.prefill_tokens_per_s;
        Candidate {
            latency: Some(Latency {
                queue_seconds: load.queued_tokens as f64 * prefill_seconds_per_token,
                network_seconds: 0.0,
                prefill_seconds_per_token,
                seconds_per_output_token: load.seconds_per_token,
            }),
            load: Some(Load { running: count(load.running), waiting: count(load.waiting) }),
            context_tokens_max: Some(count(self.handle.model().context_tokens_max)),
            capabilities: Some(Capabilities::TEXT),
            ..Candidate::new(self.tier.clone(), self.tier.clone(), Kind::Device)
        }
    }

    /// Begins an answer, up to its first step that shows something.
    pub(crate) async fn begin(
        &self,
        request: &v1::GenerateRequest,
        deadline: Option<Deadline>,
        mut started: v1::Started,
        price: Price,
    ) -> Result<Begun, Setback> {
        let limits = inference::wire::Limits {
            output_tokens_default: self.limits.output_tokens_default,
            output_tokens_max: self.limits.output_tokens_max,
            deadline: deadline.map(|deadline| deadline.instant().into_std()),
        };
        let wanted = inference::wire::request(request, limits).map_err(|error| self.judge(&error))?;
        let chat = chat(&self.handle.model().name, &wanted);
        let decode = tracing::info_span!(parent: &chat, "decode", causeway.tokens = field::Empty);
        let begun = self.handle.begin(wanted).instrument(chat.clone()).await;
        let mut steps = begun.map_err(|error| self.judge(&error))?;
        let first = match steps.next().instrument(decode.clone()).await {
            Some(Step::Failed(error)) => return Err(self.judge(&error)),
            Some(step) => self.event(step, &chat, &price).map_err(Setback::Final)?,
            None => return Err(self.judge(&inference::Error::Stopped)),
        };
        started.model_hash = self.handle.model().hash_hex();
        let device = self.clone();
        let mut tokens = shown(&first);
        let rest = stream! {
            while let Some(step) = steps.next().instrument(decode.clone()).await {
                let event = device.event(step, &chat, &price);
                tokens += event.as_ref().map_or(0, shown);
                decode.record("causeway.tokens", tokens);
                yield event;
            }
        };
        Ok(Begun { started, first, rest: rest.boxed() })
    }

    fn event(&self, step: Step, chat: &Span, price: &Price) -> Result<Event, Error> {
        match step {
            Step::Delta { text, tokens, first_index, logprobs } => {
                Ok(Event::Delta(inference::wire::delta(text, tokens, first_index, logprobs)))
            }
            Step::Done(done) => {
                record(chat, &done);
                let done = inference::wire::done(&done, self.handle.model()).ok_or(Error::DeadlinePassed)?;
                let price_usd = usd(price, &done.usage.unwrap_or_default());
                Ok(Event::Done(v1::Done { place: self.tier.to_string(), price_usd, ..done }))
            }
            Step::Failed(error) => Err(Error::Broken {
                place: self.tier.clone(),
                code: Code::Unavailable,
                message: error.to_string(),
            }),
        }
    }

    /// Whether another place may do better than the engine that said this.
    fn judge(&self, error: &inference::Error) -> Setback {
        let (place, message) = (self.tier.clone(), error.to_string());
        let (code, pushback) = match error {
            inference::Error::BadRequest { .. } | inference::Error::Constraint { .. } => {
                return Setback::Final(Error::Refused { place, code: Code::InvalidArgument, message });
            }
            // What is too long for the device may fit upstream.
            inference::Error::OverLong { .. } => (Code::InvalidArgument, None),
            inference::Error::QueueFull { .. } => (Code::ResourceExhausted, Some(PUSHBACK)),
            _ => (Code::Unavailable, None),
        };
        Setback::Elsewhere(Failure { place, code, message, pushback })
    }
}

/// The span of one answer of a model, by the names of the OpenTelemetry conventions.
fn chat(model: &str, wanted: &inference::Request) -> Span {
    tracing::info_span!(
        "chat",
        otel.name = format!("chat {model}"),
        gen_ai.operation.name = "chat",
        gen_ai.provider.name = "causeway",
        gen_ai.request.model = model,
        gen_ai.request.max_tokens = wanted.max_tokens,
        gen_ai.request.temperature = wanted.sampling.temperature.map(f64::from),
        gen_ai.usage.input_tokens = field::Empty,
        gen_ai.usage.output_tokens = field::Empty,
        gen_ai.response.finish_reasons = field::Empty,
    )
}

fn record(chat: &Span, done: &inference::Done) {
    chat.record("gen_ai.usage.input_tokens", done.usage.prompt_tokens);
    chat.record("gen_ai.usage.output_tokens", done.usage.output_tokens);
    let finish = match done.finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::Deadline => "deadline",
    };
    chat.record("gen_ai.response.finish_reasons", finish);
}

fn shown(event: &Event) -> usize {
    if let Event::Delta(delta) = event { delta.token_ids.len() } else { 0 }
}

/// Counts on the wire are 32 bits wide; no context is longer.
fn count(tokens: usize) -> u32 {
    u32::try_from(tokens).unwrap_or(u32::MAX)
}
