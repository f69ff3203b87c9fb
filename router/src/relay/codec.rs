//! How events and requests enter and leave the wire of this hop, with buffers as small as they are.

use bytes::{Buf as _, BufMut as _, Bytes};
use prost::Message as _;
use proto::v1;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use super::Event;

/// A buffer that a call begins with, bytes: it holds a few tokens, and grows with what is larger.
const BUFFER_BYTES: usize = 512;
/// Events that are there at once leave together, up to so many bytes.
const TOGETHER_BYTES: usize = 32 << 10;

/// What stands before a message: whether it is compressed, and its length in four bytes.
pub(super) const PREFIX_BYTES: usize = 5;

/// `decisions` of a request: its number, and that a length follows.
const DECISIONS: u8 = 13 << 3 | 2;

/// What a caller sends, and is sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Passing;

/// A request on its way to a worker, encoded and framed.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing(pub(super) Bytes);

// === impl Outgoing ===

impl Outgoing {
    /// A request with what this hop adds: `added` goes before what it says itself, field by field, and `decision`, a
    /// `causeway.v1.Decision`, behind those that others made. Messages that stand one behind the other are one.
    pub(crate) fn new(request: &v1::GenerateRequest, added: &v1::GenerateRequest, decision: &Bytes) -> Self {
        let length = prost::length_delimiter_len(decision.len()) + decision.len();
        let length = request.encoded_len() + added.encoded_len() + 1 + length;
        let mut all = Vec::with_capacity(PREFIX_BYTES + length);
        all.put_u8(0);
        all.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
        request.encode_raw(&mut all);
        added.encode_raw(&mut all);
        all.put_u8(DECISIONS);
        prost::encoding::encode_varint(decision.len() as u64, &mut all);
        all.put_slice(decision);
        Self(all.into())
    }
}

fn settings() -> BufferSettings {
    BufferSettings::new(BUFFER_BYTES, TOGETHER_BYTES)
}

/// In the words of other calls, which [`mesh::message`] knows.
pub(super) fn unreadable(error: &prost::DecodeError) -> Status {
    Status::internal(error.to_string())
}

impl Codec for Passing {
    type Encode = Event;
    type Decode = v1::GenerateRequest;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Passing {
    type Item = Event;
    type Error = Status;

    fn encode(&mut self, event: Event, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        event.write(to);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        settings()
    }
}

impl Decoder for Passing {
    type Item = v1::GenerateRequest;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<v1::GenerateRequest>, Status> {
        let message = from.copy_to_bytes(from.remaining());
        v1::GenerateRequest::decode(message.as_ref()).map(Some).map_err(|error| unreadable(&error))
    }

    fn buffer_settings(&self) -> BufferSettings {
        settings()
    }
}
