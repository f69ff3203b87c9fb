//! Signals as they travel with a request.

use proto::v1;
use proto::v1::content_part::Part;

use crate::{Content, Grave, Models, Sensitivity, Signals, Span, Topic};

/// Reads the signals of a request that brought none: of its last turn, which is the question, with the earlier turns
/// counted into its length. What is personal or private counts wherever it was said, a grave topic wherever a person
/// said it: who asks "and now?" asks about what was said before.
pub fn read(request: &v1::GenerateRequest, models: &Models) -> v1::Signals {
    let question = request.turns.last().map(text_of).unwrap_or_default();
    let question = question.trim_end();
    let mut signals = crate::read(question, models).to_wire(models);
    let mut bytes = question.len();
    for turn in request.turns.iter().rev().skip(1) {
        let text = text_of(turn);
        bytes += text.trim_end().len();
        add_earlier(&mut signals, turn, &Grave::read(text.trim_end(), models));
    }
    let whole = f64::from(signals.prompt_tokens) * bytes as f64 / question.len().max(1) as f64;
    // The cast saturates; bytes are bounded by the request's own limit.
    signals.prompt_tokens = signals.prompt_tokens.max(whole.ceil() as u32);
    signals
}

/// The text of a turn, a line for each part.
fn text_of(turn: &v1::Turn) -> String {
    let mut whole = String::new();
    for part in &turn.parts {
        let Some(Part::Text(text)) = &part.part else { continue };
        whole.push_str(text);
        whole.push('\n');
    }
    whole
}

/// Adds what an earlier turn told to the signals of the last one.
fn add_earlier(signals: &mut v1::Signals, turn: &v1::Turn, earlier: &Grave) {
    let private = signals.private.get_or_insert_default();
    for (all, more) in [
        (&mut private.personal_data, personal_data(&earlier.spans)),
        (&mut private.private_content, private_content(earlier.content.0, earlier.sensitivity)),
    ] {
        all.extend(more);
        all.sort_unstable();
        all.dedup();
    }
    signals.sensitive |= earlier.is_private();
    // An assistant that warns of a subject does not make it one.
    let said = if turn.role() == v1::Role::Assistant { Topic::None } else { earlier.topic.0 };
    let is_of = |topic: &Topic| *topic == said || topic.name() == signals.topic;
    if let Some(gravest) = Topic::GRAVEST_FIRST.into_iter().find(is_of) {
        signals.topic = gravest.name().to_owned();
    }
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
            private: Some(v1::Private {
                personal_data: personal_data(&self.spans),
                private_content: private_content(self.content, self.sensitivity),
            }),
            models: models.versions().map(str::to_owned).to_vec(),
        }
    }
}

/// Personal data is what tells who somebody is or how to reach them: a town alone does not.
fn personal_data(spans: &[Span]) -> Vec<String> {
    let identifying = spans.iter().filter(|span| span.kind.identifies());
    let mut kinds: Vec<String> = identifying.map(|span| span.kind.name().to_lowercase()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

/// Kinds of private content; a phrase that announces a password tells of credentials, whatever the rest is.
fn private_content(content: Content, sensitivity: Sensitivity) -> Vec<String> {
    let announced = (sensitivity.secrets > 0).then_some(Content::Credentials);
    let told = [Some(content), announced].into_iter().flatten().filter(|content| *content != Content::None);
    let mut kinds: Vec<String> = told.map(|content| content.name().to_owned()).collect();
    kinds.dedup();
    kinds
}

#[cfg(test)]
mod tests;
