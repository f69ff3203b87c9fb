//! Follows the frames that a connection's peer sends, by their headers, and ends it where they are a flood or come too
//! slowly. What HTTP/2 itself makes of them is not looked at.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::preface::PREFACE;
use super::writes::writes_to_inner;
use super::{Fault, ServeOptions};

/// Length (3 bytes), type, flags and stream (4 bytes) of a frame, by RFC 9113, section 4.1.
const HEADER_BYTES: usize = 9;
/// Frame types, by its section 6.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
/// Flags: of DATA and HEADERS, of SETTINGS and PING, of HEADERS and CONTINUATION.
const END_STREAM: u8 = 0x1;
const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
/// A frame with fewer bytes of data, in the midst of a stream, is small: h2 and we do as much for it as for a full one.
const SMALL_BYTES: usize = 64;
/// A block of headers of frames that hold as much on average is large; one of lesser frames has too many of them.
const HEADER_BLOCK_FRAME_BYTES: u32 = 1024;
/// Frames are counted over so long.
const WINDOW: Duration = Duration::from_secs(10);

/// How many frames of each kind a peer may send in ten seconds, and how long it may take for one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    resets_max: u32,
    small_frames_max: u32,
    pings_max: u32,
    settings_max: u32,
    control_frames_max: u32,
    headers_timeout: Duration,
}

/// A connection whose peer is kept within bounds.
#[derive(Debug)]
pub(super) struct Guarded<T> {
    inner: T,
    bounds: Bounds,
    frames: Frames,
    window: Window,
    /// While a frame or a block of headers is incomplete: its number, and when it is late.
    timer: Option<(u64, Pin<Box<Sleep>>)>,
    fault: Found,
}

/// Why a connection was ended, for whoever drove it.
#[derive(Debug, Clone, Default)]
pub(super) struct Found(Arc<Finding>);

#[derive(Debug, Default)]
struct Finding {
    fault: OnceLock<Fault>,
    resets: AtomicU32,
    small_frames: AtomicU32,
    /// Frames and bytes of the block of headers that goes on.
    block_frames: AtomicU32,
    block_bytes: AtomicU32,
}

/// What came in the present window.
#[derive(Debug)]
struct Window {
    since: Instant,
    resets: u32,
    small_frames: u32,
    pings: u32,
    settings: u32,
    control_frames: u32,
}

/// Where in the sequence of frames the connection is.
#[derive(Debug)]
struct Frames {
    header: [u8; HEADER_BYTES],
    /// Bytes of the header that have come.
    filled: usize,
    /// Bytes of the payload still to come.
    left: usize,
    /// Whether a block of headers goes on.
    block: bool,
    /// Frames, or blocks of them, that were completed.
    completed: u64,
}

/// A frame by its header.
#[derive(Debug, Clone, Copy)]
struct Head {
    kind: u8,
    flags: u8,
    bytes: usize,
}

// === impl Bounds ===

impl Bounds {
    pub(super) fn new(options: &ServeOptions) -> Self {
        Self {
            resets_max: options.resets_max,
            small_frames_max: options.small_frames_max,
            pings_max: options.pings_max,
            settings_max: options.settings_max,
            control_frames_max: options.control_frames_max,
            headers_timeout: Duration::from_millis(options.headers_timeout_ms),
        }
    }
}

// === impl Found ===

impl Found {
    /// The fault, if that is why it ended.
    pub(super) fn get(&self) -> Option<Fault> {
        self.0.fault.get().copied()
    }

    /// Of what there was too much, where HTTP/2 says that there was.
    pub(super) fn too_much(&self) -> Fault {
        let Finding { resets, small_frames, block_frames, block_bytes, .. } = &*self.0;
        let read = |cell: &AtomicU32| cell.load(Ordering::Relaxed);
        let full = read(block_bytes) / HEADER_BLOCK_FRAME_BYTES >= read(block_frames);
        match (read(block_frames), read(small_frames), read(resets)) {
            (1.., ..) if full => Fault::HeadersTooLarge,
            (2.., ..) => Fault::ContinuationFlood,
            (_, small_frames, resets) if small_frames > resets => Fault::SmallFrameFlood,
            // Streams that were reset by whoever opened them, or for what they sent.
            _ => Fault::ResetFlood,
        }
    }

    /// Counts what HTTP/2 has bounds of its own for.
    fn see(&self, head: Head) {
        let Finding { resets, small_frames, block_frames, block_bytes, .. } = &*self.0;
        let more = |cell: &AtomicU32, by: u32| {
            cell.store(cell.load(Ordering::Relaxed).saturating_add(by), Ordering::Relaxed);
        };
        match head.kind {
            RST_STREAM => more(resets, 1),
            DATA if head.is_small() => more(small_frames, 1),
            HEADERS | CONTINUATION => {
                if head.kind == HEADERS {
                    block_frames.store(0, Ordering::Relaxed);
                    block_bytes.store(0, Ordering::Relaxed);
                }
                more(block_frames, 1);
                more(block_bytes, u32::try_from(head.bytes).unwrap_or(u32::MAX));
            }
            _ => {}
        }
    }

    fn set(&self, fault: Fault) -> io::Error {
        // The first one ended it.
        let _ = self.0.fault.set(fault);
        io::Error::new(io::ErrorKind::InvalidData, fault.name())
    }
}

// === impl Guarded ===

impl<T> Guarded<T> {
    /// `inner` begins with HTTP/2's preface.
    pub(super) fn new(inner: T, bounds: Bounds) -> Self {
        let (frames, window) = (Frames::after_preface(), Window::new());
        Self { inner, bounds, frames, window, timer: None, fault: Found::default() }
    }

    /// Where to look for what ended it.
    pub(super) fn found(&self) -> Found {
        self.fault.clone()
    }

    fn pass(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (taken, begun) = self.frames.pass(rest);
            rest = &rest[taken..];
            let Some(head) = begun else { continue };
            self.fault.see(head);
            if let Some(fault) = self.window.count(head, &self.bounds) {
                return Err(self.fault.set(fault));
            }
        }
        Ok(())
    }

    /// Nothing came: whether what has begun is late.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(number) = self.frames.incomplete() else {
            self.timer = None;
            return Ok(());
        };
        if self.timer.as_ref().is_none_or(|(of, _)| *of != number) {
            self.timer = Some((number, Box::pin(sleep(self.bounds.headers_timeout))));
        }
        let late = self.timer.as_mut().is_some_and(|(_, timer)| timer.as_mut().poll(cx).is_ready());
        if late { Err(self.fault.set(Fault::LateHeaders)) } else { Ok(()) }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Guarded<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match Pin::new(&mut self.inner).poll_read(cx, buf) {
            Poll::Ready(Ok(())) => Poll::Ready(self.pass(&buf.filled()[before..])),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => match self.poll_late(cx) {
                Ok(()) => Poll::Pending,
                Err(error) => Poll::Ready(Err(error)),
            },
        }
    }
}

writes_to_inner!(Guarded);

// === impl Window ===

impl Window {
    fn new() -> Self {
        let since = Instant::now();
        Self { since, resets: 0, small_frames: 0, pings: 0, settings: 0, control_frames: 0 }
    }

    /// Counts a frame; the flood that it makes, if it does.
    fn count(&mut self, head: Head, bounds: &Bounds) -> Option<Fault> {
        let Head { kind, flags, .. } = head;
        let (count, most, fault) = match kind {
            DATA if !head.is_small() => return None,
            DATA => (&mut self.small_frames, bounds.small_frames_max, Fault::SmallFrameFlood),
            RST_STREAM => (&mut self.resets, bounds.resets_max, Fault::ResetFlood),
            PING if flags & ACK != 0 => return None,
            PING => (&mut self.pings, bounds.pings_max, Fault::PingFlood),
            SETTINGS if flags & ACK != 0 => return None,
            SETTINGS => (&mut self.settings, bounds.settings_max, Fault::SettingsFlood),
            // Bounded by the calls and by the size of a block. A call may have one small frame, which a short request is.
            HEADERS => {
                self.small_frames = self.small_frames.saturating_sub(1);
                return None;
            }
            CONTINUATION => return None,
            _ => (&mut self.control_frames, bounds.control_frames_max, Fault::ControlFlood),
        };
        *count += 1;
        if *count <= most {
            return None;
        }
        if self.since.elapsed() < WINDOW {
            return Some(fault);
        }
        *self = Self::new();
        None
    }
}

// === impl Head ===

impl Head {
    /// Whether it holds little data, in the midst of a stream.
    fn is_small(&self) -> bool {
        self.kind == DATA && self.bytes < SMALL_BYTES && self.flags & END_STREAM == 0
    }
}

// === impl Frames ===

impl Frames {
    fn after_preface() -> Self {
        // The preface is passed like a payload.
        Self {
            header: [0; HEADER_BYTES],
            filled: HEADER_BYTES,
            left: PREFACE.len(),
            block: false,
            completed: 0,
        }
    }

    /// Passes some of the bytes, at least one; the frame that they begin, once its header is whole.
    fn pass(&mut self, bytes: &[u8]) -> (usize, Option<Head>) {
        if self.filled == HEADER_BYTES {
            let taken = bytes.len().min(self.left);
            self.left -= taken;
            self.end_of_payload();
            return (taken, None);
        }
        let taken = bytes.len().min(HEADER_BYTES - self.filled);
        self.header[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
        self.filled += taken;
        if self.filled < HEADER_BYTES {
            return (taken, None);
        }
        let head = self.head();
        if matches!(head.kind, HEADERS | CONTINUATION) {
            self.block = head.flags & END_HEADERS == 0;
        }
        self.left = head.bytes;
        self.end_of_payload();
        (taken, Some(head))
    }

    fn head(&self) -> Head {
        let [high, middle, low, kind, flags, ..] = self.header;
        let bytes = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        Head { kind, flags, bytes }
    }

    fn end_of_payload(&mut self) {
        if self.left == 0 {
            self.filled = 0;
            self.completed += u64::from(!self.block);
        }
    }

    /// The number of what has begun and is not complete. How long data takes is for its call to say.
    fn incomplete(&self) -> Option<u64> {
        let header = (1..HEADER_BYTES).contains(&self.filled);
        let payload = self.filled == HEADER_BYTES && self.head().kind != DATA;
        (self.block || header || payload).then_some(self.completed)
    }
}

#[cfg(test)]
mod tests;
