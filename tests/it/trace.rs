//! One trace from the device's call to the worker's decode, received by a real OTLP receiver.

use std::collections::HashMap;
use std::time::Duration;

use causeway_tests::{Collector, House, HouseOptions, text_request};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use proto::v1::generation_client::GenerationClient;
use tokio::time::timeout;
use tonic::Request;

/// The names of a span's ancestors, nearest first.
fn ancestors<'a>(span: &'a Span, all: &'a [Span]) -> Vec<&'a str> {
    let by_id: HashMap<_, _> = all.iter().map(|span| (&span.span_id, span)).collect();
    let mut names = Vec::new();
    let mut next = by_id.get(&span.parent_span_id);
    while let Some(span) = next {
        names.push(span.name.as_str());
        next = by_id.get(&span.parent_span_id);
    }
    names
}

fn has(span: &Span, key: &str) -> bool {
    span.attributes.iter().any(|attribute| attribute.key == key)
}

/// The text of the decision's attribute `key`.
fn value(span: &Span, key: &str) -> String {
    let key = format!("causeway.decision.{key}");
    let found = span.attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|found| found.value.clone()?.value) {
        Some(Value::StringValue(text)) => text,
        other => panic!("{key}: {other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the caller's trace and span are called.
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_leads_from_the_call_to_the_decode() {
    let collector = Collector::start().await;
    let house = House::start(HouseOptions {
        otlp_endpoint: Some(collector.endpoint.clone()),
        ..HouseOptions::default()
    })
    .await;
    let marker = "zanzibar quokka";
    let request = text_request(&format!("Help me save a short text about {marker}."), "cloud-fast", 8);
    // The device is in the midst of a trace of its own.
    let mut request = Request::new(request);
    request.metadata_mut().insert("traceparent", TRACEPARENT.parse().expect("a header"));
    let mut stream =
        GenerationClient::new(house.agent.clone()).generate(request).await.expect("begins").into_inner();
    while stream.message().await.expect("goes on").is_some() {}

    let complete = |spans: &[Span]| {
        let Some(decode) = spans.iter().find(|span| span.name == "decode") else { return false };
        let generate = "causeway.v1.Generation/Generate";
        let of_trace = spans.iter().filter(|span| span.trace_id == decode.trace_id);
        of_trace.filter(|span| span.name == generate).count() == 3
    };
    let spans =
        timeout(Duration::from_secs(60), collector.wait_for(complete)).await.expect("the spans arrive");

    let decode = spans.iter().find(|span| span.name == "decode").expect("seen");
    let trace: Vec<Span> = spans.iter().filter(|span| span.trace_id == decode.trace_id).cloned().collect();
    let path = ancestors(decode, &trace);
    let generate = "causeway.v1.Generation/Generate";
    assert!(path.first().is_some_and(|name| name.starts_with("chat ")), "{path:?}");
    assert_eq!(path.iter().filter(|name| **name == generate).count(), 3, "{path:?}");
    assert_eq!(path.last(), Some(&generate), "the device's call is the first here: {path:?}");
    assert_eq!(hex(&decode.trace_id), TRACEPARENT[3..35], "the trace is the caller's");
    let first = trace.iter().filter(|span| hex(&span.parent_span_id) == TRACEPARENT[36..52]);
    assert_eq!(first.map(|span| span.name.as_str()).collect::<Vec<_>>(), [generate]);

    let decisions: Vec<&Span> = trace.iter().filter(|span| span.name == "decide").collect();
    let mut hops: Vec<_> =
        decisions.iter().map(|span| (ancestors(span, &trace), value(span, "place"))).collect();
    hops.sort();
    // Once each: the agent within its call, the router within that which the agent's led to.
    let calls = |(path, _): &(Vec<&str>, _)| path.iter().filter(|name| **name == generate).count();
    assert_eq!(hops.iter().map(calls).collect::<Vec<_>>(), [1, 2], "{hops:?}");
    assert!(hops.iter().all(|(_, place)| place.starts_with("cloud-fast")), "{hops:?}");
    for span in decisions {
        for key in ["place", "class", "policy_hash", "price_usd", "waiting_usd", "wrong_usd"] {
            assert!(has(span, &format!("causeway.decision.{key}")), "{key} of {span:?}");
        }
    }
    let chat = trace.iter().find(|span| span.name.starts_with("chat ")).expect("seen");
    for key in ["gen_ai.operation.name", "gen_ai.request.model", "gen_ai.usage.output_tokens"] {
        assert!(has(chat, key), "{key} of {chat:?}");
    }
    assert!(!format!("{spans:?}").contains("quokka"), "no prompt text in a span");
    for process in &house.processes {
        assert_eq!(process.lines_with("quokka"), 0, "no prompt text in a log");
    }
}
