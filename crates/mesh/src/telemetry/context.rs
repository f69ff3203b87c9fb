//! Carries the trace from hop to hop in W3C headers, and the request's id to the log lines of its call.

use std::sync::{Arc, OnceLock};

use http::{HeaderMap, HeaderName};
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId};
use tonic::metadata::MetadataValue;

use super::traces::{context_of, is_recorded};

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

/// Puts the current span's context into a request for the next hop.
pub fn inject<T>(request: &mut tonic::Request<T>) {
    Context::map_current(|context| put(request, context));
}

/// Puts this span's context into a request for the next hop.
pub fn inject_from<T>(request: &mut tonic::Request<T>, from: &tracing::Span) {
    put(request, &context_of(from));
}

fn put<T>(request: &mut tonic::Request<T>, context: &Context) {
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
    Context::map_current(|context| {
        if is_recorded(context) {
            super::attribute("causeway.request_id", shown.to_owned());
        }
        if let Some(RequestId(cell)) = context.get() {
            // A call has one request; what names it twice is wrong about the second.
            let _ = cell.set(shown.to_owned());
        }
    });
}

/// The id of the request that the current call is about, if it was named.
pub(super) fn request_id() -> Option<String> {
    Context::map_current(|context| context.get().and_then(|RequestId(cell)| cell.get().cloned()))
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
    let [trace, span, flags] = parts_of(parent.as_bytes().try_into().ok()?)?;
    let state = headers.get(&TRACESTATE).filter(|state| state.len() <= TRACESTATE_LEN_MAX);
    let state = state.and_then(|state| state.to_str().ok()?.parse().ok());
    let (trace, span) = (TraceId::from(trace), SpanId::from(u64::try_from(span).ok()?));
    // Of the flags only this one is known.
    let flags = TraceFlags::new(u8::try_from(flags).ok()?) & TraceFlags::SAMPLED;
    let told = SpanContext::new(trace, span, flags, true, state.unwrap_or_default());
    told.is_valid().then(|| Context::new().with_remote_span_context(told))
}

/// Trace, span and flags of a `traceparent`, if it is one.
fn parts_of(parent: &[u8; TRACEPARENT_LEN]) -> Option<[u128; 3]> {
    let part = |from: usize, to: usize| {
        parent.get(from..to)?.iter().try_fold(0_u128, |number, digit| {
            let digit = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            Some(number << 4 | u128::from(digit))
        })
    };
    let joined = [2, 35, 52].iter().all(|at| parent.get(*at) == Some(&b'-'));
    // 255 is no version.
    let version = part(0, 2).filter(|version| *version < 0xff);
    version.filter(|_| joined)?;
    Some([part(3, 35)?, part(36, 52)?, part(53, 55)?])
}
