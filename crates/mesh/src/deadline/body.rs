//! A response body that ends with DEADLINE_EXCEEDED when its time is up.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::Sleep;

use super::exceeded;
use crate::status;

pin_project! {
    /// A body until its own end or the deadline, whichever comes first.
    ///
    /// At the deadline the body within is dropped, which cancels whatever produced it, and trailers with the status
    /// follow what was already sent.
    #[derive(Debug)]
    pub struct Bounded<B> {
        #[pin]
        inner: Option<B>,
        timer: Option<Pin<Box<Sleep>>>,
    }
}

impl<B> Bounded<B> {
    /// Bounds a body by a timer; without one it only passes through.
    pub(crate) fn new(inner: B, timer: Option<Pin<Box<Sleep>>>) -> Self {
        Bounded { inner: Some(inner), timer }
    }

    /// A body without frames, for answers that are headers only.
    pub(crate) fn empty() -> Self {
        Bounded { inner: None, timer: None }
    }
}

impl<B: Body<Data = Bytes>> Body for Bounded<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        // The timer goes first: a body that is always ready would otherwise never let it speak.
        if this.timer.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready()) {
            this.inner.set(None);
            *this.timer = None;
            return Poll::Ready(Some(Ok(Frame::trailers(status::trailers(&exceeded())))));
        }
        let frame = std::task::ready!(inner.poll_frame(cx));
        if frame.as_ref().is_none_or(|frame| frame.as_ref().map_or(true, Frame::is_trailers)) {
            this.inner.set(None);
            *this.timer = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            // A length announced now could not be kept at the deadline.
            Some(inner) if !inner.is_end_stream() => SizeHint::default(),
            _ => SizeHint::with_exact(0),
        }
    }
}
