//! What the router tells of itself: its outlook, its places, its health, its services.

use std::time::Duration;

use proto::v1;
use proto::v1::prospect_client::ProspectClient;
use tokio::time::{Instant, sleep};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::road::{Road, both, memory};
use crate::worker::{report, short_answer};

fn tier<'a>(outlook: &'a v1::Outlook, name: &str) -> &'a v1::TierOutlook {
    outlook.tiers.iter().find(|tier| tier.tier == name).expect("the tier has workers")
}

#[tokio::test(start_paused = true)]
async fn the_outlook_is_of_each_tiers_best_worker() {
    let mut plan = both();
    plan.push(("slow/worse", Some(report("small", 100.0, 0.5)), short_answer()));
    let mut road = Road::lay(plan).await;
    let mut client = ProspectClient::new(road.channel.clone());
    let request = v1::WatchOutlookRequest { interval_ms: 1 };
    let mut outlooks = client.watch_outlook(request).await.unwrap().into_inner();
    let before = Instant::now();
    let first = outlooks.message().await.unwrap().unwrap();
    assert!(before.elapsed() < Duration::from_millis(50), "the first comes at once");
    assert_eq!(first.interval_ms, 500, "the interval is the router's to grant");
    assert_eq!(first.tiers.len(), 2, "the device's tier has no workers");
    let slow = tier(&first, "slow");
    assert_eq!((slow.workers, slow.context_tokens_max), (2, 4096));
    assert_eq!(slow.output_usd_per_million_tokens, 2.0);
    assert_eq!(slow.cached_input_usd_per_million_tokens, 0.5);
    assert_eq!((slow.ability.as_slice(), slow.regions.as_slice()), (&[2.0, 0.0][..], &["DE".to_owned()][..]));
    assert!((slow.seconds_per_output_token - 0.05).abs() < 1e-6);
    assert!((slow.prefill_seconds_per_token - 0.001).abs() < 1e-6);
    assert_eq!(slow.queue_seconds, 0.0);

    road.workers[1].kill().await;
    sleep(Duration::from_millis(600)).await;
    let mut latest = outlooks.message().await.unwrap().unwrap();
    while tier(&latest, "quick").workers == 1 {
        latest = outlooks.message().await.unwrap().unwrap();
    }
    let quick = tier(&latest, "quick");
    assert_eq!(quick.workers, 0);
    assert!(quick.seconds_per_output_token.is_nan(), "what is not known is no number");
}

#[tokio::test(start_paused = true)]
async fn watchers_are_bounded_and_end_with_the_router() {
    let mut road = Road::lay_with(memory(), both(), |options| options.outlook.watchers_max = 1).await;
    let mut client = ProspectClient::new(road.channel.clone());
    let request = v1::WatchOutlookRequest::default();
    let mut outlooks = client.watch_outlook(request).await.unwrap().into_inner();
    outlooks.message().await.unwrap().unwrap();
    let status = client.watch_outlook(request).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.metadata().get("grpc-retry-pushback-ms").is_some());
    // A watch outlives every deadline.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(900) {
        outlooks.message().await.unwrap().unwrap();
    }
    road.end();
    let before = Instant::now();
    while outlooks.message().await.unwrap().is_some() {}
    road.ended().await;
    assert!(before.elapsed() < Duration::from_secs(1), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn places_are_described_with_their_models() {
    let mut plan = both();
    plan.push(("quick/silent", None, short_answer()));
    let mut road = Road::lay(plan).await;
    let described = road.client.describe(v1::DescribeRequest {}).await.unwrap().into_inner();
    assert_eq!((described.hop.as_str(), described.request_bytes_max), ("router", 1 << 20));
    let places: Vec<_> = described
        .places
        .iter()
        .map(|place| {
            (place.place.as_str(), place.tier.as_str(), place.model.as_ref().map(|m| m.name.as_str()))
        })
        .collect();
    let expect = [
        ("quick/b", "quick", Some("large")),
        ("quick/silent", "quick", None),
        ("slow/a", "slow", Some("small")),
    ];
    assert_eq!(places, expect);
}

#[tokio::test(start_paused = true)]
async fn health_and_reflection_are_served() {
    let mut road = Road::lay(both()).await;
    let mut health = HealthClient::new(road.channel.clone());
    for service in ["", "causeway.v1.Generation", "causeway.v1.Prospect"] {
        let request = HealthCheckRequest { service: service.into() };
        assert_eq!(health.check(request).await.unwrap().into_inner().status(), ServingStatus::Serving);
    }
    let mut reflection = ServerReflectionClient::new(road.channel.clone());
    let list = MessageRequest::ListServices(String::new());
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(list) };
    let mut answers =
        reflection.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
    let Some(MessageResponse::ListServicesResponse(listed)) =
        answers.message().await.unwrap().unwrap().message_response
    else {
        panic!("no list of services");
    };
    let names: Vec<_> = listed.service.iter().map(|service| service.name.as_str()).collect();
    assert!(names.contains(&"causeway.v1.Generation"), "{names:?}");

    let watched = HealthCheckRequest { service: "causeway.v1.Generation".into() };
    let mut watch = health.watch(watched).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    road.end();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    drop((watch, answers));
    road.ended().await;
}
