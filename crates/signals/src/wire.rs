//! Signals as they travel with a request.

use proto::v1;
use proto::v1::content_part::Part;

use crate::{Content, Models, Signals};

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

/// Reads what signals that came with a request do not say, as those of an older or a smaller agent; whole ones are not
/// read again.
pub fn complete(given: v1::Signals, request: &v1::GenerateRequest, models: &Models) -> v1::Signals {
    if is_whole(&given) {
        return given;
    }
    let read = read(request, models);
    let mut all = given;
    if all.requirement.is_empty() {
        let topic = if all.topic.is_empty() { read.topic } else { all.topic };
        all = v1::Signals {
            topic,
            requirement: read.requirement,
            difficulty: read.difficulty,
            output_tokens_p50: read.output_tokens_p50,
            output_tokens_p90: read.output_tokens_p90,
            version: read.version,
            ..all
        };
    }
    if all.script.is_empty() {
        all.script = read.script;
        if all.language.is_empty() {
            all.language = read.language;
        }
    }
    if all.prompt_tokens == 0 {
        all.prompt_tokens = read.prompt_tokens;
    }
    if all.private.is_none() {
        all.sensitive |= read.sensitive;
        all.private = read.private;
    }
    all.intent = all.intent.or(read.intent);
    all.form = all.form.or(read.form);
    if all.models.is_empty() {
        all.models = read.models;
    }
    all
}

fn is_whole(signals: &v1::Signals) -> bool {
    !signals.requirement.is_empty()
        && !signals.script.is_empty()
        && signals.prompt_tokens > 0
        && signals.intent.is_some()
        && signals.form.is_some()
        && signals.private.is_some()
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
            // One word each, so that this is how it is written in a record too.
            script: format!("{:?}", self.script).to_lowercase(),
            intent: Some(v1::Intent {
                name: self.intent.name.to_string(),
                probability: self.intent.probability,
                in_scope: self.intent.in_scope,
            }),
            form: Some(v1::Form {
                code: self.shape.code,
                numbers: self.shape.numbers > 0,
                lists: self.shape.list_items > 0,
            }),
            private: Some(self.private_kinds()),
            models: models.versions().map(str::to_owned).to_vec(),
        }
    }

    /// Personal data is what tells who somebody is or how to reach them: a town alone does not.
    fn private_kinds(&self) -> v1::Private {
        let identifying = self.spans.iter().filter(|span| span.kind.identifies());
        let mut personal_data: Vec<String> =
            identifying.map(|span| span.kind.name().to_lowercase()).collect();
        personal_data.sort_unstable();
        personal_data.dedup();
        let content = Some(self.content).filter(|content| *content != Content::None);
        let private_content = content.iter().map(|content| content.name().to_owned()).collect();
        v1::Private { personal_data, private_content }
    }
}

#[cfg(test)]
mod tests;
