//! What can be known of a request from its text, in microseconds: language, length, topic, difficulty, sensitivity.
//!
//! Nothing here has a clock, does I/O or keeps state; the same text and models give the same signals to the bit on
//! every target. Reading is bounded: however long a text, only its beginning and its end are weighed by the parts that
//! look at words, and the parts that look at bytes make one pass.
//!
//! ```
//! let models = signals::Models::shipped();
//! let signals = signals::read("Wie spät ist es in Berlin?", &models);
//! assert_eq!(signals.language.code(), "de");
//! assert!(signals.shape.question);
//! ```

use serde::Serialize;

mod words;
mod lexicon;
mod grams;
mod container;
mod linear;
mod wide;
mod shape;
mod language;
mod tokens;
mod intent;
mod topic;
mod content;
mod sensitivity;
mod tagger;
mod spans;
mod ngrams;
mod difficulty;
mod format;
pub mod train;
pub mod learn;
mod error;
#[cfg(feature = "wire")]
pub mod wire;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use container::Kind;
use content::ContentModel;
use grams::Plain;
use intent::IntentModel;
use language::LanguageModel;
use lexicon::Lexicon;
use tagger::Tagger;
use topic::{Hints, TopicModel};

pub use content::Content;
pub use difficulty::{DifficultyModel, Estimate, MODEL_COUNT};
pub use error::Error;
pub use intent::Intent;
pub use language::{Language, Script};
pub use sensitivity::Sensitivity;
pub use shape::Shape;
pub use spans::{Span, SpanKind};
pub use topic::Topic;

/// Everything that is known of a text.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Signals {
    /// The language most of it seems to be in.
    pub language: Language,
    /// The script that most of its letters belong to.
    pub script: Script,
    /// Estimated tokens of a common byte-pair vocabulary.
    pub prompt_tokens: u32,
    /// What it looks like.
    pub shape: Shape,
    /// Median of the expected output tokens.
    pub output_tokens_p50: f32,
    /// 90th percentile of the expected output tokens.
    pub output_tokens_p90: f32,
    /// What it requires of [device model, cloud model].
    pub requirement: [f32; MODEL_COUNT],
    /// Subtracted from ability · requirement before the logistic function.
    pub difficulty: f32,
    /// What it wants, by the 150 intents of CLINC150.
    pub intent: Intent,
    /// What it wants, by the 64 intents of HWU64, most of them commands.
    pub command: Intent,
    /// A subject in which a wrong answer harms.
    pub topic: Topic,
    /// How probable that subject is; for none, how probable it is that there is none.
    pub topic_probability: f32,
    /// Personal data that has a form, counted in all of the text.
    pub sensitivity: Sensitivity,
    /// Personal data with its place, at most 64 pieces.
    pub spans: Vec<Span>,
    /// Private content that has no form.
    pub content: Content,
    /// How probable that kind is; for none, how probable it is that there is none.
    pub content_probability: f32,
    /// Whether there is a secret, private content, or personal data that tells who somebody is.
    pub private: bool,
}

/// The learned numbers that reading uses.
#[derive(Clone, PartialEq)]
pub struct Models {
    difficulty: DifficultyModel,
    lexicon: Lexicon,
    language: LanguageModel,
    intent: IntentModel,
    topics: TopicModel,
    content: ContentModel,
    tagger: Tagger,
    /// The type of each of the tagger's.
    tagged: Vec<SpanKind>,
}

// === impl Models ===

impl Models {
    /// The models that ship in this crate.
    pub fn shipped() -> Self {
        const BYTES: &[u8] = include_bytes!("../data/difficulty.bin");
        #[expect(clippy::expect_used, reason = "the file is part of this crate and a test reads it")]
        let difficulty = DifficultyModel::from_bytes(BYTES).expect("the shipped difficulty model is whole");
        Self::from(difficulty)
    }

    /// Models with another difficulty model, from the bytes that [`DifficultyModel::to_bytes`] made.
    pub fn with_difficulty(bytes: &[u8]) -> Result<Self, Error> {
        DifficultyModel::from_bytes(bytes).map(Self::from)
    }

    /// Puts a model that `causeway signals fit` wrote in the place of the one of its kind.
    pub fn replace(&mut self, bytes: &[u8]) -> Result<(), Error> {
        match container::kind_of(bytes) {
            Some(Kind::Language) => self.language = LanguageModel::from_bytes(bytes)?,
            Some(Kind::Safety) => self.topics = TopicModel::from_bytes(bytes)?,
            Some(Kind::Content) => self.content = ContentModel::from_bytes(bytes)?,
            Some(Kind::Tagger) => {
                let (tagger, tagged) = spans::tagger_of(bytes)?;
                (self.tagger, self.tagged) = (tagger, tagged);
            }
            Some(Kind::Intent) => self.intent = IntentModel::from_bytes(bytes)?,
            None => return Err(Error::ModelMagic { model: "signals" }),
        }
        Ok(())
    }

    /// The edition of the difficulty model's numbers, for the trail of a decision.
    pub fn version(&self) -> &str {
        self.difficulty.version()
    }

    /// The editions of all models: a name and the beginning of a checksum each.
    pub fn versions(&self) -> [&str; 6] {
        [
            self.difficulty.version(),
            self.language.version(),
            &self.intent.version,
            self.topics.version(),
            self.content.version(),
            &self.tagger.version,
        ]
    }

    /// Script and language of a text.
    pub fn language_of(&self, text: &str) -> (Script, Language) {
        self.language.guess(text)
    }

    /// What a text wants, by the intents of CLINC150 and by those of HWU64.
    pub fn intent_of(&self, text: &str) -> [Intent; 2] {
        self.intent.of(text)
    }

    /// The lists of intents by name, in the order of [`Models::intent_of`], with the names of their intents.
    pub fn taxonomies(&self) -> impl Iterator<Item = (&str, &[Arc<str>])> {
        self.intent.taxonomies()
    }

    /// The subject of a text in which a wrong answer harms, and its probability.
    pub fn topic_of(&self, text: &str) -> (Topic, f32) {
        let hints = Hints::of(text, &words::Words::of(text), &self.lexicon);
        self.topics.of(&Plain::of(text, topic::CHARS_MAX), &hints)
    }

    /// Private content of a text that has no form, and its probability.
    pub fn content_of(&self, text: &str) -> (Content, f32) {
        self.content.of(&Plain::of(text, topic::CHARS_MAX))
    }

    /// Personal data in a text with its place, at most 64 pieces in order.
    pub fn spans_of(&self, text: &str) -> Vec<Span> {
        let (_, forms) = sensitivity::find(text, 0);
        spans::of(text, &forms, &self.tagger, &self.tagged)
    }

    /// The difficulty model.
    pub fn difficulty(&self) -> &DifficultyModel {
        &self.difficulty
    }
}

impl fmt::Debug for Models {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Models").field(&self.versions()).finish()
    }
}

impl From<DifficultyModel> for Models {
    #[expect(clippy::expect_used, reason = "the files are part of this crate and a test reads them")]
    fn from(difficulty: DifficultyModel) -> Self {
        const WHOLE: &str = "the shipped models are whole";
        let language = LanguageModel::from_bytes(include_bytes!("../data/language.bin")).expect(WHOLE);
        let intent = IntentModel::from_bytes(include_bytes!("../data/intent.bin")).expect(WHOLE);
        let topics = TopicModel::from_bytes(include_bytes!("../data/safety.bin")).expect(WHOLE);
        let content = ContentModel::from_bytes(include_bytes!("../data/content.bin")).expect(WHOLE);
        let (tagger, tagged) = spans::tagger_of(include_bytes!("../data/tagger.bin")).expect(WHOLE);
        Self { difficulty, lexicon: Lexicon::shipped(), language, intent, topics, content, tagger, tagged }
    }
}

/// Reads a text.
pub fn read(text: &str, models: &Models) -> Signals {
    let shape = shape::shape(text);
    let (script, language) = models.language.guess(text);
    let estimate = models.difficulty.estimate(text, &shape);
    let [intent, command] = models.intent.of(text);
    let grave = Grave::read(text, models);
    Signals {
        language,
        script,
        prompt_tokens: tokens::estimate(text),
        shape,
        output_tokens_p50: estimate.output_tokens_p50,
        output_tokens_p90: estimate.output_tokens_p90,
        requirement: estimate.requirement,
        difficulty: estimate.difficulty,
        intent,
        command,
        topic: grave.topic.0,
        topic_probability: grave.topic.1,
        sensitivity: grave.sensitivity,
        private: grave.is_private(),
        spans: grave.spans,
        content: grave.content.0,
        content_probability: grave.content.1,
    }
}

/// What has to be known of all that was said in a talk, and not of its last question alone.
pub(crate) struct Grave {
    pub(crate) topic: (Topic, f32),
    pub(crate) sensitivity: Sensitivity,
    pub(crate) spans: Vec<Span>,
    pub(crate) content: (Content, f32),
}

// === impl Grave ===

impl Grave {
    pub(crate) fn read(text: &str, models: &Models) -> Self {
        let plain = Plain::of(text, topic::CHARS_MAX);
        let hints = Hints::of(text, &words::Words::of(text), &models.lexicon);
        let (sensitivity, forms) = sensitivity::find(text, hints.secrets);
        Self {
            topic: models.topics.of(&plain, &hints),
            sensitivity,
            spans: spans::of(text, &forms, &models.tagger, &models.tagged),
            content: models.content.of(&plain),
        }
    }

    pub(crate) fn is_private(&self) -> bool {
        self.sensitivity.any()
            || self.content.0 != Content::None
            || self.spans.iter().any(|span| span.kind.identifies())
    }
}
