//! An answer on its way through: events stay the bytes that they came as, and of these only what this hop needs is read.
//!
//! Most of an answer is deltas in the one form that every encoder gives them, which is read in place. Whatever
//! looks otherwise is decoded in full, so that what is refused, and what is understood by it, is the same as ever; the
//! bytes are passed on all the same, with fields that this version does not know. Decisions that others made are not
//! looked into: they are carried, and counted.

mod plain;
mod delta;
mod codec;
mod frames;
mod serve;

use bytes::{BufMut, Bytes};
use prost::{DecodeError, Message, Oneof};
use proto::v1;

pub(crate) use self::codec::{Outgoing, Passing};
pub use self::delta::Delta;
pub(crate) use self::delta::EVENTS;
pub(crate) use self::frames::{Frames, ask};
pub(crate) use self::serve::{Answering, Generates, Generating};

/// One event of an answer. What comes once in it stands apart: an event is moved through many hands.
#[derive(Clone, Debug)]
pub enum Event {
    /// The beginning.
    Started(Box<Started>),
    /// Text and tokens.
    Delta(Delta),
    /// An action, as it came.
    Action(Bytes),
    /// The end.
    Done(Box<v1::Done>),
    /// What this version does not know.
    Unknown,
}

/// `causeway.v1.Started`, in which the decisions stay as they came.
#[derive(Clone, PartialEq, Message)]
pub struct Started {
    /// The request's id.
    #[prost(string, tag = "1")]
    pub request_id: String,
    /// What every hop decided, each a `causeway.v1.Decision`.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub decisions: Vec<Bytes>,
    /// Who answers.
    #[prost(string, tag = "3")]
    pub place: String,
    /// Counted from 1.
    #[prost(uint32, tag = "4")]
    pub attempt: u32,
    /// Of the model that answers.
    #[prost(string, tag = "5")]
    pub model_hash: String,
}

/// `causeway.v1.GenerateEvent` with such a beginning.
#[derive(Clone, PartialEq, Message)]
struct Read {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4")]
    event: Option<Kind>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Kind {
    #[prost(message, tag = "1")]
    Started(Started),
    #[prost(message, tag = "2")]
    Delta(v1::Delta),
    #[prost(message, tag = "3")]
    Action(v1::Action),
    #[prost(message, tag = "4")]
    Done(v1::Done),
}

// === impl Event ===

impl Event {
    /// Reads an encoded `causeway.v1.GenerateEvent`.
    ///
    /// # Errors
    /// The bytes are none.
    pub fn read(bytes: Bytes) -> Result<Self, DecodeError> {
        if let Some(said) = plain::read(&bytes) {
            return Ok(Self::Delta(Delta::plain(bytes, said)));
        }
        // From `Bytes`, so that what stays bytes is not copied.
        Ok(match Read::decode(bytes.clone())?.event {
            Some(Kind::Started(started)) => Self::Started(Box::new(started)),
            Some(Kind::Delta(delta)) => Self::Delta(Delta::read(bytes, delta)),
            Some(Kind::Action(_)) => Self::Action(bytes),
            Some(Kind::Done(done)) => Self::Done(Box::new(done)),
            None => Self::Unknown,
        })
    }

    /// Writes it as a `causeway.v1.GenerateEvent`.
    pub fn write(self, to: &mut impl BufMut) {
        let event = match self {
            Self::Delta(delta) => return delta.write(to),
            Self::Action(bytes) => return to.put(bytes),
            Self::Unknown => return,
            Self::Started(started) => Kind::Started(*started),
            Self::Done(done) => Kind::Done(*done),
        };
        // At once, so that what it is written to grows once and by no more than it has to.
        to.put_slice(&Read { event: Some(event) }.encode_to_vec());
    }

    /// The same, decoded.
    ///
    /// # Errors
    /// It carries a decision that is none.
    pub fn message(self) -> Result<v1::GenerateEvent, DecodeError> {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        v1::GenerateEvent::decode(bytes.as_slice())
    }
}

// === impl Started ===

impl Started {
    /// Whether every decision is one.
    pub(crate) fn check(&self) -> Result<(), DecodeError> {
        self.decisions.iter().try_for_each(|one| v1::Decision::decode(one.as_ref()).map(drop))
    }

    /// The same without the decisions.
    pub(crate) fn summary(&self) -> v1::Started {
        v1::Started {
            request_id: self.request_id.clone(),
            decisions: Vec::new(),
            place: self.place.clone(),
            attempt: self.attempt,
            model_hash: self.model_hash.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
