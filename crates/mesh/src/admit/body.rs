//! A response body that holds its call's permit until it ends or is dropped.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::sync::OwnedSemaphorePermit;

pin_project! {
    /// A body with the permit of its call.
    #[derive(Debug)]
    pub struct Permitted<B> {
        #[pin]
        inner: Option<B>,
        permit: Option<OwnedSemaphorePermit>,
    }
}

impl<B> Permitted<B> {
    /// A body with its permit.
    pub(crate) fn new(inner: B, permit: Option<OwnedSemaphorePermit>) -> Self {
        Permitted { inner: Some(inner), permit }
    }

    /// A body without frames, for answers that are headers only.
    pub(crate) fn empty() -> Self {
        Permitted { inner: None, permit: None }
    }
}

impl<B: Body<Data = Bytes>> Body for Permitted<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let frame = std::task::ready!(inner.poll_frame(cx));
        if frame.is_none() {
            this.inner.set(None);
            *this.permit = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
