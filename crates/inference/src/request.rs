//! What a caller asks for, and which of it is refused before it costs anything.

use std::{collections::BTreeMap, time::Instant};

use crate::Error;

/// Who said a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Instructions that hold for the whole conversation.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

/// One turn of a conversation. Its text is never read as control tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Who said it.
    pub role: Role,
    /// What was said.
    pub text: String,
}

/// The turns so far, oldest first.
pub type Conversation = Vec<Turn>;

/// How the next token is chosen. What is `None` is as the model's own files say, and where they say nothing, greedy and
/// without any of the rest. The order in which this applies stands in the crate's `README.md`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sampling {
    /// 0 takes the likeliest token; above, scores are divided by it. At most 2.
    pub temperature: Option<f32>,
    /// Keeps the likeliest tokens whose probabilities first reach this sum; in (0, 1].
    pub top_p: Option<f32>,
    /// Keeps this many of the likeliest tokens; 0 keeps all.
    pub top_k: Option<usize>,
    /// Keeps tokens at least this many times as probable as the likeliest; 0 keeps all; at most 1.
    pub min_p: Option<f32>,
    /// Above 1, tokens of the prompt and the answer become less likely (Keskar et al. 2019); 0.01 to 2.
    pub repetition_penalty: Option<f32>,
    /// Taken from the score of each token that the answer holds; -2 to 2.
    pub presence_penalty: f32,
    /// Taken from a token's score once for each time that the answer holds it; -2 to 2.
    pub frequency_penalty: f32,
    /// Added to the scores of these ids; each -100 to 100, at most 1024 of them.
    pub logit_bias: BTreeMap<u32, f32>,
    /// Tells each token's log-probability, and of this many of the likeliest in its place; at most 20.
    pub logprobs: Option<usize>,
}

impl Sampling {
    /// The likeliest token each time, whatever the model's files say of temperature.
    #[must_use]
    pub fn greedy() -> Self {
        Self { temperature: Some(0.0), ..Self::default() }
    }
}

/// What the text of an answer must be. It is kept token by token; the answer ends by itself where nothing more is allowed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Constraint {
    /// JSON that the schema, JSON text of an object, accepts; without white space but single spaces. At most 64 KiB.
    JsonSchema(String),
    /// Text of a grammar in the Lark syntax of the `llguidance` library. At most 64 KiB.
    Lark(String),
    /// Text that the whole of a regular expression matches. At most 4096 bytes.
    Regex(String),
}

/// One answer to be generated.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The turns so far; the last must be the user's or the system's and hold text.
    pub conversation: Conversation,
    /// Tokens of the whole answer, those in `resume` included.
    pub max_tokens: usize,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// What the answer must be; `None`: anything.
    pub constraint: Option<Constraint>,
    /// The answer ends before the first of these; at most 8 of at most 64 bytes.
    pub stop: Vec<String>,
    /// With the position it determines every draw.
    pub seed: u64,
    /// When the answer must be complete.
    pub deadline: Option<Instant>,
    /// 0 is served first.
    pub priority: u8,
    /// Token ids of this answer that were already produced; generation goes on after them.
    pub resume: Vec<u32>,
    /// Who asks, by any name. Only requests of the same name reuse each other's computed beginnings: between others
    /// neither the time nor the usage of an answer tells what was asked before.
    pub tenant: String,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            conversation: Vec::new(),
            max_tokens: 256,
            sampling: Sampling::default(),
            constraint: None,
            stop: Vec::new(),
            seed: 0,
            deadline: None,
            priority: 100,
            resume: Vec::new(),
            tenant: String::new(),
        }
    }
}

// The ranges of the wire contract, which is not linked where the feature `wire` is off; see `crate::wire`.
pub(crate) const STOP_STRINGS_MAX: usize = 8;
pub(crate) const STOP_BYTES_MAX: usize = 64;
pub(crate) const TEMPERATURE_MAX: f32 = 2.0;
pub(crate) const PENALTY_MIN: f32 = 0.01;
pub(crate) const PENALTY_MAX: f32 = 2.0;
pub(crate) const OCCURRENCE_PENALTY_MAX: f32 = 2.0;
pub(crate) const LOGIT_BIAS_MAX: f32 = 100.0;
pub(crate) const LOGIT_BIAS_LEN_MAX: usize = 1_024;
pub(crate) const LOGPROBS_MAX: usize = 20;
pub(crate) const GRAMMAR_BYTES_MAX: usize = 64 << 10;
pub(crate) const REGEX_BYTES_MAX: usize = 4_096;

impl Request {
    /// Checks what needs no model.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        match self.conversation.last() {
            None => return Err(Error::bad_request("conversation", "holds no turn")),
            Some(turn) if turn.role == Role::Assistant => {
                return Err(Error::bad_request("conversation", "ends with the assistant's own turn"));
            }
            Some(turn) if turn.text.trim().is_empty() => {
                return Err(Error::bad_request("conversation", "ends with an empty turn"));
            }
            Some(_) => {}
        }
        if self.max_tokens == 0 {
            return Err(Error::bad_request("max_tokens", "is 0; at least 1 is needed"));
        }
        if self.stop.len() > STOP_STRINGS_MAX {
            let problem =
                format!("holds {} strings; at most {STOP_STRINGS_MAX} are allowed", self.stop.len());
            return Err(Error::bad_request("stop", problem));
        }
        if let Some(stop) = self.stop.iter().find(|s| s.is_empty() || s.len() > STOP_BYTES_MAX) {
            let problem =
                format!("holds a string of {} bytes; 1 to {STOP_BYTES_MAX} are allowed", stop.len());
            return Err(Error::bad_request("stop", problem));
        }
        if let Some(constraint) = &self.constraint {
            constraint.validate()?;
        }
        self.sampling.validate()
    }
}

impl Constraint {
    /// The field's name, here and on the wire.
    pub(crate) fn field(&self) -> &'static str {
        match self {
            Self::JsonSchema(_) => "json_schema",
            Self::Lark(_) => "lark_grammar",
            Self::Regex(_) => "regex",
        }
    }

    fn validate(&self) -> Result<(), Error> {
        let (bytes, max) = match self {
            Self::JsonSchema(text) | Self::Lark(text) => (text.len(), GRAMMAR_BYTES_MAX),
            Self::Regex(text) => (text.len(), REGEX_BYTES_MAX),
        };
        if (1..=max).contains(&bytes) {
            return Ok(());
        }
        Err(Error::bad_request(self.field(), format!("has {bytes} bytes; 1 to {max} are allowed")))
    }
}

impl Sampling {
    /// Checks what needs no model.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        // Written so that NaN fails each comparison.
        let within = |field, value: Option<f32>, range: std::ops::RangeInclusive<f32>, allowed| match value {
            Some(value) if !range.contains(&value) => Err(out_of_range(field, value, allowed)),
            _ => Ok(()),
        };
        within("temperature", self.temperature, 0.0..=TEMPERATURE_MAX, "0 to 2")?;
        if let Some(top_p) = self.top_p.filter(|top_p| !(*top_p > 0.0 && *top_p <= 1.0)) {
            return Err(out_of_range("top_p", top_p, "above 0, up to 1"));
        }
        within("min_p", self.min_p, 0.0..=1.0, "0 to 1")?;
        within("repetition_penalty", self.repetition_penalty, PENALTY_MIN..=PENALTY_MAX, "0.01 to 2")?;
        let occurrences = -OCCURRENCE_PENALTY_MAX..=OCCURRENCE_PENALTY_MAX;
        within("presence_penalty", Some(self.presence_penalty), occurrences.clone(), "-2 to 2")?;
        within("frequency_penalty", Some(self.frequency_penalty), occurrences, "-2 to 2")?;
        if self.logit_bias.len() > LOGIT_BIAS_LEN_MAX {
            let problem =
                format!("holds {} ids; at most {LOGIT_BIAS_LEN_MAX} are allowed", self.logit_bias.len());
            return Err(Error::bad_request("logit_bias", problem));
        }
        for bias in self.logit_bias.values() {
            within("logit_bias", Some(*bias), -LOGIT_BIAS_MAX..=LOGIT_BIAS_MAX, "-100 to 100")?;
        }
        match self.logprobs.filter(|count| *count > LOGPROBS_MAX) {
            Some(count) => {
                let problem = format!("is {count}; at most {LOGPROBS_MAX} are allowed");
                Err(Error::bad_request("logprobs", problem))
            }
            None => Ok(()),
        }
    }
}

fn out_of_range(field: &'static str, value: f32, allowed: &str) -> Error {
    Error::bad_request(field, format!("is {value}; {allowed} is allowed"))
}
