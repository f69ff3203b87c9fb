//! What a caller asks for, and which of it is refused before it costs anything.

use std::time::Instant;

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

/// How the next token is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// 0 takes the likeliest token; above, scores are divided by it. At most 2.
    pub temperature: f32,
    /// Keeps the likeliest tokens whose probabilities first reach this sum; in (0, 1].
    pub top_p: f32,
    /// Keeps this many of the likeliest tokens; 0 keeps all.
    pub top_k: usize,
    /// Above 1, tokens of the prompt and the answer become less likely (Keskar et al. 2019); 0.01 to 2.
    pub repetition_penalty: f32,
}

impl Default for Sampling {
    /// Greedy.
    fn default() -> Self {
        Self { temperature: 0.0, top_p: 1.0, top_k: 0, repetition_penalty: 1.0 }
    }
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
        self.sampling.validate()
    }
}

impl Sampling {
    fn validate(&self) -> Result<(), Error> {
        // Written so that NaN fails each comparison.
        if !(0.0..=TEMPERATURE_MAX).contains(&self.temperature) {
            return Err(out_of_range("temperature", self.temperature, "0 to 2"));
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return Err(out_of_range("top_p", self.top_p, "above 0, up to 1"));
        }
        if !(PENALTY_MIN..=PENALTY_MAX).contains(&self.repetition_penalty) {
            return Err(out_of_range("repetition_penalty", self.repetition_penalty, "0.01 to 2"));
        }
        Ok(())
    }
}

fn out_of_range(field: &'static str, value: f32, allowed: &str) -> Error {
    Error::bad_request(field, format!("is {value}; {allowed} is allowed"))
}
