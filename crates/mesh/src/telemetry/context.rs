//! Carries the trace from hop to hop in W3C headers, and the request's id to the log lines of its call.

use std::sync::{Arc, OnceLock};

use http::{HeaderMap, HeaderName};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tonic::metadata::{MetadataKey, MetadataMap, MetadataValue};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Length of every `traceparent` of version 00, the only version there is.
const TRACEPARENT_LEN: usize = 55;

/// What the specification asks everybody to carry, in bytes; a longer state is dropped.
const TRACESTATE_LEN_MAX: usize = 512;

/// Bytes of a request's id that are shown; the wire contract allows fewer.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// The id of a call's request, once its message was read; part of the context of the call's span and of all below it.
#[derive(Debug, Clone, Default)]
struct RequestId(Arc<OnceLock<String>>);

struct Headers<'a>(&'a HeaderMap);
struct Metadata<'a>(&'a mut MetadataMap);

/// Puts the current span's context into a request for the next hop.
pub fn inject<T>(request: &mut tonic::Request<T>) {
    let context = tracing::Span::current().context();
    TraceContextPropagator::new().inject_context(&context, &mut Metadata(request.metadata_mut()));
}

/// Names the request that the current call is about, for its span and for every log line from here to the call's end.
pub fn name_request(id: &str) {
    let end = (0..=REQUEST_ID_BYTES_MAX.min(id.len())).rev().find(|end| id.is_char_boundary(*end));
    let shown = &id[..end.unwrap_or(0)];
    super::attribute("causeway.request_id", shown.to_owned());
    if let Some(RequestId(cell)) = Context::current().get() {
        // A call has one request; what names it twice is wrong about the second.
        let _ = cell.set(shown.to_owned());
    }
}

/// The id of the request that the current call is about, if it was named.
pub(super) fn request_id() -> Option<String> {
    Context::current().get().and_then(|RequestId(cell)| cell.get().cloned())
}

/// What a call's span begins with: its caller's context, if there is one, and room for its request's id.
pub(super) fn of_call(headers: &HeaderMap) -> Context {
    extract(headers).unwrap_or_default().with_value(RequestId::default())
}

/// The caller's context, if its headers hold a sound one; anything else is as good as none.
pub(super) fn extract(headers: &HeaderMap) -> Option<Context> {
    let mut given = headers.get_all(&TRACEPARENT).iter();
    let parent = given.next()?;
    if given.next().is_some() || parent.len() != TRACEPARENT_LEN {
        return None;
    }
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers));
    context.span().span_context().is_valid().then_some(context)
}

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let text = self.0.get(key)?.to_str().ok()?;
        (key != TRACESTATE.as_str() || text.len() <= TRACESTATE_LEN_MAX).then_some(text)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

impl Injector for Metadata<'_> {
    fn set(&mut self, key: &str, value: String) {
        // An empty state says nothing, and what cannot be a header cannot be carried.
        if value.is_empty() {
            return;
        }
        if let (Ok(key), Ok(value)) =
            (MetadataKey::from_bytes(key.as_bytes()), MetadataValue::try_from(value))
        {
            self.0.insert(key, value);
        }
    }
}
