//! One direction of a connection: bytes that arrive late, are held up, or end in the midst of a frame.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::network::Host;
use crate::trace::Trace;

/// Bytes on the way or unread before a writer waits, as a socket's buffers hold.
const BUFFER_BYTES: usize = 64 * 1024;

/// One direction.
pub(crate) struct Wire {
    pub(crate) number: u64,
    pub(crate) from: Host,
    pub(crate) to: Host,
    trace: Arc<Trace>,
    state: Mutex<State>,
}

struct State {
    random: StdRng,
    /// The least and the most milliseconds that bytes take.
    delay_ms: (u64, u64),
    chunks: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    last_due: Instant,
    end: Option<(Instant, End)>,
    /// Nothing gets through, nor does anybody learn of it.
    held: bool,
    /// What is written is lost, and nobody learns of it.
    swallowed: bool,
    reader_dead: bool,
    writer_dead: bool,
    /// Bytes until the connection is cut.
    cut_after: Option<usize>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// How a direction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Finished,
    Reset,
}

/// One end of a connection.
pub(crate) struct Socket {
    pub(crate) inward: Arc<Wire>,
    pub(crate) outward: Arc<Wire>,
    timer: Option<Pin<Box<Sleep>>>,
}

// === impl Wire ===

impl Wire {
    pub(crate) fn new(
        number: u64,
        (from, to): (Host, Host),
        delay_ms: (u64, u64),
        trace: Arc<Trace>,
        seed: u64,
    ) -> Arc<Self> {
        let state = State {
            random: StdRng::seed_from_u64(seed),
            delay_ms,
            chunks: VecDeque::new(),
            bytes: 0,
            last_due: Instant::now(),
            end: None,
            held: false,
            swallowed: false,
            reader_dead: false,
            writer_dead: false,
            cut_after: None,
            reader: None,
            writer: None,
        };
        Arc::new(Self { number, from, to, trace, state: Mutex::new(state) })
    }

    /// Bytes take so long from now on.
    pub(crate) fn slow(&self, delay_ms: (u64, u64)) {
        self.state.lock().delay_ms = delay_ms;
    }

    /// Holds everything up, or lets it go on.
    pub(crate) fn hold(&self, held: bool) {
        let state = &mut *self.state.lock();
        state.held = held;
        if !held {
            // What was lost on the way is sent again.
            let due = state.due();
            for chunk in &mut state.chunks {
                chunk.0 = chunk.0.max(due);
            }
            state.end = state.end.map(|(at, end)| (at.max(due), end));
        }
        state.wake();
    }

    /// The connection is lost after so many more bytes.
    pub(crate) fn cut_after(&self, bytes: usize) {
        self.state.lock().cut_after = Some(bytes.max(1));
    }

    /// Or it is not, if it was not yet.
    pub(crate) fn uncut(&self) {
        self.state.lock().cut_after.take_if(|left| *left > 0);
    }

    /// The process that writes is killed: what it wrote still arrives, then a reset.
    pub(crate) fn writer_killed(&self) {
        let state = &mut *self.state.lock();
        state.writer_dead = true;
        let due = state.due();
        state.end.get_or_insert((due, End::Reset));
        state.wake();
    }

    /// The process that reads is killed: its peer learns of it.
    pub(crate) fn reader_killed(&self) {
        let state = &mut *self.state.lock();
        (state.reader_dead, state.writer_dead) = (true, true);
        state.wake();
    }

    /// The machine of the writer loses its power: nobody hears of it again.
    pub(crate) fn writer_dark(&self) {
        let state = &mut *self.state.lock();
        (state.writer_dead, state.held) = (true, true);
        state.wake();
    }

    /// The machine of the reader loses its power: its peer writes on.
    pub(crate) fn reader_dark(&self) {
        let state = &mut *self.state.lock();
        (state.reader_dead, state.swallowed) = (true, true);
        state.wake();
    }

    pub(crate) fn is_over(&self) -> bool {
        let state = self.state.lock();
        state.reader_dead && state.writer_dead || state.end.is_some() && state.chunks.is_empty()
    }

    fn close(&self, by_reader: bool) {
        let state = &mut *self.state.lock();
        if by_reader {
            state.reader_dead = true;
        } else if !state.writer_dead {
            state.writer_dead = true;
            let due = state.due();
            state.end.get_or_insert((due, End::Finished));
        }
        state.wake();
    }
}

// === impl State ===

impl State {
    fn due(&mut self) -> Instant {
        let (least, most) = self.delay_ms;
        let delay = Duration::from_millis(self.random.random_range(least..=most));
        self.last_due = self.last_due.max(Instant::now() + delay);
        self.last_due
    }

    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }

    /// Takes what may be written; an error once the connection is lost.
    fn write(&mut self, bytes: &[u8], cx: &Context<'_>) -> Poll<io::Result<usize>> {
        if self.swallowed {
            return Poll::Ready(Ok(bytes.len()));
        }
        if self.writer_dead || self.reader_dead || self.end.is_some() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = BUFFER_BYTES - self.bytes;
        if room == 0 {
            self.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let mut len = bytes.len().min(room);
        if let Some(left) = &mut self.cut_after {
            len = len.min(*left);
            *left -= len;
        }
        let due = self.due();
        self.chunks.push_back((due, bytes[..len].to_vec()));
        self.bytes += len;
        if self.cut_after == Some(0) {
            self.end = Some((due, End::Reset));
        }
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(len))
    }
}

// === impl Socket ===

impl Socket {
    pub(crate) fn new(inward: Arc<Wire>, outward: Arc<Wire>) -> Self {
        Self { inward, outward, timer: None }
    }

    /// Waits for what is on its way.
    fn wait(&mut self, until: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if timer.deadline() != until {
            timer.as_mut().reset(until);
        }
        timer.as_mut().poll(cx)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = self.inward.clone();
        loop {
            let mut state = wire.state.lock();
            if state.reader_dead {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            state.reader = Some(cx.waker().clone());
            if state.held {
                return Poll::Pending;
            }
            let now = Instant::now();
            let due = match (state.chunks.front(), state.end) {
                (Some((due, _)), _) => *due,
                (None, Some((due, _))) => due,
                (None, None) => return Poll::Pending,
            };
            if due > now {
                drop(state);
                match self.wait(due, cx) {
                    Poll::Ready(()) => continue,
                    Poll::Pending => return Poll::Pending,
                }
            }
            let Some((_, mut bytes)) = state.chunks.pop_front() else {
                return Poll::Ready(match state.end {
                    Some((_, End::Reset)) => Err(io::ErrorKind::ConnectionReset.into()),
                    _ => Ok(()),
                });
            };
            let len = bytes.len().min(buf.remaining());
            let rest = bytes.split_off(len);
            if !rest.is_empty() {
                state.chunks.push_front((due, rest));
            }
            state.bytes -= len;
            if let Some(writer) = state.writer.take() {
                writer.wake();
            }
            wire.trace.arrived(wire.number, &bytes);
            buf.put_slice(&bytes);
            return Poll::Ready(Ok(()));
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.outward.state.lock().write(buf, cx);
        // A cut is one of both directions.
        if self.outward.state.lock().cut_after == Some(0) {
            self.inward.writer_killed();
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outward.close(false);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.inward.close(true);
        self.outward.close(false);
    }
}
