//! Log lines on standard error, for people or for machines.

use std::fmt;

use opentelemetry::trace::TraceContextExt as _;
use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::context::request_id;
use super::options::LogFormat;
use super::text::TextLines;

/// One JSON object a line: time, level, target, message, the event's fields, and the trace it belongs to.
///
/// Fields of spans are left out: they are in the trace, and repeating them on every line would make logs the larger
/// of the two.
#[derive(Debug, Clone, Copy)]
pub(super) struct JsonLines;

/// Collects an event's fields.
struct Fields(Map<String, Value>);

/// The layer that writes lines in a format.
pub(super) fn layer<S>(format: LogFormat) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    // Fields are written without escapes of the terminal: those that stand in one are a caller's.
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    match format {
        LogFormat::Text => {
            let colour = std::io::IsTerminal::is_terminal(&std::io::stderr());
            Box::new(lines.event_format(TextLines { colour }))
        }
        LogFormat::Json => Box::new(lines.event_format(JsonLines)),
    }
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut fields = Fields(Map::new());
        event.record(&mut fields);
        let mut line = Map::new();
        line.insert("time".to_owned(), json!(time));
        line.insert("level".to_owned(), json!(event.metadata().level().as_str()));
        line.insert("target".to_owned(), json!(event.metadata().target()));
        for (name, value) in belongs_to() {
            line.insert(name.to_owned(), json!(value));
        }
        for (name, value) in fields.0 {
            line.entry(name).or_insert(value);
        }
        writeln!(writer, "{}", Value::Object(line))
    }
}

/// The call that a line belongs to, by the active OpenTelemetry span, which is there also when the log filter hides its
/// tracing span: `trace_id`, `span_id` and, once the request was read, `request_id`.
pub(super) fn belongs_to() -> Vec<(&'static str, String)> {
    let context = opentelemetry::Context::current();
    let span = context.span().span_context().clone();
    let mut all = Vec::new();
    if span.is_valid() {
        all.push(("trace_id", span.trace_id().to_string()));
        all.push(("span_id", span.span_id().to_string()));
    }
    all.extend(request_id().map(|id| ("request_id", id)));
    all
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().to_owned(), json!(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), json!(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), json!(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), json!(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), json!(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), json!(format!("{value:?}")));
    }
}
