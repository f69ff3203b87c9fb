//! Signals as they travel with a request.

use proto::v1;

use crate::{Models, Signals};

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
