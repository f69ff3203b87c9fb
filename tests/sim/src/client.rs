//! A caller: one request, how it reads the answer, when it loses patience, and everything that it saw.

use std::sync::Arc;
use std::time::Duration;

use mesh::connect::Channel;
use proto::v1;
use proto::v1::content_part::Part;
use proto::v1::generate_event::Event;
use proto::v1::generation_client::GenerationClient;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::{Code, Status, Streaming};

use crate::model;
use crate::network::Host;
use crate::trace::Trace;

/// What one caller wants, and how it behaves.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) request_id: String,
    /// When it asks, milliseconds after the beginning.
    pub(crate) at_ms: u64,
    /// Where it asks.
    pub(crate) via: Host,
    pub(crate) prompt: String,
    pub(crate) max_tokens: Option<u32>,
    pub(crate) deadline_ms: Option<u64>,
    /// It leaves after so many tokens.
    pub(crate) leaves_after_tokens: Option<usize>,
    /// It leaves after so many milliseconds.
    pub(crate) leaves_after_ms: Option<u64>,
    /// It takes so long over each message.
    pub(crate) reads_ms: u64,
    pub(crate) priority: v1::Priority,
}

/// What became of it.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) ask: Ask,
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
    pub(crate) started: Vec<v1::Started>,
    pub(crate) deltas: Vec<v1::Delta>,
    pub(crate) done: Option<v1::Done>,
    /// Something came after `done`, or before `started`.
    pub(crate) disorder: bool,
    pub(crate) end: End,
}

/// How the call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// By itself.
    Complete,
    /// With a status.
    Status(Code, String),
    /// With a status that says that all who could answer have enough to do, and when to ask again.
    Full(String),
    /// The caller left.
    Left,
}

// === impl Ask ===

impl Ask {
    fn request(&self) -> tonic::Request<v1::GenerateRequest> {
        let part = v1::ContentPart { part: Some(Part::Text(self.prompt.clone())) };
        let sampling = v1::Sampling { max_tokens: self.max_tokens, ..v1::Sampling::default() };
        let prompt_tokens = model::prompt_tokens(&self.prompt);
        let mut request = tonic::Request::new(v1::GenerateRequest {
            request_id: self.request_id.clone(),
            turns: vec![v1::Turn { role: v1::Role::User.into(), parts: vec![part] }],
            sampling: Some(sampling),
            priority: self.priority.into(),
            signals: Some(v1::Signals {
                language: "en".to_owned(),
                script: "latin".to_owned(),
                prompt_tokens,
                output_tokens_p50: 20.0,
                output_tokens_p90: 40.0,
                requirement: vec![1.0, 0.0],
                version: "given".to_owned(),
                intent: Some(v1::Intent::default()),
                form: Some(v1::Form::default()),
                private: Some(v1::Private::default()),
                ..v1::Signals::default()
            }),
            ..v1::GenerateRequest::default()
        });
        if let Some(ms) = self.deadline_ms {
            request.set_timeout(Duration::from_millis(ms));
        }
        request
    }

    /// Asks when it is time, and reads to the end.
    pub(crate) async fn run(self, channel: Channel, trace: Arc<Trace>) -> Seen {
        tokio::time::sleep_until(trace.at(self.at_ms)).await;
        let began = Instant::now();
        trace.note(format_args!("{} is asked at {}", self.request_id, self.via));
        let leaves_at = self.leaves_after_ms.map(|ms| began + Duration::from_millis(ms));
        let mut seen = Seen {
            ask: self,
            began,
            ended: began,
            started: Vec::new(),
            deltas: Vec::new(),
            done: None,
            disorder: false,
            end: End::Left,
        };
        let reading = seen.read(channel);
        let end = match leaves_at {
            Some(leaves_at) => timeout_at(leaves_at, reading).await.unwrap_or(Ok(End::Left)),
            None => reading.await,
        };
        seen.end = end.unwrap_or_else(|status| match status.metadata().contains_key(proto::OVERLOAD) {
            true => End::Full(status.message().to_owned()),
            false => End::Status(status.code(), status.message().to_owned()),
        });
        seen.ended = Instant::now();
        let (id, tokens) = (&seen.ask.request_id, seen.tokens().len());
        trace.note(format_args!("{id} ends after {tokens} tokens: {:?}, {:?}", seen.end, seen.finish()));
        seen
    }
}

// === impl Seen ===

impl Seen {
    async fn read(&mut self, channel: Channel) -> Result<End, Status> {
        let mut client = GenerationClient::new(channel);
        let mut stream: Streaming<v1::GenerateEvent> =
            client.generate(self.ask.request()).await?.into_inner();
        while let Some(message) = stream.message().await? {
            self.take(message.event);
            if self.ask.leaves_after_tokens.is_some_and(|most| self.tokens().len() >= most) {
                return Ok(End::Left);
            }
            if self.ask.reads_ms > 0 {
                sleep(Duration::from_millis(self.ask.reads_ms)).await;
            }
        }
        Ok(End::Complete)
    }

    fn take(&mut self, event: Option<Event>) {
        self.disorder |= self.done.is_some();
        match event {
            Some(Event::Started(started)) => self.started.push(started),
            Some(Event::Delta(delta)) => {
                self.disorder |= self.started.is_empty();
                self.deltas.push(delta);
            }
            Some(Event::Done(done)) => {
                self.disorder |= self.started.is_empty();
                self.done = Some(done);
            }
            Some(Event::Action(_)) | None => self.disorder = true,
        }
    }

    pub(crate) fn tokens(&self) -> Vec<u32> {
        self.deltas.iter().flat_map(|delta| delta.token_ids.iter().copied()).collect()
    }

    pub(crate) fn text(&self) -> String {
        self.deltas.iter().map(|delta| delta.text.as_str()).collect()
    }

    pub(crate) fn finish(&self) -> Option<v1::FinishReason> {
        self.done.as_ref().map(v1::Done::finish_reason)
    }

    /// How it ended, in a word.
    pub(crate) fn kind(&self) -> &'static str {
        match (&self.end, self.finish()) {
            (End::Complete, Some(v1::FinishReason::Interrupted)) => "interrupted",
            (End::Complete, _) => "complete",
            (End::Left, _) => "left",
            (End::Status(Code::DeadlineExceeded, _), _) => "late",
            (End::Full(_) | End::Status(Code::ResourceExhausted, _), _) => "refused",
            (End::Status(..), _) => "failed",
        }
    }
}
