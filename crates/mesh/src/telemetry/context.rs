//! Carries the trace from hop to hop in W3C headers, and the request's id to the log lines of its call.

use std::sync::{Arc, OnceLock};

use http::{HeaderMap, HeaderName};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceFlags};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tonic::metadata::MetadataValue;
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

/// Puts the current span's context into a request for the next hop.
pub fn inject<T>(request: &mut tonic::Request<T>) {
    inject_from(request, &tracing::Span::current());
}

/// Puts this span's context into a request for the next hop.
pub fn inject_from<T>(request: &mut tonic::Request<T>, from: &tracing::Span) {
    let context = from.context();
    let span = context.span();
    let told = span.span_context();
    if !told.is_valid() {
        return;
    }
    let metadata = request.metadata_mut();
    if let Ok(parent) = MetadataValue::try_from(&parent_of(told)[..]) {
        metadata.insert("traceparent", parent);
    }
    let state = told.trace_state().header();
    // An empty state says nothing, and what cannot be a header cannot be carried.
    if !state.is_empty()
        && let Ok(state) = MetadataValue::try_from(state)
    {
        metadata.insert("tracestate", state);
    }
}

/// `traceparent` of version 00: the trace, the span, and whether it is recorded.
fn parent_of(told: &SpanContext) -> [u8; TRACEPARENT_LEN] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    let mut put = |at: usize, bytes: &[u8]| {
        for (digits, byte) in text[at..].chunks_exact_mut(2).zip(bytes) {
            digits.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 0xf)]]);
        }
    };
    put(3, &told.trace_id().to_bytes());
    put(36, &told.span_id().to_bytes());
    put(53, &[(told.trace_flags() & TraceFlags::SAMPLED).to_u8()]);
    text
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
