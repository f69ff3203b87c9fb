//! Takes in a peer's stream of messages as they come, also while its reader does not ask for them, up to a bound.
//!
//! A reader that passes an answer on stops asking when its own caller stops reading. What it left with the peer would
//! fill the windows of the connection that all calls to that peer share, and would keep the peer's place in its batch
//! for nobody. So it is taken in here, in as few messages as it can be joined into, and past the bound this one stream
//! is given up.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::{Stream, StreamExt as _};
use parking_lot::Mutex;
use tonic::Status;

use crate::serve::{Aside, go_on_beside};

/// What can be known of messages without knowing them.
#[derive(Debug)]
pub struct Joining<T> {
    /// The bytes that a message holds.
    pub bytes: fn(&T) -> usize,
    /// Takes the later message into the earlier one, or gives it back where they cannot be one.
    pub join: fn(&mut T, T) -> Option<T>,
}

/// A stream of messages that is read on while its reader waits, within a call that [`crate::serve`] serves.
pub struct Intake<T, S> {
    shared: Arc<Shared<T, S>>,
}

struct Shared<T, S>(Mutex<Held<T, S>>);

struct Held<T, S> {
    /// `None`: it failed, or was given up.
    stream: Option<S>,
    /// Whether it has come to its end; what stands behind that is still in it.
    ended: bool,
    joining: Joining<T>,
    waiting: VecDeque<T>,
    /// Of what is waiting, as it came.
    bytes: usize,
    bytes_max: usize,
    /// What comes after what is waiting, where that is not simply the end.
    end: Option<Status>,
    /// Whether the reader has asked since the call was last looked at.
    asked: bool,
    over: bool,
}

// === impl Joining ===

impl<T> Clone for Joining<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Joining<T> {}

// === impl Intake ===

impl<T, S> std::fmt::Debug for Intake<T, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let held = self.shared.0.lock();
        f.debug_struct("Intake").field("bytes", &held.bytes).field("over", &held.over).finish_non_exhaustive()
    }
}

impl<T, S> Intake<T, S>
where
    T: Send + 'static,
    S: Stream<Item = Result<T, Status>> + Send + Unpin + 'static,
{
    /// Takes a stream in. More than `bytes_max` that its reader leaves waiting ends it.
    pub(super) fn new(stream: S, joining: Joining<T>, bytes_max: usize) -> Self {
        let held = Held {
            stream: Some(stream),
            ended: false,
            joining,
            waiting: VecDeque::new(),
            bytes: 0,
            bytes_max,
            end: None,
            asked: false,
            over: false,
        };
        let shared = Arc::new(Shared(Mutex::new(held)));
        let aside: Arc<dyn Aside> = shared.clone();
        go_on_beside(&aside);
        Self { shared }
    }

    /// The next message; `None` at the end.
    ///
    /// # Errors
    /// The stream's own status; RESOURCE_EXHAUSTED where it was given up because too much of it was left waiting.
    pub async fn message(&mut self) -> Result<Option<T>, Status> {
        poll_fn(|cx| self.shared.0.lock().poll_message(cx)).await
    }

    /// The stream itself, for what stands behind its end; `None`: it failed, or was given up.
    #[must_use]
    pub fn into_inner(self) -> Option<S> {
        self.shared.0.lock().stream.take()
    }

    /// Whether it was given up because too much of it was left waiting.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.shared.0.lock().over
    }
}

// === impl Held ===

impl<T, S: Stream<Item = Result<T, Status>> + Unpin> Held<T, S> {
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<T>, Status>> {
        self.asked = true;
        if let Some(message) = self.waiting.pop_front() {
            self.bytes = self.bytes.saturating_sub((self.joining.bytes)(&message));
            return Poll::Ready(Ok(Some(message)));
        }
        self.bytes = 0;
        let message = match &mut self.stream {
            Some(stream) if !self.ended => ready!(stream.poll_next_unpin(cx)),
            _ => self.end.clone().map(Err),
        };
        self.ended = message.is_none();
        if matches!(message, Some(Err(_))) {
            self.stream = None;
        }
        Poll::Ready(message.transpose())
    }

    /// Takes in what is there, for a reader that did not ask.
    fn take_in(&mut self, cx: &mut Context<'_>) {
        if std::mem::take(&mut self.asked) {
            // It is woken by the stream itself.
            return;
        }
        while !self.ended
            && let Some(stream) = &mut self.stream
        {
            let Poll::Ready(message) = stream.poll_next_unpin(cx) else { return };
            match message {
                Some(Ok(message)) => self.keep(message),
                Some(Err(status)) => (self.stream, self.end) = (None, Some(status)),
                None => self.ended = true,
            }
        }
    }

    fn keep(&mut self, message: T) {
        self.bytes = self.bytes.saturating_add((self.joining.bytes)(&message));
        if self.bytes > self.bytes_max {
            let most = self.bytes_max;
            let said =
                format!("its caller left more than {most} bytes of it unread (connect.unread_bytes_max)");
            (self.stream, self.end) = (None, Some(Status::resource_exhausted(said)));
            self.over = true;
            return;
        }
        let apart = match self.waiting.back_mut() {
            Some(last) => (self.joining.join)(last, message),
            None => Some(message),
        };
        self.waiting.extend(apart);
    }
}

// === impl Shared ===

impl<T, S> Aside for Shared<T, S>
where
    T: Send + 'static,
    S: Stream<Item = Result<T, Status>> + Send + Unpin + 'static,
{
    fn poll_beside(&self, cx: &mut Context<'_>) {
        self.0.lock().take_in(cx);
    }
}
