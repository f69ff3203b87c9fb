//! From a request to what a decision may know of it.

use policy::{Capabilities, Facts, Name, Priority, Privacy, Topic, Vector, Version};
use proto::v1;
use proto::v1::content_part::Part;

/// The facts of a request, its signals given. Deadline and learned versions are added when it is decided.
pub(crate) fn of(request: &v1::GenerateRequest, signals: &v1::Signals, tenant: Name) -> Facts {
    Facts {
        prompt_tokens: signals.prompt_tokens,
        output_tokens_p50: signals.output_tokens_p50,
        output_tokens_p90: signals.output_tokens_p90,
        output_tokens_max: request.sampling.as_ref().and_then(|sampling| sampling.max_tokens),
        requirement: Vector::new(&signals.requirement),
        difficulty: signals.difficulty,
        topic: topic(&signals.topic),
        language: signals.language.as_str().into(),
        privacy: match request.privacy() {
            v1::Privacy::Unspecified | v1::Privacy::Normal => Privacy::Normal,
            v1::Privacy::HomeOnly => Privacy::HomeOnly,
            v1::Privacy::LocalOnly => Privacy::LocalOnly,
        },
        priority: match request.priority() {
            v1::Priority::Unspecified | v1::Priority::Normal => Priority::Normal,
            v1::Priority::Interactive => Priority::Interactive,
            v1::Priority::Background => Priority::Background,
        },
        tenant,
        residency: name(&request.residency),
        needs: needs(request),
        price_max_usd: request.price_max_usd,
        only_place: name(only_place(request)),
        versions: vec![Version::new("difficulty", signals.version.as_str())],
        ..Facts::default()
    }
}

/// Reads the signals of a request that brought none: of its last turn, which is the question, with the earlier turns
/// counted into its length.
pub(crate) fn read(request: &v1::GenerateRequest, models: &signals::Models) -> v1::Signals {
    let mut question = String::new();
    let mut bytes = 0;
    for (index, turn) in request.turns.iter().enumerate() {
        for part in &turn.parts {
            let Some(Part::Text(text)) = &part.part else { continue };
            bytes += text.len();
            if index + 1 == request.turns.len() {
                question.push_str(text);
                question.push('\n');
            }
        }
    }
    let question = question.trim_end();
    let mut signals = signals::read(question, models).to_wire(models);
    let whole = f64::from(signals.prompt_tokens) * bytes as f64 / question.len().max(1) as f64;
    // The cast saturates; bytes are bounded by the request's own limit.
    signals.prompt_tokens = signals.prompt_tokens.max(whole.ceil() as u32);
    signals
}

/// The text that may be a command: the one thing that a person said. Under instructions of a system turn the same words
/// are material to work on.
pub(crate) fn said(request: &v1::GenerateRequest) -> Option<&str> {
    if request.turns.iter().any(|turn| turn.role() == v1::Role::System) {
        return None;
    }
    match request.turns.last()?.parts.as_slice() {
        [v1::ContentPart { part: Some(Part::Text(text)) }] => Some(text),
        _ => None,
    }
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

/// A worker of a tier is the upstream's to find: here it stands for its tier.
fn only_place(request: &v1::GenerateRequest) -> &str {
    request.only_place.split_once('/').map_or(request.only_place.as_str(), |(tier, _)| tier)
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
