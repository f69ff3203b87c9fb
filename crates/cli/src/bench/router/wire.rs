//! Messages as they stand on the wire: written once, numbered for each call, and counted without being read.

use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use proto::v1;
use proto::v1::content_part::Part;
use proto::v1::generate_event::Event;

/// What stands before each message: one byte for compression, four for the length.
pub(super) const PREFIX_BYTES: usize = 5;
/// An id has as many letters, so that one can be written over another.
const ID_BYTES: usize = 16;
/// The first byte of an event that is a delta, and of one that is the end.
const DELTA: u8 = 0x12;
const DONE: u8 = 0x22;
/// What every call asks. As long as a spoken question with a little of what came before it.
const QUESTION: &str = "We were talking about the garden. It has been dry for three weeks, and the tomatoes by the wall look \
     tired in the evening but recover over night. Should I water them in the morning or at dusk, and how much?";

/// A request, encoded, in which only the id changes.
#[derive(Debug, Clone)]
pub(super) struct Template {
    frame: Bytes,
    id_at: usize,
}

/// How far an answer has come.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// Bytes of a message that is not complete.
    rest: BytesMut,
    /// All of its messages' bytes.
    pub(super) bytes: usize,
    /// Deltas.
    pub(super) deltas: u32,
    /// Whether its end came.
    pub(super) done: bool,
    /// Every event, where they are kept.
    pub(super) kept: Option<Vec<Bytes>>,
}

/// A message with what stands before it.
pub(super) fn frame(message: &impl prost::Message) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(PREFIX_BYTES + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    // It has the room that it asked for.
    let _fits = message.encode(&mut frame);
    frame.freeze()
}

/// An event, framed.
pub(super) fn event(event: Event) -> Bytes {
    frame(&v1::GenerateEvent { event: Some(event) })
}

/// The message within a frame.
pub(super) fn message<M: prost::Message + Default>(frame: &[u8]) -> Option<M> {
    M::decode(frame.get(PREFIX_BYTES..)?).ok()
}

// === impl Template ===

impl Template {
    /// The question, with the signals that an agent gives or without.
    pub(super) fn new(signals_given: bool, prompt_bytes: usize) -> Self {
        let filling = QUESTION.chars().cycle().take(prompt_bytes.saturating_sub(QUESTION.len()));
        let text: String = filling.chain(QUESTION.chars()).collect();
        let mut request = v1::GenerateRequest {
            request_id: "0".repeat(ID_BYTES),
            turns: vec![v1::Turn {
                role: v1::Role::User.into(),
                parts: vec![v1::ContentPart { part: Some(Part::Text(text)) }],
            }],
            sampling: Some(v1::Sampling {
                max_tokens: Some(128),
                temperature: Some(0.0),
                ..v1::Sampling::default()
            }),
            priority: v1::Priority::Interactive.into(),
            ..v1::GenerateRequest::default()
        };
        if signals_given {
            request.signals = Some(signals::wire::read(&request, &signals::Models::shipped()));
        }
        // The id is the first field: its number and its length stand before it.
        Self { frame: frame(&request), id_at: PREFIX_BYTES + 2 }
    }

    /// The request of this number.
    pub(super) fn numbered(&self, number: u64) -> Bytes {
        let mut frame = BytesMut::from(&*self.frame);
        if let Some(id) = frame.get_mut(self.id_at..self.id_at + ID_BYTES) {
            id.copy_from_slice(format!("{number:016x}").as_bytes());
        }
        frame.freeze()
    }

    /// Its length, bytes.
    pub(super) fn bytes(&self) -> usize {
        self.frame.len()
    }
}

// === impl Reading ===

impl Reading {
    /// Takes the next bytes of the answer.
    pub(super) fn take(&mut self, mut data: Bytes) {
        self.bytes += data.len();
        if !self.rest.is_empty() {
            self.rest.extend_from_slice(&data);
            data = std::mem::take(&mut self.rest).freeze();
        }
        while let Some(length) = whole(&data) {
            let one = data.split_to(length);
            match one.get(PREFIX_BYTES) {
                Some(&DELTA) => self.deltas += 1,
                Some(&DONE) => self.done = true,
                _ => {}
            }
            if let Some(kept) = &mut self.kept {
                kept.push(one);
            }
        }
        self.rest.extend_from_slice(&data);
        data.advance(data.len());
    }

    /// Whether the events that were kept are one answer: a beginning, every token from the first on, an end.
    pub(super) fn check(&self, chunks: u32) -> Result<()> {
        let Some(kept) = &self.kept else { return Ok(()) };
        let mut tokens = 0;
        for one in kept {
            match message::<v1::GenerateEvent>(one).and_then(|event| event.event) {
                Some(Event::Delta(delta)) => {
                    let wanted = tokens..tokens + u32::try_from(delta.token_ids.len()).unwrap_or(u32::MAX);
                    let follows = delta.first_token_index == tokens
                        && delta.token_ids.iter().copied().eq(wanted.clone());
                    ensure!(follows, "the tokens from {tokens} on are not those that the worker sent");
                    tokens = wanted.end;
                }
                Some(Event::Started(started)) => {
                    ensure!(!started.place.is_empty(), "the beginning names no place");
                }
                Some(Event::Done(_)) => {}
                Some(Event::Action(_)) | None => ensure!(false, "an event that the worker did not send"),
            }
        }
        ensure!(tokens == chunks, "{tokens} of {chunks} tokens came");
        Ok(())
    }
}

/// The length of the first message with what stands before it, if all of it is there.
fn whole(data: &[u8]) -> Option<usize> {
    let length = data.get(1..PREFIX_BYTES)?;
    let length = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    (data.len() >= PREFIX_BYTES + length).then_some(PREFIX_BYTES + length)
}

/// Milliseconds of a time, as messages have them.
pub(super) fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}
