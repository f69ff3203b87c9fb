//! A worker's answer as the events in the frames that it comes in, each copied once.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::Stream;
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body::Body as _;
use http_body_util::Full;
use mesh::connect::Channel;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::Service as _;

use super::Event;
use super::codec::{Outgoing, PREFIX_BYTES, unreadable};
use super::serve::GENERATE;

/// What one message of a worker's answer may hold, bytes.
const EVENT_BYTES_MAX: usize = 1 << 20;

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");

/// A worker's answer.
#[derive(Debug)]
pub(crate) struct Frames {
    body: Body,
    /// What it ends with where it does not say so itself.
    http: StatusCode,
    /// What came and was not read yet.
    came: Bytes,
    /// A message of which only a part came.
    part: BytesMut,
    trailers: Option<HeaderMap>,
    over: bool,
}

/// Asks a worker, up to the headers of its answer.
///
/// # Errors
/// Those of the channel, and what the worker refuses with.
pub(crate) async fn ask(mut channel: Channel, call: tonic::Request<Outgoing>) -> Result<Frames, Status> {
    let (metadata, extensions, Outgoing(message)) = call.into_parts();
    let mut request = Request::new(Body::new(Full::new(message)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from(GENERATE);
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = metadata.into_headers();
    request.headers_mut().insert(TE, TRAILERS);
    request.headers_mut().insert(CONTENT_TYPE, GRPC);
    *request.extensions_mut() = extensions;
    Frames::new(channel.call(request).await?)
}

// === impl Frames ===

impl Frames {
    fn new(response: Response<Body>) -> Result<Self, Status> {
        // Of an answer that is over with its headers.
        let said = Status::from_header_map(response.headers());
        let over = said.is_some();
        if let Some(refusal) = said.filter(|status| status.code() != Code::Ok) {
            return Err(refusal);
        }
        let http = response.status();
        let (came, part) = (Bytes::new(), BytesMut::new());
        Ok(Self { body: response.into_body(), http, came, part, trailers: None, over })
    }

    /// What stands behind the last event, once that has come.
    ///
    /// # Errors
    /// What the answer ends with, if that is none.
    pub(crate) async fn trailers(&mut self) -> Result<Option<HeaderMap>, Status> {
        while poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await.transpose()?.is_some() {}
        Ok(self.trailers.take())
    }

    /// The next event of what came.
    fn read(&mut self) -> Result<Option<Event>, Status> {
        if !self.part.is_empty() {
            match length(&self.part)? {
                Some(length) if self.part.len() >= length => self.came = self.part.split().freeze(),
                _ => return Ok(None),
            }
        }
        let length = length(&self.came)?;
        let Some(message) = length.and_then(|length| self.came.get(PREFIX_BYTES..length)) else {
            self.part.extend_from_slice(&self.came);
            self.came = Bytes::new();
            return Ok(None);
        };
        // By itself: an event may wait for its caller for long, and what it came in is a connection's, and large.
        let message = Bytes::copy_from_slice(message);
        self.came.advance(PREFIX_BYTES + message.len());
        if self.came.is_empty() {
            self.came = Bytes::new();
        }
        Event::read(message).map(Some).map_err(|error| unreadable(&error))
    }

    /// More came.
    fn take(&mut self, data: Bytes) {
        if self.part.is_empty() {
            self.came = data;
        } else {
            self.part.extend_from_slice(&data);
        }
    }

    /// Nothing more comes.
    fn end(&mut self) -> Result<(), Status> {
        let said = self.trailers.as_ref().and_then(Status::from_header_map);
        match said {
            Some(status) if status.code() == Code::Ok => Ok(()),
            Some(status) => Err(status),
            None => Err(unsaid(self.http)),
        }
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Event>, Status>> {
        loop {
            if let Some(event) = self.read()? {
                return Poll::Ready(Ok(Some(event)));
            }
            let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)).transpose()? else {
                let cut = !self.part.is_empty();
                let cut = cut.then(|| Status::internal("the answer ended in the midst of an event"));
                return Poll::Ready(cut.map_or_else(|| self.end(), Err).map(|()| None));
            };
            match frame.into_data() {
                Ok(data) => self.take(data),
                Err(frame) => {
                    self.trailers = frame.into_trailers().ok();
                    return Poll::Ready(self.end().map(|()| None));
                }
            }
        }
    }
}

impl Stream for Frames {
    type Item = Result<Event, Status>;

    /// Its end, or what it failed with, is told once; after that there is nothing.
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        let event = ready!(self.poll_event(cx));
        self.over = !matches!(event, Ok(Some(_)));
        Poll::Ready(event.transpose())
    }
}

/// The length of the first message with what stands before it; `None`: that has not come yet.
fn length(of: &[u8]) -> Result<Option<usize>, Status> {
    let Some((&[compressed, length @ ..], _)) = of.split_first_chunk::<PREFIX_BYTES>() else {
        return Ok(None);
    };
    if compressed != 0 {
        let said = format!("an event has the compression flag {compressed}, and none was agreed on");
        return Err(Status::internal(said));
    }
    let length = u32::from_be_bytes(length) as usize;
    if length > EVENT_BYTES_MAX {
        let said = format!("an event has {length} bytes, of which at most {EVENT_BYTES_MAX} are read");
        return Err(Status::out_of_range(said));
    }
    Ok(Some(PREFIX_BYTES + length))
}

/// What an answer without a status ends with, by the table of gRPC ("HTTP to gRPC Status Code Mapping").
fn unsaid(http: StatusCode) -> Status {
    let code = match http {
        StatusCode::BAD_REQUEST => Code::Internal,
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        StatusCode::NOT_FOUND => Code::Unimplemented,
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Code::Unavailable,
        _ => Code::Unknown,
    };
    Status::new(code, format!("the answer ended without a status; that of HTTP is {}", http.as_u16()))
}

#[cfg(test)]
mod tests;
