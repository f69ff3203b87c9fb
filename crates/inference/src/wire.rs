//! Between the wire and the engine: a `GenerateRequest` becomes a `Request`, what the engine says becomes messages.

use std::time::Instant;

use proto::v1 as wire;

use crate::request;
use crate::{
    Confidence, Constraint, Done, Error, Finish, Logprobs, ModelInfo, Request, Role, Sampling, TopLogprob,
    Turn,
};

// An engine takes what the contract allows, no more and no less.
const _: () = assert!(
    request::TEMPERATURE_MAX.to_bits() == proto::TEMPERATURE_MAX.to_bits()
        && request::PENALTY_MIN.to_bits() == proto::REPETITION_PENALTY_MIN.to_bits()
        && request::PENALTY_MAX.to_bits() == proto::REPETITION_PENALTY_MAX.to_bits()
        && request::STOP_STRINGS_MAX == proto::STOP_LEN_MAX
        && request::STOP_BYTES_MAX == proto::STOP_BYTES_MAX
        && request::OCCURRENCE_PENALTY_MAX.to_bits() == proto::OCCURRENCE_PENALTY_MAX.to_bits()
        && request::LOGIT_BIAS_MAX.to_bits() == proto::LOGIT_BIAS_MAX.to_bits()
        && request::LOGIT_BIAS_LEN_MAX == proto::LOGIT_BIAS_LEN_MAX
        && request::LOGPROBS_MAX == proto::LOGPROBS_MAX as usize
        && request::GRAMMAR_BYTES_MAX == proto::GRAMMAR_BYTES_MAX
        && request::REGEX_BYTES_MAX == proto::REGEX_BYTES_MAX
);

/// What a hop adds to a request before its engine sees it.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Tokens produced when the request names no bound.
    pub output_tokens_default: u32,
    /// The most that a request may ask for.
    pub output_tokens_max: u32,
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
}

/// Reads a request for the engine, which checks the values.
///
/// # Errors
///
/// [`Error::BadRequest`] names a field that an engine cannot take.
pub fn request(request: &wire::GenerateRequest, limits: Limits) -> Result<Request, Error> {
    if wire::Privacy::try_from(request.privacy).is_err() {
        return Err(Error::bad_request(
            "privacy",
            format!("is {}, which is not known here", request.privacy),
        ));
    }
    if wire::Priority::try_from(request.priority).is_err() {
        return Err(Error::bad_request(
            "priority",
            format!("is {}, which is not known here", request.priority),
        ));
    }
    let conversation = request.turns.iter().map(read_turn).collect::<Result<_, _>>()?;
    let asked = request.sampling.clone().unwrap_or_default();
    let max_tokens = asked.max_tokens.unwrap_or(limits.output_tokens_default);
    if max_tokens > limits.output_tokens_max {
        let problem = format!("is {max_tokens}; at most {} are allowed here", limits.output_tokens_max);
        return Err(Error::bad_request("sampling.max_tokens", problem));
    }
    Ok(Request {
        conversation,
        max_tokens: max_tokens as usize,
        sampling: read_sampling(&asked),
        constraint: request.constraint.as_ref().map(read_constraint),
        seed: asked.seed.unwrap_or_else(|| seed_of(&request.request_id)),
        stop: asked.stop,
        deadline: limits.deadline,
        priority: match request.priority() {
            wire::Priority::Unspecified | wire::Priority::Interactive => 0,
            wire::Priority::Normal => 1,
            wire::Priority::Background => 2,
        },
        resume: request.resume.clone().map(|resume| resume.token_ids).unwrap_or_default(),
        // The caller says who asks, as far as it knows.
        tenant: String::new(),
    })
}

/// The engine's end for the wire; place and price are the hop's to add. Nothing for an answer whose deadline passed,
/// which ends as an error.
#[must_use]
pub fn done(done: &Done, model: &ModelInfo) -> Option<wire::Done> {
    let finish_reason = match done.finish {
        Finish::Stop => wire::FinishReason::Stop,
        Finish::Length => wire::FinishReason::Length,
        Finish::Deadline => return None,
    };
    Some(wire::Done {
        usage: Some(wire::Usage {
            prompt_tokens: count(done.usage.prompt_tokens),
            cached_prompt_tokens: count(done.usage.cached_tokens),
            output_tokens: count(done.usage.output_tokens),
        }),
        finish_reason: finish_reason.into(),
        model_hash: model.hash_hex(),
        confidence: Some(confidence(done.confidence)),
        ..wire::Done::default()
    })
}

/// The model as `Describe` and a worker's report name it.
#[must_use]
pub fn model(model: &ModelInfo) -> wire::ModelDescription {
    wire::ModelDescription {
        name: model.name.clone(),
        architecture: model.architecture.clone(),
        hash: model.hash_hex(),
        parameters: model.parameters,
        active_parameters: model.active_parameters,
        context_tokens_max: count(model.context_tokens_max),
        quantization: model.quantization.clone(),
        numeric_class: model.numeric_class.clone(),
    }
}

fn read_turn(turn: &wire::Turn) -> Result<Turn, Error> {
    let mut text = String::new();
    for part in &turn.parts {
        match &part.part {
            Some(wire::content_part::Part::Text(more)) => text.push_str(more),
            Some(wire::content_part::Part::Image(_)) => {
                return Err(Error::bad_request("turns.parts.image", "cannot be read by this model"));
            }
            Some(wire::content_part::Part::Audio(_)) => {
                return Err(Error::bad_request("turns.parts.audio", "cannot be heard by this model"));
            }
            None => return Err(Error::bad_request("turns.parts", "holds a part without content")),
        }
    }
    let role = match turn.role() {
        wire::Role::System => Role::System,
        wire::Role::Assistant => Role::Assistant,
        wire::Role::Unspecified | wire::Role::User => Role::User,
    };
    Ok(Turn { role, text })
}

fn read_sampling(asked: &wire::Sampling) -> Sampling {
    Sampling {
        temperature: asked.temperature,
        top_p: asked.top_p,
        top_k: asked.top_k.map(|k| k as usize),
        min_p: asked.min_p,
        repetition_penalty: asked.repetition_penalty,
        presence_penalty: asked.presence_penalty.unwrap_or(0.0),
        frequency_penalty: asked.frequency_penalty.unwrap_or(0.0),
        logit_bias: asked.logit_bias.iter().map(|(id, bias)| (*id, *bias)).collect(),
        logprobs: asked.logprobs.map(|count| count as usize),
    }
}

fn read_constraint(asked: &wire::generate_request::Constraint) -> Constraint {
    use wire::generate_request::Constraint as Asked;
    match asked {
        Asked::JsonSchema(text) => Constraint::JsonSchema(text.clone()),
        Asked::LarkGrammar(text) => Constraint::Lark(text.clone()),
        Asked::Regex(text) => Constraint::Regex(text.clone()),
    }
}

/// What became visible, for the wire.
#[must_use]
pub fn delta(
    text: String,
    token_ids: Vec<u32>,
    first_token_index: u32,
    logprobs: Vec<Logprobs>,
) -> wire::Delta {
    let top = |top: TopLogprob| wire::TopLogprob { token_id: top.id, logprob: top.logprob, text: top.text };
    let one = |one: Logprobs| wire::TokenLogprobs {
        logprob: one.logprob,
        top: one.top.into_iter().map(top).collect(),
    };
    wire::Delta { text, token_ids, first_token_index, logprobs: logprobs.into_iter().map(one).collect() }
}

fn confidence(confidence: Confidence) -> wire::Confidence {
    wire::Confidence { min: confidence.min, p10: confidence.p10, mean: confidence.mean }
}

/// A seed that a retry of the same request draws again.
fn seed_of(request_id: &str) -> u64 {
    let hash = blake3::hash(request_id.as_bytes());
    hash.as_bytes().iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte))
}

/// Counts on the wire are 32 bits wide; no context is longer.
fn count(tokens: usize) -> u32 {
    u32::try_from(tokens).unwrap_or(u32::MAX)
}
