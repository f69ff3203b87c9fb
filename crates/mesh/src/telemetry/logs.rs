//! Log lines on standard error, for people or for machines.

use std::fmt;

use opentelemetry::trace::TraceContextExt as _;
use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::Context;
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

/// Writes lines. The fields of spans are kept as they were given, and become text only where a line shows them.
pub(super) struct Lines<L> {
    inner: L,
    /// Whether its lines show fields of spans.
    spans: bool,
    /// What it shows, where it is its own filter.
    shown: Option<Targets>,
}

/// The fields of a span as they were given.
#[derive(Debug, Default)]
pub(super) struct Kept(Vec<(&'static str, Given)>);

#[derive(Debug)]
enum Given {
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Number(f64),
    Text(String),
    /// What only knows how it is shown.
    Shown(String),
}

/// The layer that writes lines in a format: `shown`, or what whoever calls it lets through.
pub(super) fn layer<S>(format: LogFormat, shown: Option<Targets>) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    // Fields are written without escapes of the terminal: those that stand in one are a caller's.
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    match format {
        LogFormat::Text => {
            let colour = std::io::IsTerminal::is_terminal(&std::io::stderr());
            Box::new(Lines::new(lines.event_format(TextLines { colour }), true, shown))
        }
        LogFormat::Json => Box::new(Lines::new(lines.event_format(JsonLines), false, shown)),
    }
}

// === impl Lines ===

impl<L> Lines<L> {
    pub(super) fn new(inner: L, spans: bool, shown: Option<Targets>) -> Self {
        Self { inner, spans, shown }
    }

    fn shows(&self, of: &Metadata<'_>) -> bool {
        self.shown.as_ref().is_none_or(|shown| shown.would_enable(of.target(), of.level()))
    }
}

impl<S, L> Layer<S> for Lines<L>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    L: Layer<S>,
{
    fn on_layer(&mut self, subscriber: &mut S) {
        self.inner.on_layer(subscriber);
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if self.spans
            && self.shows(attributes.metadata())
            && let Some(span) = context.span(id)
        {
            let mut kept = Kept(Vec::with_capacity(attributes.fields().len()));
            attributes.record(&mut kept);
            span.extensions_mut().replace(kept);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if self.spans
            && let Some(span) = context.span(id)
            && let Some(kept) = span.extensions_mut().get_mut::<Kept>()
        {
            values.record(kept);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if self.shows(event.metadata()) {
            self.inner.on_event(event, context);
        }
    }
}

// === impl Kept ===

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (name, given)) in self.0.iter().enumerate() {
            let gap = if place == 0 { "" } else { " " };
            write!(f, "{gap}{name}=")?;
            match given {
                Given::Bool(value) => write!(f, "{value}"),
                Given::Signed(value) => write!(f, "{value}"),
                Given::Unsigned(value) => write!(f, "{value}"),
                Given::Number(value) => write!(f, "{value:?}"),
                Given::Text(value) => write!(f, "{value:?}"),
                Given::Shown(value) => f.write_str(value),
            }?;
        }
        Ok(())
    }
}

impl Kept {
    /// Whether no field was given.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn keep(&mut self, field: &Field, given: impl FnOnce() -> Given) {
        // How a span is recorded is no matter of its lines.
        if !field.name().starts_with("otel.") {
            self.0.push((field.name(), given()));
        }
    }
}

impl Visit for Kept {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.keep(field, || Given::Number(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.keep(field, || Given::Signed(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.keep(field, || Given::Unsigned(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.keep(field, || Given::Bool(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field, || Given::Text(value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.keep(field, || Given::Shown(format!("{value:?}")));
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
