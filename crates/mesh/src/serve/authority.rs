//! Makes the `:authority` of callers on a Unix socket one that HTTP/2 takes.
//!
//! gRPC's C core, and with it C++, Python and Ruby, puts the socket's path there, percent-encoded. `h2` takes no `%` in a
//! host and resets the stream as malformed before anybody else sees it. On a socket of this machine the name means
//! nothing, so `%` and `/` become `-` on the way in. That leaves every length as it was: the string's, the frame's, and
//! that of its entry in HPACK's table, so that no other byte has to change and no table has to be kept in step.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

use super::preface::PREFACE;
use super::writes::writes_to_inner;

/// Length (3 bytes), type, flags and stream (4 bytes) of a frame.
const HEADER_BYTES: usize = 9;
/// A frame that begins a block of headers, and one that continues it.
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
/// Flags of a HEADERS frame: its first byte is a count of padding; five bytes of priority come before the block.
const PADDED: u8 = 0x08;
const PRIORITY: u8 = 0x20;
/// `:authority` in HPACK's static table, and in letters, as the C core writes it.
const AUTHORITY_INDEX: u8 = 1;
const AUTHORITY_NAME: &[u8] = b":authority";

/// A connection whose reader sees no path in an `:authority`.
#[derive(Debug)]
pub(super) struct Named<T> {
    inner: T,
    /// Where its callers could only be on this machine.
    scan: Option<Frames>,
}

/// Where in the sequence of frames the connection is. It holds no byte back.
#[derive(Debug)]
struct Frames {
    header: [u8; HEADER_BYTES],
    /// Bytes of the header that have come.
    filled: usize,
    /// Bytes of the payload still to come.
    left: usize,
    /// The next byte counts the padding.
    padded: bool,
    /// Bytes still to come before the block.
    before: usize,
    /// Bytes after the block.
    padding: usize,
    /// Whether the payload holds a block.
    block: bool,
    field: Field,
}

/// Where in a block of headers it is, by RFC 7541, sections 5 and 6. A block goes on over frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    /// Before the next field.
    Start,
    /// In the further bytes of an index; then comes this.
    Index(Next),
    /// Before the length of a string.
    Length(Part),
    /// In the further bytes of a length.
    Further { part: Part, plain: bool, count: usize, shift: u32 },
    /// In a string.
    Text { part: Part, plain: bool, left: usize },
    /// In what is no block; the reader will say so.
    Lost,
}

/// What follows an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Another field: the index was all of this one.
    Field,
    /// The value of a field.
    Value,
}

/// What a string is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// So many of its bytes are those of `:authority`; `None`: it is another name.
    Name(Option<usize>),
    Value,
    Authority,
}

// === impl Named ===

impl<T> Named<T> {
    /// `inner` begins with HTTP/2's preface; `local`: only this machine can be its other end.
    pub(super) fn new(inner: T, local: bool) -> Self {
        Self { inner, scan: local.then(Frames::after_preface) }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Named<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        if let Some(frames) = &mut self.scan {
            frames.pass(&mut buf.filled_mut()[before..]);
        }
        polled
    }
}

writes_to_inner!(Named);

// === impl Frames ===

impl Frames {
    fn after_preface() -> Self {
        Self {
            header: [0; HEADER_BYTES],
            // The preface is passed like a payload without a block.
            filled: HEADER_BYTES,
            left: PREFACE.len(),
            padded: false,
            before: 0,
            padding: 0,
            block: false,
            field: Field::Start,
        }
    }

    /// Follows the next bytes of the connection, however they are cut.
    fn pass(&mut self, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            let taken = if self.filled < HEADER_BYTES { self.take_header(bytes) } else { self.take(bytes) };
            bytes = &mut bytes[taken..];
        }
    }

    fn take_header(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(HEADER_BYTES - self.filled);
        self.header[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
        self.filled += taken;
        if self.filled == HEADER_BYTES {
            let [high, middle, low, kind, flags, ..] = self.header;
            self.left = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
            let headers = kind == HEADERS;
            self.padded = headers && flags & PADDED != 0;
            self.before = if headers && flags & PRIORITY != 0 { 5 } else { 0 };
            self.padding = 0;
            self.block = headers || kind == CONTINUATION;
            if headers {
                self.field = Field::Start;
            }
            self.end_of_payload();
        }
        taken
    }

    /// Some of the payload: at least one byte.
    fn take(&mut self, bytes: &mut [u8]) -> usize {
        let there = bytes.len().min(self.left);
        let taken = if self.padded {
            self.padded = false;
            self.padding = usize::from(bytes[0]);
            1
        } else if self.before > 0 {
            let taken = there.min(self.before);
            self.before -= taken;
            taken
        } else if self.block && self.left > self.padding {
            let taken = there.min(self.left - self.padding);
            for byte in &mut bytes[..taken] {
                self.field = self.field.pass(byte);
            }
            taken
        } else {
            there
        };
        self.left -= taken;
        self.end_of_payload();
        taken
    }

    fn end_of_payload(&mut self) {
        if self.left == 0 {
            self.filled = 0;
        }
    }
}

// === impl Field ===

impl Field {
    /// Where the block is after this byte, which is changed where it stands in an `:authority` and may not.
    fn pass(self, byte: &mut u8) -> Self {
        match self {
            Field::Start => Self::begun(*byte),
            Field::Index(next) if *byte & 0x80 == 0 => next.field(),
            Field::Index(_) | Field::Lost => self,
            Field::Length(part) => {
                let (plain, count) = (*byte & 0x80 == 0, usize::from(*byte & 0x7f));
                match count {
                    0x7f => Field::Further { part, plain, count, shift: 0 },
                    count => Self::text(part, plain, count),
                }
            }
            // More would be longer than any frame.
            Field::Further { shift, .. } if shift > 21 => Field::Lost,
            Field::Further { part, plain, count, shift } => {
                let count = count + (usize::from(*byte & 0x7f) << shift);
                match *byte & 0x80 {
                    0 => Self::text(part, plain, count),
                    _ => Field::Further { part, plain, count, shift: shift + 7 },
                }
            }
            Field::Text { part, plain, left } => {
                // The C core writes this value as it is. A Huffman-coded one passes, to be refused if it must be.
                if part == Part::Authority && plain && matches!(*byte, b'%' | b'/') {
                    *byte = b'-';
                }
                Self::text(part.after(*byte, plain), plain, left - 1)
            }
        }
    }

    /// By the first byte of a field: indexed, literal that the table keeps, size of the table, other literals.
    fn begun(byte: u8) -> Self {
        let (mask, next) = match byte {
            0x80.. => (0x7f, Next::Field),
            0x40.. => (0x3f, Next::Value),
            0x20.. => (0x1f, Next::Field),
            _ => (0x0f, Next::Value),
        };
        match (byte & mask, next) {
            (index, _) if index == mask => Field::Index(next),
            (_, Next::Field) => Field::Start,
            (0, Next::Value) => Field::Length(Part::Name(Some(0))),
            (AUTHORITY_INDEX, Next::Value) => Field::Length(Part::Authority),
            (_, Next::Value) => Field::Length(Part::Value),
        }
    }

    fn text(part: Part, plain: bool, left: usize) -> Self {
        match (left, part) {
            (0, Part::Name(Some(same))) if same == AUTHORITY_NAME.len() => Field::Length(Part::Authority),
            (0, Part::Name(_)) => Field::Length(Part::Value),
            (0, Part::Value | Part::Authority) => Field::Start,
            (left, part) => Field::Text { part, plain, left },
        }
    }
}

// === impl Part ===

impl Part {
    /// The same after one more of its bytes.
    fn after(self, byte: u8, plain: bool) -> Self {
        let Part::Name(Some(same)) = self else { return self };
        Part::Name((plain && AUTHORITY_NAME.get(same) == Some(&byte)).then_some(same + 1))
    }
}

// === impl Next ===

impl Next {
    fn field(self) -> Field {
        match self {
            Next::Field => Field::Start,
            Next::Value => Field::Length(Part::Value),
        }
    }
}

#[cfg(test)]
mod tests;
