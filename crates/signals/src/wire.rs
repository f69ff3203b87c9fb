//! Signals as they travel with a request.

use proto::v1;
use proto::v1::content_part::Part;

use crate::{Models, Signals};

/// Reads the signals of a request that brought none: of its last turn, which is the question, with the earlier turns
/// counted into its length.
pub fn read(request: &v1::GenerateRequest, models: &Models) -> v1::Signals {
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
    let mut signals = crate::read(question, models).to_wire(models);
    let whole = f64::from(signals.prompt_tokens) * bytes as f64 / question.len().max(1) as f64;
    // The cast saturates; bytes are bounded by the request's own limit.
    signals.prompt_tokens = signals.prompt_tokens.max(whole.ceil() as u32);
    signals
}

// === impl Signals ===

impl Signals {
    /// The signals as a message, with the edition of the models that read them.
    pub fn to_wire(&self, models: &Models) -> v1::Signals {
        v1::Signals {
            language: self.language.code().to_owned(),
            prompt_tokens: self.prompt_tokens,
            output_tokens_p50: self.output_tokens_p50,
            output_tokens_p90: self.output_tokens_p90,
            requirement: self.requirement.to_vec(),
            difficulty: self.difficulty,
            topic: self.topic.name().to_owned(),
            sensitive: self.private,
            version: models.version().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
