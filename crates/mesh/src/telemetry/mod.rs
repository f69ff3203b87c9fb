//! What a process tells about itself: logs to standard error, traces and metrics over OTLP, one trace across all hops.
//!
//! Text of prompts and answers is no business of either. Services keep it out of fields and events, and nothing
//! here looks at bodies.

mod options;
mod start;
mod meters;
mod logs;
mod text;
mod context;
mod layer;
mod body;
#[cfg(test)]
mod tests;

use tracing_opentelemetry::OpenTelemetrySpanExt as _;

pub use self::body::{EntersItself, Traced};
pub use self::context::{inject, inject_from, name_request};
pub use self::layer::{TraceFuture, TraceLayer, TraceService};
pub use self::meters::{About, Attribute, Counter, Histogram, Meter, Observed};
pub use self::options::{LogFormat, TelemetryOptions};
pub use self::start::{Error, Telemetry, TelemetryGuard};

/// A value of a span's attribute.
pub use opentelemetry::Value as AttributeValue;

/// Sets an attribute of the current span whose name or value is known only now, such as a decision's costs.
pub fn attribute(key: &'static str, value: impl Into<AttributeValue>) {
    tracing::Span::current().set_attribute(key, value);
}

/// The trace identifier of the current span as 32 hexadecimal digits, if it belongs to a trace.
#[must_use]
pub fn trace_id() -> Option<String> {
    use opentelemetry::trace::TraceContextExt as _;
    let context = tracing::Span::current().context();
    let span = context.span().span_context().clone();
    span.is_valid().then(|| span.trace_id().to_string())
}
