//! One trace from the device's call to the worker's decode, received by a real OTLP receiver.

use std::collections::HashMap;
use std::time::Duration;

use causeway_tests::{Collector, House, HouseOptions, text_request};
use opentelemetry_proto::tonic::trace::v1::Span;
use proto::v1::generation_client::GenerationClient;
use tokio::time::timeout;

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
    assert_eq!(path.last(), Some(&generate), "the device's call is the root: {path:?}");

    let decisions: Vec<&Span> = trace.iter().filter(|span| span.name == "decide").collect();
    assert_eq!(decisions.len(), 2, "agent and router decide once each");
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
}
