//! Health and reflection, asked of each of the three processes as an orchestrator and a curious person would.

use std::time::{Duration, Instant};

use causeway_tests::{House, HouseOptions};
use mesh::connect::Channel;
use proto::v1::WatchReportsRequest;
use proto::v1::fleet_client::FleetClient;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

/// Well below the drain deadline, which is what an end takes that somebody holds up.
const END_MAX: Duration = Duration::from_secs(5);

/// The services of a hop besides health and reflection.
fn services(hop: &str) -> Vec<&'static str> {
    match hop {
        "worker" => {
            vec!["causeway.v1.Fleet", "causeway.v1.Generation", "xds.service.orca.v3.OpenRcaService"]
        }
        "router" => vec!["causeway.v1.Generation", "causeway.v1.Prospect"],
        _ => vec!["causeway.v1.Generation"],
    }
}

fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

async fn reflect(channel: &Channel, asked: MessageRequest) -> MessageResponse {
    let asked = ServerReflectionRequest { host: String::new(), message_request: Some(asked) };
    let asked = futures_util::stream::iter([asked]);
    let mut client = ServerReflectionClient::new(channel.clone());
    let mut answers = client.server_reflection_info(asked).await.expect("it answers").into_inner();
    let answer = answers.message().await.expect("it answers").expect("once");
    answer.message_response.expect("a message")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_process_says_what_it_serves_and_that_it_does() {
    let house = House::start(HouseOptions::default()).await;
    for (hop, channel) in house.hops() {
        let mut health = HealthClient::new(channel.clone());
        for service in [vec![""], services(hop)].concat() {
            let said = health.check(of(service)).await.expect("it answers").into_inner();
            assert_eq!(said.status(), ServingStatus::Serving, "{hop} `{service}`");
        }
        let unknown = health.check(of("causeway.v1.Nothing")).await.expect_err("no such service");
        assert_eq!(unknown.code(), Code::NotFound, "{hop}: {unknown:?}");

        let listed = reflect(channel, MessageRequest::ListServices(String::new())).await;
        let MessageResponse::ListServicesResponse(listed) = listed else { panic!("{hop}: {listed:?}") };
        let listed: Vec<_> = listed.service.into_iter().map(|service| service.name).collect();
        for service in [services(hop), vec!["grpc.health.v1.Health"]].concat() {
            assert!(listed.iter().any(|name| name == service), "{hop} does not list {service}: {listed:?}");
        }
        let symbol = MessageRequest::FileContainingSymbol("causeway.v1.Generation.Generate".to_owned());
        let found = reflect(channel, symbol).await;
        let MessageResponse::FileDescriptorResponse(found) = found else { panic!("{hop}: {found:?}") };
        let file = found.file_descriptor_proto.concat();
        let name = b"GenerateRequest";
        assert!(file.windows(name.len()).any(|window| window == name), "{hop} shows the message");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_process_says_that_it_ends_and_lets_its_watchers_go() {
    let mut house = House::start(HouseOptions::default()).await;
    let mut watches = Vec::new();
    for (hop, channel) in house.hops() {
        let mut health = HealthClient::new(channel.clone());
        let mut watch = health.watch(of("")).await.expect("it answers").into_inner();
        let now = watch.message().await.expect("it answers").expect("at once");
        assert_eq!(now.status(), ServingStatus::Serving, "{hop}");
        watches.push((hop, watch));
    }
    let mut fleet = FleetClient::new(house.worker.clone());
    let asked = WatchReportsRequest { interval_ms: 100, ..Default::default() };
    let mut reports = fleet.watch_reports(asked).await.expect("it reports").into_inner();
    // The worker first: its router watches its reports, and the agent its router's outlook.
    for (process, (hop, mut watch)) in house.processes.iter_mut().zip(watches) {
        let before = Instant::now();
        assert!(process.terminate().success(), "{hop}");
        assert!(before.elapsed() < END_MAX, "{hop} took {:?} to end", before.elapsed());
        let last = watch.message().await.expect("it answers").expect("before the end");
        assert_eq!(last.status(), ServingStatus::NotServing, "{hop}");
        assert!(watch.message().await.expect("a good end").is_none(), "{hop}");
    }
    let mut draining = Vec::new();
    while let Some(report) = reports.message().await.expect("a good end") {
        draining.push(report.draining);
    }
    assert!(matches!(draining.as_slice(), [before @ .., true] if !before.contains(&true)), "{draining:?}");
}
