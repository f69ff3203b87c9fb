//! What a request says to an agent: the words that may be a command, and the facts of its decision.

use policy::wire::request;
use policy::{Facts, Name};
use proto::v1;
use proto::v1::content_part::Part;

/// The facts of a request, its signals given.
pub(crate) fn of(request: &v1::GenerateRequest, signals: &v1::Signals, tenant: Name) -> Facts {
    let mut facts = request::facts(request, signals, tenant);
    // A worker of a tier is the upstream's to find: here it stands for its tier.
    if let Some((tier, _)) = request.only_place.split_once('/') {
        facts.only_place = Some(tier.into());
    }
    facts
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

#[cfg(test)]
mod tests;
