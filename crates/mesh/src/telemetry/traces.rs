//! Spans as parts of their traces: what is recorded of each, where its trace is, and the context that goes on from it.
//!
//! Most traces are not recorded. A span of such a trace is no span of OpenTelemetry's: it goes on in the context that it
//! began in, so that lines and calls to the next hop name the trace all the same, and costs next to nothing.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;

use opentelemetry::trace::{Span as _, SpanBuilder, SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, ContextGuard, KeyValue, Value};
use opentelemetry_sdk::trace::SdkTracer;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Level, Span, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::Context as Spans;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

thread_local! {
    /// The spans that this thread is in, the innermost last, each with what goes on from it.
    static ENTERED: RefCell<Vec<(Id, ContextGuard)>> = const { RefCell::new(Vec::new()) };
}

/// Records spans, and the events within them.
#[derive(Debug)]
pub(super) struct Traces {
    tracer: SdkTracer,
    /// Events that belong to traces; what the sending of spans tells does not.
    told: Targets,
}

/// What goes on from a span.
#[derive(Debug)]
struct Within(Context);

/// What a span says of itself, apart from what says how it is to be recorded.
#[derive(Debug, Default)]
struct Said {
    name: Option<Cow<'static, str>>,
    kind: Option<SpanKind>,
    status: Option<Status>,
    attributes: Vec<KeyValue>,
}

/// Whether what is told in this context is recorded. Where no trace is known, one may begin.
pub(super) fn is_recorded(context: &Context) -> bool {
    !context.has_active_span() || context.span().span_context().is_sampled()
}

/// What goes on from this span; one that is none goes on from where this thread is.
pub(super) fn context_of(span: &Span) -> Context {
    let of = |(id, dispatch): (&Id, &Dispatch)| {
        let span = dispatch.downcast_ref::<Registry>()?.span(id)?;
        span.extensions().get::<Within>().map(|Within(context)| context.clone())
    };
    span.with_subscriber(of).flatten().unwrap_or_else(Context::current)
}

// === impl Traces ===

impl Traces {
    pub(super) fn new(tracer: SdkTracer, told: Targets) -> Self {
        Self { tracer, told }
    }

    /// What goes on from a span that begins in `parent`.
    fn begin(&self, attributes: &Attributes<'_>, parent: Context) -> Context {
        if !is_recorded(&parent) {
            return parent;
        }
        let mut said = Said::default();
        attributes.record(&mut said);
        let name = said.name.unwrap_or(Cow::Borrowed(attributes.metadata().name()));
        let mut builder = SpanBuilder::from_name(name).with_attributes(said.attributes);
        builder.span_kind = said.kind;
        let mut span = self.tracer.build_with_context(builder, &parent);
        if let Some(status) = said.status {
            span.set_status(status);
        }
        parent.with_span(span)
    }
}

/// The context of a span that is recorded. Its own locks are not held with it, for whoever records may tell something, too.
fn recorded<'a, S>(id: &Id, spans: &Spans<'a, S>) -> Option<Context>
where
    S: Subscriber + for<'b> LookupSpan<'b>,
{
    let span = spans.span(id)?;
    let extensions = span.extensions();
    let Within(context) = extensions.get()?;
    context.span().span_context().is_sampled().then(|| context.clone())
}

impl<S> Layer<S> for Traces
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, spans: Spans<'_, S>) {
        let named = attributes.parent().and_then(|parent| {
            let parent = spans.span(parent)?;
            parent.extensions().get().map(|Within(context)| context.clone())
        });
        let parent = named.unwrap_or_else(|| match attributes.is_root() {
            true => Context::new(),
            false => Context::current(),
        });
        let context = self.begin(attributes, parent);
        if let Some(span) = spans.span(id) {
            span.extensions_mut().replace(Within(context));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, spans: Spans<'_, S>) {
        let Some(context) = recorded(id, &spans) else { return };
        let mut said = Said::default();
        values.record(&mut said);
        let span = context.span();
        span.set_attributes(said.attributes);
        if let Some(status) = said.status {
            span.set_status(status);
        }
    }

    fn on_event(&self, event: &Event<'_>, spans: Spans<'_, S>) {
        let within = match event.parent() {
            Some(parent) => recorded(parent, &spans),
            None if event.is_root() => None,
            None => spans.lookup_current().and_then(|span| recorded(&span.id(), &spans)),
        };
        let Some(context) = within else { return };
        let (level, target) = (event.metadata().level(), event.metadata().target());
        if !self.told.would_enable(target, level) {
            return;
        }
        let mut said = Said::default();
        said.keep("level", level.as_str());
        said.keep("target", target);
        event.record(&mut said);
        let span = context.span();
        span.add_event(said.name.unwrap_or(Cow::Borrowed(event.metadata().name())), said.attributes);
        if *level == Level::ERROR {
            span.set_status(Status::error(""));
        }
    }

    fn on_enter(&self, id: &Id, spans: Spans<'_, S>) {
        let Some(span) = spans.span(id) else { return };
        let Some(context) = span.extensions().get().map(|Within(context)| context.clone()) else { return };
        let guard = context.attach();
        // A thread that ends is in no span any more.
        let _ended = ENTERED.try_with(|entered| entered.borrow_mut().push((id.clone(), guard)));
    }

    fn on_exit(&self, id: &Id, _: Spans<'_, S>) {
        // The innermost, unless guards were dropped in another order.
        let left = ENTERED.try_with(|entered| {
            let mut entered = entered.borrow_mut();
            let at = entered.iter().rposition(|(entered, _)| entered == id)?;
            Some(entered.remove(at))
        });
        drop(left);
    }

    fn on_close(&self, id: Id, spans: Spans<'_, S>) {
        if let Some(context) = recorded(&id, &spans) {
            context.span().end();
        }
    }
}

// === impl Said ===

impl Said {
    fn keep(&mut self, name: &'static str, value: impl Into<Value>) {
        self.attributes.push(KeyValue::new(name, value));
    }

    fn text(&mut self, field: &Field, text: String) {
        match field.name() {
            // Of a span, and of an event.
            "otel.name" | "message" => self.name = Some(text.into()),
            "otel.kind" => {
                self.kind = match text.as_str() {
                    "server" => Some(SpanKind::Server),
                    "client" => Some(SpanKind::Client),
                    _ => None,
                }
            }
            "otel.status_code" if text == "ERROR" => self.status = Some(Status::error("")),
            "otel.status_code" => {}
            name => self.keep(name, text),
        }
    }
}

impl Visit for Said {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.keep(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.keep(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match i64::try_from(value) {
            Ok(value) => self.keep(field.name(), value),
            Err(_) => self.text(field, value.to_string()),
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.keep(field.name(), value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, format!("{value:?}"));
    }
}
