//! One question put to an edge agent, and everything that came back with its times.

use std::time::{Duration, Instant};

use mesh::connect::Channel;
use proto::v1::generate_event::Event;
use proto::v1::generate_request::Constraint;
use proto::v1::generation_client::GenerationClient;
use proto::v1::{
    Action, ContentPart, Decision, FinishReason, GenerateRequest, Priority, Privacy, Role, Sampling, Turn,
    Usage, content_part,
};

/// A question with how it may be answered.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// What is said.
    pub text: String,
    /// What may leave the device.
    pub privacy: Privacy,
    /// How much waiting matters.
    pub priority: Priority,
    /// The only place or tier that may answer; empty: any.
    pub only_place: String,
    /// The model wanted; empty: any.
    pub model: String,
    /// Most tokens to produce; `None`: the place's default.
    pub max_tokens: Option<u32>,
    /// 0 is greedy.
    pub temperature: Option<f32>,
    /// The same seed draws the same answer; `None`: by the request's id.
    pub seed: Option<u64>,
    /// What the answer must be; `None`: anything.
    pub constraint: Option<Constraint>,
}

/// An answer, complete.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// The text.
    pub text: String,
    /// What the device is to do.
    pub action: Option<Action>,
    /// The decision of every hop.
    pub decisions: Vec<Decision>,
    /// Who answered.
    pub place: String,
    /// The attempt that answered, from 1.
    pub attempt: u32,
    /// The place was lost in the midst of it, so that it is not all.
    pub interrupted: bool,
    /// Tokens in and out.
    pub usage: Option<Usage>,
    /// US dollars.
    pub price_usd: f64,
    /// From the call to the first delta.
    pub first_token: Duration,
    /// From the call to the end.
    pub total: Duration,
}

impl Question {
    /// A question with nothing special about it.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { text: text.to_owned(), ..Self::default() }
    }

    fn request(&self) -> GenerateRequest {
        let part = ContentPart { part: Some(content_part::Part::Text(self.text.clone())) };
        GenerateRequest {
            turns: vec![Turn { role: Role::User.into(), parts: vec![part] }],
            sampling: Some(Sampling {
                max_tokens: self.max_tokens,
                temperature: Some(self.temperature.unwrap_or(0.0)),
                seed: self.seed,
                ..Sampling::default()
            }),
            privacy: self.privacy.into(),
            priority: self.priority.into(),
            only_place: self.only_place.clone(),
            model: self.model.clone(),
            constraint: self.constraint.clone(),
            ..GenerateRequest::default()
        }
    }
}

/// Asks, and hands each piece of text to `on_text` as it arrives.
///
/// # Errors
///
/// The status that the agent answered with.
pub async fn ask(
    channel: &Channel,
    question: &Question,
    mut on_text: impl FnMut(&str),
) -> Result<Answer, tonic::Status> {
    let start = Instant::now();
    let mut client = GenerationClient::new(channel.clone());
    let mut stream = client.generate(question.request()).await?.into_inner();
    let mut answer = Answer::default();
    while let Some(event) = stream.message().await? {
        match event.event {
            Some(Event::Started(started)) => {
                answer.first_token = start.elapsed();
                answer.decisions = started.decisions;
                answer.place = started.place;
                answer.attempt = started.attempt;
            }
            Some(Event::Delta(delta)) => {
                on_text(&delta.text);
                answer.text.push_str(&delta.text);
            }
            Some(Event::Action(action)) => answer.action = Some(action),
            Some(Event::Done(done)) => {
                answer.total = start.elapsed();
                answer.interrupted = done.finish_reason() == FinishReason::Interrupted;
                answer.usage = done.usage;
                answer.price_usd = done.price_usd;
            }
            None => {}
        }
    }
    Ok(answer)
}
