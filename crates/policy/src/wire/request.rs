//! A request as it comes from the wire: refused by the name of its field, or read into the facts of its decision.

use std::fmt::Display;

use proto::v1::content_part::Part;
use proto::{STOP_BYTES_MAX, STOP_LEN_MAX, v1};

use crate::capabilities::Capabilities;
use crate::facts::{Facts, Priority, Privacy, Topic, Version};
use crate::name::Name;
use crate::vector::Vector;

const ID_BYTES_MAX: usize = 64;
const NAME_BYTES_MAX: usize = 256;
const TURNS_MAX: usize = 256;
const PARTS_MAX: usize = 64;
/// Kinds of private things in one text, editions of models, and bytes of the name of either.
const KINDS_MAX: usize = 64;
const MODELS_MAX: usize = 16;
const SIGNAL_BYTES_MAX: usize = 64;
/// The model that says how hard a request is.
const DIFFICULTY: &str = "difficulty";
/// Hops that a request may pass; two that point at each other would pass it round for ever.
const DECISIONS_MAX: usize = 8;

/// A hop's own bounds, where the wire contract leaves them to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest text of all turns together, bytes.
    pub prompt_bytes_max: usize,
    /// The most tokens that a request may ask for.
    pub output_tokens_max: u32,
}

/// A field that breaks the wire contract or a limit of the hop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {problem}")]
pub struct Invalid {
    /// The field, such as `turns[2].parts[0]`.
    pub field: String,
    /// What is wrong with it and what is allowed.
    pub problem: String,
}

/// Checks a request, or names the first field that is wrong.
pub fn check(request: &v1::GenerateRequest, limits: &Limits) -> Result<(), Invalid> {
    id(&request.request_id)?;
    short("conversation_id", &request.conversation_id, ID_BYTES_MAX)?;
    short("residency", &request.residency, ID_BYTES_MAX)?;
    short("model", &request.model, NAME_BYTES_MAX)?;
    short("only_place", &request.only_place, NAME_BYTES_MAX)?;
    let salt = request.cache.as_ref().map_or("", |cache| &cache.salt);
    short("cache.salt", salt, ID_BYTES_MAX)?;
    turns(&request.turns, limits)?;
    if let Some(sampling) = &request.sampling {
        self::sampling(sampling, limits)?;
    }
    constraint(request)?;
    if let Some(signals) = &request.signals {
        self::signals(signals)?;
    }
    // What a later edition of the contract asks for cannot be kept here, and must not be taken for less.
    let privacies = "a privacy that is known here";
    within("privacy", v1::Privacy::try_from(request.privacy).is_ok(), request.privacy, privacies)?;
    let priorities = "a priority that is known here";
    within("priority", v1::Priority::try_from(request.priority).is_ok(), request.priority, priorities)?;
    if let Some(usd) = request.price_max_usd {
        within("price_max_usd", usd >= 0.0 && usd.is_finite(), usd, "0 or more")?;
    }
    let resumed = request.resume.as_ref().map_or(0, |resume| resume.token_ids.len());
    within("resume.token_ids", resumed <= limits.output_tokens_max as usize, resumed, "fewer token ids")?;
    let hops = request.decisions.len();
    within("decisions", hops < DECISIONS_MAX, hops, "fewer hops; two of them may point at each other")
}

/// Checks what is said of an answer, or names the first field that is wrong.
pub fn check_feedback(feedback: &v1::Feedback) -> Result<(), Invalid> {
    id(&feedback.request_id)
}

/// How much waiting matters to a request.
pub fn priority(request: &v1::GenerateRequest) -> Priority {
    match request.priority() {
        v1::Priority::Unspecified | v1::Priority::Normal => Priority::Normal,
        v1::Priority::Interactive => Priority::Interactive,
        v1::Priority::Background => Priority::Background,
    }
}

/// The facts of a request, its signals given, of whom `tenant` names the caller. Its deadline and the editions of what
/// else was learned are the hop's to add.
pub fn facts(request: &v1::GenerateRequest, signals: &v1::Signals, tenant: Name) -> Facts {
    let unsaid = (v1::Intent::default(), v1::Private::default());
    let intent = signals.intent.as_ref().unwrap_or(&unsaid.0);
    let private = signals.private.as_ref().unwrap_or(&unsaid.1);
    let form = signals.form.unwrap_or_default();
    Facts {
        prompt_tokens: signals.prompt_tokens,
        output_tokens_p50: signals.output_tokens_p50,
        output_tokens_p90: signals.output_tokens_p90,
        output_tokens_max: request.sampling.as_ref().and_then(|sampling| sampling.max_tokens),
        requirement: Vector::new(&signals.requirement),
        difficulty: signals.difficulty,
        topic: topic(&signals.topic),
        language: signals.language.as_str().into(),
        script: signals.script.as_str().into(),
        intent: intent.name.as_str().into(),
        intent_probability: intent.probability,
        in_scope: intent.in_scope,
        private_content: private.private_content.iter().map(|kind| kind.as_str().into()).collect(),
        personal_data: private.personal_data.iter().map(|kind| kind.as_str().into()).collect(),
        has_code: form.code,
        has_numbers: form.numbers,
        has_lists: form.lists,
        turns: u32::try_from(request.turns.len()).unwrap_or(u32::MAX),
        conversation: request.conversation_id.as_str().into(),
        privacy: match request.privacy() {
            v1::Privacy::Unspecified | v1::Privacy::Normal => Privacy::Normal,
            v1::Privacy::HomeOnly => Privacy::HomeOnly,
            v1::Privacy::LocalOnly => Privacy::LocalOnly,
        },
        priority: priority(request),
        tenant,
        residency: name(&request.residency),
        needs: needs(request),
        price_max_usd: request.price_max_usd,
        only_place: name(&request.only_place),
        versions: versions(signals),
        ..Facts::default()
    }
}

/// The editions of the models that read the text; the name of each is what stands before its hash.
fn versions(signals: &v1::Signals) -> Vec<Version> {
    let named = |edition: &String| {
        let name = edition.rsplit_once('-').map_or(edition.as_str(), |(name, _)| name);
        Version::new(name, edition.as_str())
    };
    let mut versions = vec![Version::new(DIFFICULTY, signals.version.as_str())];
    // Its edition has a field of its own: the numbers may be the caller's where the rest was read here.
    versions.extend(signals.models.iter().map(named).filter(|version| version.name != *DIFFICULTY));
    versions
}

/// What a peer that is believed says of a text, held to what a text can have.
fn signals(signals: &v1::Signals) -> Result<(), Invalid> {
    short("signals.language", &signals.language, SIGNAL_BYTES_MAX)?;
    short("signals.script", &signals.script, SIGNAL_BYTES_MAX)?;
    short("signals.topic", &signals.topic, SIGNAL_BYTES_MAX)?;
    short("signals.version", &signals.version, SIGNAL_BYTES_MAX)?;
    if let Some(intent) = &signals.intent {
        short("signals.intent.name", &intent.name, SIGNAL_BYTES_MAX)?;
    }
    kinds("signals.models", &signals.models, MODELS_MAX)?;
    let Some(private) = &signals.private else { return Ok(()) };
    kinds("signals.private.personal_data", &private.personal_data, KINDS_MAX)?;
    kinds("signals.private.private_content", &private.private_content, KINDS_MAX)
}

fn kinds(field: &str, names: &[String], len_max: usize) -> Result<(), Invalid> {
    within(field, names.len() <= len_max, names.len(), format_args!("at most {len_max} names"))?;
    names.iter().try_for_each(|name| short(field, name, SIGNAL_BYTES_MAX))
}

fn turns(turns: &[v1::Turn], limits: &Limits) -> Result<(), Invalid> {
    within("turns", (1..=TURNS_MAX).contains(&turns.len()), turns.len(), "from 1 to 256 turns")?;
    let mut bytes = 0;
    for (index, turn) in turns.iter().enumerate() {
        let parts = turn.parts.len();
        if !(1..=PARTS_MAX).contains(&parts) {
            let field = format!("turns[{index}].parts");
            return Err(invalid(field, format!("has {parts}; give from 1 to {PARTS_MAX}")));
        }
        for (part, content) in turn.parts.iter().enumerate() {
            bytes += content_bytes(content)
                .map_err(|problem| invalid(format!("turns[{index}].parts[{part}]"), problem.to_owned()))?;
        }
    }
    if bytes > limits.prompt_bytes_max {
        let problem = format!("have {bytes} bytes of text; give at most {}", limits.prompt_bytes_max);
        return Err(invalid("turns".to_owned(), problem));
    }
    match turns.last() {
        Some(last) if last.role() != v1::Role::User => {
            let field = format!("turns[{}].role", turns.len() - 1);
            Err(invalid(field, "is not the user's; the last turn must be".to_owned()))
        }
        _ => Ok(()),
    }
}

/// Bytes of text; images and audio are bounded by the message and refused, if at all, by what places can do.
fn content_bytes(content: &v1::ContentPart) -> Result<usize, &'static str> {
    match &content.part {
        Some(Part::Text(text)) if text.trim().is_empty() => Err("is empty; give some text"),
        Some(Part::Text(text)) => Ok(text.len()),
        Some(Part::Image(_) | Part::Audio(_)) => Ok(0),
        None => Err("holds nothing that is known here; give text"),
    }
}

fn sampling(sampling: &v1::Sampling, limits: &Limits) -> Result<(), Invalid> {
    if let Some(tokens) = sampling.max_tokens {
        let max = limits.output_tokens_max;
        within("sampling.max_tokens", (1..=max).contains(&tokens), tokens, format_args!("from 1 to {max}"))?;
    }
    if let Some(value) = sampling.temperature {
        let max = proto::TEMPERATURE_MAX;
        let allowed = format_args!("from 0 to {max}");
        within("sampling.temperature", (0.0..=max).contains(&value), value, allowed)?;
    }
    if let Some(value) = sampling.top_p {
        within("sampling.top_p", value > 0.0 && value <= 1.0, value, "above 0 and at most 1")?;
    }
    if let Some(value) = sampling.repetition_penalty {
        let (min, max) = (proto::REPETITION_PENALTY_MIN, proto::REPETITION_PENALTY_MAX);
        let allowed = format_args!("from {min} to {max}");
        within("sampling.repetition_penalty", (min..=max).contains(&value), value, allowed)?;
    }
    spread(sampling)?;
    within("sampling.stop", sampling.stop.len() <= STOP_LEN_MAX, sampling.stop.len(), "at most 8 strings")?;
    for (index, stop) in sampling.stop.iter().enumerate() {
        if !(1..=STOP_BYTES_MAX).contains(&stop.len()) {
            let problem = format!("has {} bytes; give from 1 to {STOP_BYTES_MAX}", stop.len());
            return Err(invalid(format!("sampling.stop[{index}]"), problem));
        }
    }
    Ok(())
}

/// What sets tokens apart that the answer holds, that the caller names, or that the likeliest leave behind.
fn spread(sampling: &v1::Sampling) -> Result<(), Invalid> {
    if let Some(value) = sampling.min_p {
        within("sampling.min_p", (0.0..=1.0).contains(&value), value, "from 0 to 1")?;
    }
    let max = proto::OCCURRENCE_PENALTY_MAX;
    let penalties = [
        ("sampling.presence_penalty", sampling.presence_penalty),
        ("sampling.frequency_penalty", sampling.frequency_penalty),
    ];
    for (field, value) in penalties.into_iter().filter_map(|(field, value)| Some((field, value?))) {
        within(field, (-max..=max).contains(&value), value, format_args!("from -{max} to {max}"))?;
    }
    let (biases, len_max) = (&sampling.logit_bias, proto::LOGIT_BIAS_LEN_MAX);
    within(
        "sampling.logit_bias",
        biases.len() <= len_max,
        biases.len(),
        format_args!("at most {len_max} ids"),
    )?;
    let max = proto::LOGIT_BIAS_MAX;
    if let Some((id, bias)) = biases.iter().find(|(_, bias)| !(-max..=max).contains(*bias)) {
        let field = format!("sampling.logit_bias[{id}]");
        within(&field, false, bias, format_args!("from -{max} to {max}"))?;
    }
    let (count, max) = (sampling.logprobs.unwrap_or(0), proto::LOGPROBS_MAX);
    within("sampling.logprobs", count <= max, count, format_args!("at most {max}"))
}

/// Only a model can say whether a constraint can be kept; a hop bounds its size.
fn constraint(request: &v1::GenerateRequest) -> Result<(), Invalid> {
    use v1::generate_request::Constraint;
    let (field, text, bytes_max) = match &request.constraint {
        None => return Ok(()),
        Some(Constraint::JsonSchema(text)) => ("json_schema", text, proto::GRAMMAR_BYTES_MAX),
        Some(Constraint::LarkGrammar(text)) => ("lark_grammar", text, proto::GRAMMAR_BYTES_MAX),
        Some(Constraint::Regex(text)) => ("regex", text, proto::REGEX_BYTES_MAX),
    };
    let length = text.len();
    let problem = || format!("has {length} bytes; give from 1 to {bytes_max}");
    if (1..=bytes_max).contains(&length) { Ok(()) } else { Err(invalid(field.to_owned(), problem())) }
}

/// An id stands in every log line, so that it has to be fit for one.
fn id(text: &str) -> Result<(), Invalid> {
    short("request_id", text, ID_BYTES_MAX)?;
    match text.chars().find(|letter| letter.is_control()) {
        None => Ok(()),
        Some(letter) => {
            let problem = format!("has the control character {letter:?}; give printable characters only");
            Err(Invalid { field: "request_id".to_owned(), problem })
        }
    }
}

fn short(field: &str, text: &str, bytes_max: usize) -> Result<(), Invalid> {
    if text.len() <= bytes_max {
        return Ok(());
    }
    Err(invalid(field.to_owned(), format!("has {} bytes; give at most {bytes_max}", text.len())))
}

/// What is allowed is written only where it is told.
fn within(field: &str, holds: bool, is: impl Display, allowed: impl Display) -> Result<(), Invalid> {
    if holds {
        return Ok(());
    }
    Err(invalid(field.to_owned(), format!("is {is}; give {allowed}")))
}

fn invalid(field: String, problem: String) -> Invalid {
    Invalid { field, problem }
}

/// What a place must be able to do for this content.
fn needs(request: &v1::GenerateRequest) -> Capabilities {
    let parts = request.turns.iter().flat_map(|turn| &turn.parts);
    parts.fold(Capabilities::TEXT, |needs, part| match part.part {
        Some(Part::Image(_)) => needs.with(Capabilities::IMAGE),
        Some(Part::Audio(_)) => needs.with(Capabilities::AUDIO),
        Some(Part::Text(_)) | None => needs,
    })
}

fn topic(name: &str) -> Topic {
    match name {
        "medical" => Topic::Medical,
        "legal" => Topic::Legal,
        "self_harm" => Topic::SelfHarm,
        "dangerous" => Topic::Dangerous,
        _ => Topic::None,
    }
}

fn name(text: &str) -> Option<Name> {
    (!text.is_empty()).then(|| text.into())
}

#[cfg(test)]
mod tests;
