//! The task of one call: what it waits for goes on while its caller takes nothing, and a caller that takes nothing for
//! too long is cut off.
//!
//! Hyper asks an answer for more only when its caller has taken what there was. Until then no code of the answer runs,
//! however long that is: not its deadline, and nothing that would release what it holds.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

use super::{Counters, Fault};

/// Something that goes on beside a call's answer.
pub(crate) trait Aside: Send + Sync {
    /// Called each time that the call's task has run. It may take wakers of `cx`.
    fn poll_beside(&self, cx: &mut Context<'_>);
}

tokio::task_local! {
    /// The call that the running task serves.
    static CALL: Arc<Call>;
}

/// What a call's task and what runs in it share.
#[derive(Default)]
pub(super) struct Call {
    asides: Mutex<Vec<Weak<dyn Aside>>>,
    /// Frames that were asked of its answer.
    asked: AtomicU64,
    /// Whether the last one was given, so that it is the caller's turn.
    given: AtomicBool,
}

/// Has it go on beside the call that the running task serves, for as long as it lives. Without one, nothing happens.
pub(crate) fn go_on_beside(aside: &Arc<dyn Aside>) {
    let weak = Arc::downgrade(aside);
    // Outside of a call there is nobody who could hold it up either.
    let _ = CALL.try_with(|call| call.asides.lock().push(weak));
}

/// Starts the calls of a server's connections.
#[derive(Clone, Debug)]
pub(super) struct Calls {
    unread_max: Duration,
    counters: Counters,
}

pin_project! {
    /// One call from its headers to the end of its answer.
    struct Running<F> {
        #[pin]
        inner: F,
        call: Arc<Call>,
        // While it is the caller's turn: when it is cut off, and the frames that it had been given by then.
        stall: Option<(Pin<Box<Sleep>>, u64)>,
        calls: Calls,
    }
}

pin_project! {
    /// An answer that tells its call whose turn it is.
    #[derive(Debug)]
    pub(super) struct Told<B> {
        #[pin]
        inner: B,
        call: Option<TheCall>,
    }
}

/// The call of an answer.
#[derive(Clone)]
struct TheCall(Arc<Call>);

// === impl Calls ===

impl Calls {
    pub(super) fn new(unread_max: Duration, counters: Counters) -> Self {
        Self { unread_max, counters }
    }
}

impl<F> hyper::rt::Executor<F> for Calls
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, inner: F) {
        let running = Running { inner, call: Arc::default(), stall: None, calls: self.clone() };
        tokio::spawn(running);
    }
}

// === impl Running ===

impl<F: Future> Future for Running<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let call = &**this.call;
        let polled = CALL.sync_scope(this.call.clone(), || this.inner.poll(cx));
        if polled.is_ready() {
            return Poll::Ready(());
        }
        call.poll_asides(cx);
        if !call.given.load(Ordering::Relaxed) {
            *this.stall = None;
            return Poll::Pending;
        }
        let asked = call.asked.load(Ordering::Relaxed);
        let unread_max = this.calls.unread_max;
        let (timer, since) = this.stall.get_or_insert_with(|| (Box::pin(sleep(unread_max)), asked));
        if *since != asked {
            (*timer, *since) = (Box::pin(sleep(unread_max)), asked);
        }
        if timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        // Dropping it resets the stream and releases all that it holds.
        this.calls.counters.fault(Fault::UnreadAnswer);
        tracing::info!(unread_ms = unread_max.as_millis(), "a call whose caller takes nothing is cut off");
        Poll::Ready(())
    }
}

// === impl Call ===

impl Call {
    fn poll_asides(&self, cx: &mut Context<'_>) {
        let asides = self.asides.lock();
        let alive = asides.iter().filter_map(Weak::upgrade).fold(0, |alive, aside| {
            aside.poll_beside(cx);
            alive + 1
        });
        let some_ended = alive < asides.len();
        drop(asides);
        if some_ended {
            self.asides.lock().retain(|aside| aside.strong_count() > 0);
        }
    }
}

// === impl TheCall ===

impl std::fmt::Debug for TheCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TheCall")
    }
}

// === impl Told ===

impl<B> Told<B> {
    /// An answer of the call that the running task serves.
    pub(super) fn new(inner: B) -> Self {
        let call = CALL.try_with(|call| TheCall(call.clone())).ok();
        Self { inner, call }
    }
}

impl<B: Body> Body for Told<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        let frame = this.inner.poll_frame(cx);
        if let Some(TheCall(call)) = this.call {
            call.asked.fetch_add(1, Ordering::Relaxed);
            call.given.store(frame.is_ready(), Ordering::Relaxed);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests;
