//! A response body that runs within its call's span and tells the span how the call ended.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tonic::{Code, Status};
use tracing::Span;

pin_project! {
    /// A body with the span of its call.
    #[derive(Debug)]
    pub struct Traced<B> {
        #[pin]
        inner: B,
        end: End,
        // Whether each poll is within the span.
        within: bool,
    }
}

/// What a response's extensions hold where its body enters the call's span itself, when it has something to tell: entering
/// it for every frame costs as much as passing the frame on.
#[derive(Debug, Clone, Copy)]
pub struct EntersItself;

/// Records how the call ended: by its headers or trailers, or by the caller's leaving before them.
#[derive(Debug)]
pub(super) struct End {
    span: Span,
    known: bool,
}

impl<B> Traced<B> {
    pub(super) fn new(inner: B, end: End, within: bool) -> Self {
        Traced { inner, end, within }
    }
}

impl<B: Body<Data = Bytes>> Body for Traced<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        let frame = {
            let _entered = this.within.then(|| this.end.span.enter());
            std::task::ready!(this.inner.poll_frame(cx))
        };
        match &frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref() {
                    this.end.read(trailers);
                }
            }
            Some(Err(_)) => this.end.record(Code::Internal),
            None => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

// === impl End ===

impl End {
    pub(super) fn new(span: Span) -> Self {
        End { span, known: false }
    }

    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    /// Takes the status from headers or trailers, where there is one.
    pub(super) fn read(&mut self, headers: &HeaderMap) {
        if let Some(code) = headers.get(Status::GRPC_STATUS) {
            self.record(Code::from_bytes(code.as_bytes()));
        }
    }

    fn record(&mut self, code: Code) {
        self.known = true;
        self.span.record("rpc.grpc.status_code", code as i64);
        // For a server only these are errors of its own; the others tell the caller about its request.
        use Code::{DataLoss, DeadlineExceeded, Internal, Unavailable, Unimplemented, Unknown};
        if [Unknown, DeadlineExceeded, Unimplemented, Internal, Unavailable, DataLoss].contains(&code) {
            self.span.record("otel.status_code", "ERROR");
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        if !self.known {
            self.record(Code::Cancelled);
        }
    }
}
