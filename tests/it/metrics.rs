//! The numbers of real processes, received by a real OTLP receiver.

use std::time::Duration;

use causeway_tests::{Collector, House, HouseOptions, text_request};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric, number_data_point};
use proto::v1::generation_client::GenerationClient;
use tokio::time::timeout;

/// Attributes of a point as `key=value`, and how much it counts.
type Point = (Vec<String>, f64);

fn shown(attributes: &[KeyValue]) -> Vec<String> {
    let one = |attribute: &KeyValue| {
        let value = attribute.value.as_ref().and_then(|value| value.value.as_ref());
        let Some(any_value::Value::StringValue(text)) = value else { panic!("{attribute:?}") };
        format!("{}={text}", attribute.key)
    };
    attributes.iter().map(one).collect()
}

/// Every point of a metric in all exports.
fn points(metrics: &[Metric], name: &str) -> Vec<Point> {
    let mut points = Vec::new();
    for metric in metrics.iter().filter(|metric| metric.name == name) {
        let numbers = match metric.data.as_ref().expect("it has data") {
            metric::Data::Sum(sum) => &sum.data_points,
            metric::Data::Gauge(gauge) => &gauge.data_points,
            metric::Data::Histogram(histogram) => {
                let count = histogram.data_points.iter();
                points.extend(count.map(|point| (shown(&point.attributes), point.count as f64)));
                continue;
            }
            other => panic!("{other:?}"),
        };
        points.extend(numbers.iter().map(|point| {
            let value = match point.value.expect("a value") {
                number_data_point::Value::AsInt(value) => value as f64,
                number_data_point::Value::AsDouble(value) => value,
            };
            (shown(&point.attributes), value)
        }));
    }
    points
}

/// Whether a point with all of these attributes counts at least so much.
fn has(metrics: &[Metric], name: &str, attributes: &[&str], least: f64) -> bool {
    let with = |point: &&Point| attributes.iter().all(|wanted| point.0.iter().any(|one| one == wanted));
    points(metrics, name).iter().filter(with).any(|point| point.1 >= least)
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_times_and_a_broken_policy_are_told_in_numbers() {
    let collector = Collector::start().await;
    let house = House::start(HouseOptions {
        otlp_endpoint: Some(collector.endpoint.clone()),
        decisions: true,
        ..HouseOptions::default()
    })
    .await;
    let mut client = GenerationClient::new(house.agent.clone());
    for text in ["What is a quokka?", "Summarise this: the quokka is a small animal that lives on an island."]
    {
        let request = text_request(text, "cloud-fast", 16);
        let mut stream = client.generate(request).await.expect("begins").into_inner();
        while stream.message().await.expect("goes on").is_some() {}
    }
    let policy = std::fs::read_to_string(house.policy()).expect("readable");
    std::fs::write(house.policy(), &policy[..policy.len() / 2]).expect("written");

    let hops = ["causeway.hop=router", "causeway.hop=edge-agent"];
    let durations = [
        "gen_ai.client.operation.duration",
        "gen_ai.client.token.usage",
        "gen_ai.server.request.duration",
        "gen_ai.server.time_to_first_token",
        "gen_ai.server.time_per_output_token",
        "causeway.decision.duration",
        "causeway.decision.expected_cost",
    ];
    let enough = |metrics: &[Metric]| {
        hops.iter().all(|hop| {
            let refused = [*hop, "causeway.policy.role=live", "result=refused"];
            has(metrics, "causeway.policy.reload", &refused, 1.0)
                && has(metrics, "causeway.decision.log.lines", &[*hop, "result=written"], 1.0)
                && durations.iter().all(|name| has(metrics, name, &[*hop], 1.0))
        })
    };
    let waiting = timeout(Duration::from_secs(60), collector.wait_for_metrics(enough));
    let Ok(metrics) = waiting.await else {
        let all = collector.wait_for_metrics(|_| true).await;
        let names: std::collections::BTreeSet<_> = all.iter().map(|metric| metric.name.as_str()).collect();
        panic!("only these came: {names:?}");
    };
    let placed = ["causeway.hop=router", "causeway.place=cloud-fast/test", "causeway.tier=cloud-fast"];
    assert!(has(&metrics, "causeway.decision.count", &placed, 1.0));
    let units: Vec<_> = metrics.iter().map(|metric| (metric.name.as_str(), metric.unit.as_str())).collect();
    for expect in [
        ("gen_ai.client.operation.duration", "s"),
        ("gen_ai.client.token.usage", "{token}"),
        ("causeway.decision.expected_cost", "{USD}"),
    ] {
        assert!(units.contains(&expect), "{expect:?}");
    }
    let all = format!("{metrics:?}");
    assert!(
        !all.contains("quokka") && !all.contains("tenant"),
        "nothing that a caller chose is an attribute"
    );
}
