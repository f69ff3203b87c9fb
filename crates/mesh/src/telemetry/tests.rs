use std::sync::{Arc, Mutex};

use http::{HeaderMap, Response};
use opentelemetry::trace::{SpanKind, Status as SpanStatus, TraceContextExt as _, TracerProvider as _};
use opentelemetry_sdk::trace::{InMemorySpanExporter, Sampler, SdkTracerProvider, SpanData};
use tower::{Layer as _, Service as _};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::Registry;
use tracing_subscriber::fmt::format::DefaultFields;
use tracing_subscriber::fmt::{FormatEvent, MakeWriter};

use super::*;
use crate::rig;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Log lines as written.
#[derive(Debug, Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Telemetry of this thread, as [`Telemetry::start`] sets it up, with the spans and lines at hand.
struct Watch {
    provider: SdkTracerProvider,
    spans: InMemorySpanExporter,
    lines: Lines,
    _guard: DefaultGuard,
}

fn watch() -> Watch {
    watch_in(logs::JsonLines, "warn")
}

fn watch_in<F>(format: F, level: &str) -> Watch
where
    F: FormatEvent<Registry, DefaultFields> + Send + Sync + 'static,
{
    let (spans, lines) = (InMemorySpanExporter::default(), Lines::default());
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(spans.clone())
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
        .build();
    let traces = traces::Traces::new(provider.tracer("test"), filter::traced_targets());
    let logs =
        tracing_subscriber::fmt::layer().with_ansi(false).event_format(format).with_writer(lines.clone());
    let filter = filter::LineFilter::parse(level).unwrap();
    let dispatch = start::dispatch(traces, |shown| logs::Lines::new(logs, true, shown), filter);
    let guard = tracing::dispatcher::set_default(&dispatch);
    Watch { provider, spans, lines, _guard: guard }
}

impl Watch {
    fn spans(&self) -> Vec<SpanData> {
        self.provider.force_flush().unwrap();
        self.spans.get_finished_spans().unwrap()
    }

    fn lines(&self) -> String {
        String::from_utf8(self.lines.0.lock().unwrap().clone()).unwrap()
    }
}

fn attribute_of(span: &SpanData, key: &str) -> String {
    span.attributes
        .iter()
        .find(|pair| pair.key.as_str() == key)
        .map(|pair| pair.value.to_string())
        .unwrap_or_default()
}

async fn served(path: &str, headers: &[(&'static str, &str)]) -> rig::Reply {
    let mut service = TraceLayer.layer(rig::service());
    let response: Response<_> = service.call(rig::request(path, headers)).await.unwrap();
    rig::read(response.map(tonic::body::Body::new)).await
}

#[test]
fn only_sound_contexts_are_believed() {
    let check = |headers: &[(&'static str, &str)], expect: bool| {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        assert_eq!(context::extract(&map).is_some(), expect, "{headers:?}");
    };
    check(&[("traceparent", PARENT)], true);
    check(&[], false);
    check(&[("traceparent", "")], false);
    check(&[("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331")], false);
    check(&[("traceparent", "00-00000000000000000000000000000000-b7ad6b7169203331-01")], false);
    check(&[("traceparent", "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01")], false);
    check(&[("traceparent", "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01")], false);
    check(&[("traceparent", "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")], false);
    check(&[("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-zz")], false);
    check(&[("traceparent", "-------------------------------------------------------")], false);
    check(&[("traceparent", &format!("{PARENT}-{}", "a".repeat(60_000)))], false);
    check(&[("traceparent", PARENT), ("traceparent", PARENT)], false);

    // An oversized or garbled state is dropped and the trace goes on.
    for state in ["a=b".repeat(400), "=,=,=".to_owned(), "\t".to_owned()] {
        check(&[("traceparent", PARENT), ("tracestate", &state)], true);
    }
}

#[tokio::test]
async fn a_call_continues_its_callers_trace_and_tells_how_it_ended() {
    let watch = watch();
    served("/grpc.health.v1.Health/Check", &[]).await;
    served("/echo", &[("traceparent", PARENT)]).await;
    served("/causeway.v1.Generation/Generate", &[]).await;
    served("/a%20b/c", &[]).await;
    let spans = watch.spans();
    assert_eq!(spans.len(), 3, "health checks leave no trace");
    let span = &spans[0];
    assert_eq!(span.span_context.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(span.parent_span_id.to_string(), "b7ad6b7169203331");
    assert_eq!(span.span_kind, SpanKind::Server);
    assert_eq!(attribute_of(span, "rpc.grpc.status_code"), "0");
    assert_eq!(span.status, SpanStatus::Unset);

    assert_eq!(spans[1].name, "causeway.v1.Generation/Generate");
    assert_eq!(attribute_of(&spans[1], "rpc.service"), "causeway.v1.Generation");
    assert_eq!(attribute_of(&spans[1], "rpc.method"), "Generate");
    assert_eq!(attribute_of(&spans[1], "rpc.grpc.status_code"), "12");
    assert!(matches!(spans[1].status, SpanStatus::Error { .. }));
    assert_eq!(spans[2].name, "unknown/unknown");
}

#[tokio::test]
async fn a_caller_that_leaves_is_told_as_cancelled() {
    let watch = watch();
    let mut service = TraceLayer.layer(rig::service());
    drop(service.call(rig::request("/drip/1", &[])).await.unwrap());
    drop(service.call(rig::request("/hang", &[])));
    let codes: Vec<_> = watch.spans().iter().map(|span| attribute_of(span, "rpc.grpc.status_code")).collect();
    assert_eq!(codes, ["1", "1"]);
}

#[tokio::test]
async fn the_trace_reaches_the_next_hop() {
    let watch = watch();
    let carried = {
        let span = tracing::info_span!("hop");
        let _entered = span.enter();
        let mut request = tonic::Request::new(());
        inject(&mut request);
        attribute("causeway.decision.usd", 0.25);
        assert_eq!(trace_id().unwrap().len(), 32);
        request.metadata().clone().into_headers()
    };
    let received = context::extract(&carried).unwrap().span().span_context().clone();
    let spans = watch.spans();
    assert_eq!(received.trace_id(), spans[0].span_context.trace_id());
    assert_eq!(received.span_id(), spans[0].span_context.span_id());
    assert!(received.is_remote() && received.is_sampled());
    assert_eq!(attribute_of(&spans[0], "causeway.decision.usd"), "0.25");

    let mut outside = tonic::Request::new(());
    inject(&mut outside);
    assert!(outside.metadata().is_empty(), "without a span there is nothing to tell");
}

#[tokio::test]
async fn a_trace_that_is_not_recorded_goes_on_and_costs_no_span() {
    let unrecorded = format!("{}00", &PARENT[..PARENT.len() - 2]);
    for level in ["warn", "debug", "[decide]=info"] {
        let watch = watch_in(text::TextLines { colour: false }, level);
        let hop = tower::service_fn(async |_: http::Request<tonic::body::Body>| {
            name_request("question-1");
            assert!(!is_recorded());
            let mut next = tonic::Request::new(());
            inject_from(&mut next, &tracing::info_span!("attempt"));
            let told = next.metadata().get("traceparent").unwrap().to_str().unwrap();
            assert_eq!((&told[..35], &told[52..]), (&PARENT[..35], "-00"));
            tracing::info_span!("decide").in_scope(|| tracing::error!("it went wrong"));
            Ok::<_, std::convert::Infallible>(tonic::Status::ok("").into_http::<tonic::body::Body>())
        });
        let answer = TraceLayer.layer(hop).call(rig::request("/a.B/C", &[("traceparent", &unrecorded)]));
        drop(answer.await.unwrap());
        assert!(watch.spans().is_empty(), "{level}: {:?}", watch.spans());
        let line = watch.lines();
        let named = format!("trace_id={}", &PARENT[3..35]);
        assert!(line.contains(&named) && line.contains("request_id=question-1"), "{level}: {line}");
        assert!(is_recorded(), "outside of it one may begin");
    }
}

#[test]
fn what_goes_on_from_a_span_is_its_own_trace_whether_it_is_entered_or_not() {
    let watch = watch();
    let carried = |span: &tracing::Span| {
        let mut request = tonic::Request::new(());
        inject_from(&mut request, span);
        request.metadata().get("traceparent").map(|parent| parent.to_str().unwrap().to_owned())
    };
    let (one, other) = (tracing::info_span!("one"), tracing::info_span!(parent: None, "other"));
    let within = one.in_scope(|| tracing::info_span!("within", count = 7_u64, otel.kind = "client"));
    let told = one.in_scope(|| carried(&tracing::Span::none()));
    assert_eq!(told, carried(&one), "one that is none is where this thread is");
    assert_eq!(carried(&one).unwrap()[..35], carried(&within).unwrap()[..35]);
    assert_ne!(carried(&one).unwrap()[3..35], carried(&other).unwrap()[3..35]);
    // Guards that are dropped out of their order leave the right span behind.
    let (first, second) = (one.enter(), other.enter());
    drop(first);
    assert_eq!(trace_id().as_deref(), carried(&other).as_deref().map(|parent| &parent[3..35]));
    drop(second);
    assert_eq!(trace_id(), None);
    within.in_scope(|| tracing::error!(reason = "x", "it went wrong"));
    drop((one, within, other));
    let spans = watch.spans();
    let within = spans.iter().find(|span| span.name == "within").unwrap();
    assert_eq!((attribute_of(within, "count"), &within.span_kind), ("7".to_owned(), &SpanKind::Client));
    assert!(matches!(within.status, SpanStatus::Error { .. }));
    let event = &within.events.events[0];
    assert_eq!(event.name, "it went wrong");
    assert!(event.attributes.iter().any(|pair| pair.key.as_str() == "reason"));
}

#[tokio::test]
async fn log_lines_name_their_trace_even_where_the_filter_hides_its_span() {
    let watch = watch();
    {
        let span = tracing::info_span!("hidden from a log at warn");
        let _entered = span.enter();
        tracing::warn!(count = 3, name = "x\"y\n", "something happened");
        tracing::info!("not loud enough");
    }
    tracing::warn!("outside");
    let text = watch.lines();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "{text}");
    let span = &watch.spans()[0].span_context;
    assert_eq!(lines[0]["message"], "something happened");
    assert_eq!((&lines[0]["count"], &lines[0]["name"]), (&3.into(), &"x\"y\n".into()));
    assert_eq!(lines[0]["trace_id"], span.trace_id().to_string());
    assert_eq!(lines[0]["span_id"], span.span_id().to_string());
    assert_eq!(lines[1].get("trace_id"), None);
}

/// Answers nothing, and says so.
async fn say(id: &str) {
    let named = tower::service_fn(async |request: http::Request<tonic::body::Body>| {
        let id = request.headers()["id"].to_str().map(str::to_owned).unwrap_or_default();
        name_request(&id.replace("ESC", "\u{1b}"));
        tracing::info_span!("attempt").in_scope(|| tracing::warn!(%id, text = "a\n\0b", "said\nso"));
        Ok::<_, std::convert::Infallible>(tonic::Status::ok("").into_http::<tonic::body::Body>())
    });
    let headers = [("traceparent", PARENT), ("id", id)];
    let _ = TraceLayer.layer(named).call(rig::request("/a.B/C", &headers)).await.unwrap();
}

#[tokio::test]
async fn every_line_of_a_call_names_its_request_and_its_trace_in_both_formats() {
    let json = watch();
    say("question-1").await;
    let line: serde_json::Value = serde_json::from_str(&json.lines()).unwrap();
    assert_eq!((&line["request_id"], &line["trace_id"]), (&"question-1".into(), &PARENT[3..35].into()));
    let spans = json.spans();
    let call = spans.iter().find(|span| span.name == "a.B/C").unwrap();
    assert_eq!(attribute_of(call, "causeway.request_id"), "question-1");
    drop(json);

    for level in ["info", "warn"] {
        let text = watch_in(text::TextLines { colour: false }, level);
        let long = "ESC".to_owned() + &"x".repeat(300);
        say(&long).await;
        let line = text.lines();
        assert_eq!(line.lines().count(), 1, "{line}");
        let line = line.trim_end_matches('\n');
        let id = format!("request_id=\\u{{1b}}{}", "x".repeat(127));
        assert!(line.ends_with(&id), "bounded and escaped: {line}");
        for part in ["WARN", &format!("trace_id={}", &PARENT[3..35]), "said\\nso", "text=\"a\\n\\0b\""] {
            assert!(line.contains(part), "`{part}` is not in: {line}");
        }
        assert!(!line.contains(char::is_control), "{line:?}");
        assert_eq!(line.contains("grpc.server{") && line.contains(":attempt: "), level == "info", "{line}");
    }
}

#[test]
fn lines_show_the_fields_of_spans_as_they_were_given_then_and_later() {
    for filter in ["info", "mesh=info", "[call]=info,info"] {
        let text = watch_in(text::TextLines { colour: false }, filter);
        let unset = tracing::field::Empty;
        let span =
            tracing::info_span!("call", yes = true, low = -3, high = 7_u64, half = 0.5, text = "a b", unset);
        span.in_scope(|| tracing::info!("before"));
        span.record("unset", tracing::field::debug(Some(1)));
        span.in_scope(|| tracing::info!("after"));
        span.in_scope(|| tracing::debug!("less"));
        let lines = text.lines();
        let shown = "call{yes=true low=-3 high=7 half=0.5 text=\"a b\"";
        assert_eq!(lines.lines().count(), 2, "{lines}");
        for (line, rest) in lines.lines().zip(["}: ", " unset=Some(1)}: "]) {
            assert!(line.contains(&format!("{shown}{rest}")), "{filter}: {line}");
        }
    }
}

#[test]
fn options_that_cannot_work_are_refused() {
    let keys = |options: TelemetryOptions| -> Vec<String> {
        options.invalid("telemetry").into_iter().map(|invalid| invalid.key).collect()
    };
    assert!(keys(TelemetryOptions::default()).is_empty());
    let sound = TelemetryOptions {
        otlp_endpoint: Some("http://127.0.0.1:4317".to_owned()),
        log_filter: "router=debug,info".to_owned(),
        ..TelemetryOptions::default()
    };
    assert!(keys(sound).is_empty());
    let wrong = TelemetryOptions {
        otlp_endpoint: Some("https://collector".to_owned()),
        sample_ratio: f64::NAN,
        log_filter: "router=loud".to_owned(),
        queue_len_max: 0,
        ..TelemetryOptions::default()
    };
    let expect = ["sample_ratio", "log_filter", "otlp_endpoint", "queue_len_max"];
    assert_eq!(keys(wrong), expect.map(|key| format!("telemetry.{key}")));
}

#[tokio::test]
async fn telemetry_starts_once_and_ends_in_time() {
    let options = TelemetryOptions {
        otlp_endpoint: Some("http://127.0.0.1:9".to_owned()),
        flush_timeout_ms: 200,
        ..TelemetryOptions::default()
    };
    let guard = Telemetry::start(&options, "test").unwrap();
    assert!(matches!(Telemetry::start(&TelemetryOptions::default(), "test"), Err(Error::Started(_))));
    tracing::info_span!("lost").in_scope(|| ());
    let began = tokio::time::Instant::now();
    guard.shutdown().await;
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
}
