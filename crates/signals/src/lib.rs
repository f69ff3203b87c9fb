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
mod shape;
mod language;
mod tokens;
mod topic;
mod sensitivity;
mod ngrams;
mod difficulty;
mod format;
pub mod train;
mod error;
#[cfg(feature = "wire")]
mod wire;
#[cfg(test)]
mod tests;

use lexicon::Lexicon;

pub use difficulty::{DifficultyModel, Estimate, MODEL_COUNT};
pub use error::Error;
pub use language::{Language, Script};
pub use sensitivity::Sensitivity;
pub use shape::Shape;
pub use topic::Topic;

/// Everything that is known of a text.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
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
    /// A subject in which a wrong answer harms.
    pub topic: Topic,
    /// Personal data in it.
    pub sensitivity: Sensitivity,
    /// Whether there is any personal data or secret in it.
    pub private: bool,
}

/// The learned numbers that reading uses.
#[derive(Clone, Debug, PartialEq)]
pub struct Models {
    difficulty: DifficultyModel,
    lexicon: Lexicon,
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

    /// The edition of these numbers, for the trail of a decision.
    pub fn version(&self) -> &str {
        self.difficulty.version()
    }

    /// The difficulty model.
    pub fn difficulty(&self) -> &DifficultyModel {
        &self.difficulty
    }
}

impl From<DifficultyModel> for Models {
    fn from(difficulty: DifficultyModel) -> Self {
        Self { difficulty, lexicon: Lexicon::shipped() }
    }
}

/// Reads a text.
pub fn read(text: &str, models: &Models) -> Signals {
    let shape = shape::shape(text);
    let words = words::Words::of(text);
    let (script, language) = language::guess(text, &words, &models.lexicon);
    let estimate = models.difficulty.estimate(text, &shape);
    let told = topic::of(text, &words, &models.lexicon);
    let sensitivity = sensitivity::find(text, told.secrets);
    Signals {
        language,
        script,
        prompt_tokens: tokens::estimate(text),
        shape,
        output_tokens_p50: estimate.output_tokens_p50,
        output_tokens_p90: estimate.output_tokens_p90,
        requirement: estimate.requirement,
        difficulty: estimate.difficulty,
        topic: told.topic,
        sensitivity,
        private: sensitivity.any(),
    }
}
