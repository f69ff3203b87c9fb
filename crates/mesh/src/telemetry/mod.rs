//! What a process tells about itself: logs to standard error, traces and metrics over OTLP, one trace across all hops.
//!
//! Text of prompts and answers is no business of either. Services keep it out of fields and events, and nothing
//! here looks at bodies.

mod options;
mod start;
mod meters;
mod filter;
mod traces;
mod logs;
mod text;
mod context;
mod layer;
mod body;
#[cfg(test)]
mod tests;

use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, KeyValue};

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
    Context::map_current(|context| {
        if traces::is_recorded(context) {
            context.span().set_attribute(KeyValue::new(key, value));
        }
    });
}

/// Whether a span of its own is worth its making: what it tells is recorded, or may be, where no trace has begun.
#[must_use]
pub fn is_recorded() -> bool {
    Context::map_current(traces::is_recorded)
}

/// The trace identifier of the current span as 32 hexadecimal digits, if it belongs to a trace.
#[must_use]
pub fn trace_id() -> Option<String> {
    Context::map_current(|context| {
        let span = context.span();
        let told = span.span_context();
        told.is_valid().then(|| told.trace_id().to_string())
    })
}
