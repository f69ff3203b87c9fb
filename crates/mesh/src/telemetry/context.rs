//! Carries the trace from hop to hop in W3C headers.

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

struct Headers<'a>(&'a HeaderMap);
struct Metadata<'a>(&'a mut MetadataMap);

/// Puts the current span's context into a request for the next hop.
pub fn inject<T>(request: &mut tonic::Request<T>) {
    let context = tracing::Span::current().context();
    TraceContextPropagator::new().inject_context(&context, &mut Metadata(request.metadata_mut()));
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
