//! The same over real sockets: TCP with certificates, and a Unix socket.

use std::sync::Arc;

use mesh::connect::{Channel, ConnectOptions};
use mesh::process::Rim;
use mesh::telemetry::{Telemetry, TelemetryOptions};
use mesh::tls::Authority;
use mesh::transport::{Address, Os};
use proto::v1::generation_client::GenerationClient;
use router::Router;
use tonic::Code;

use crate::road::{POLICY, Road, both, options, policy_file, question};
use crate::worker::{Worker, report, short_answer};

fn rim(authority: Option<&Authority>, who: &str) -> Rim {
    let identity = authority.map(|authority| authority.issue(who).unwrap().identity().unwrap());
    Rim { transport: Arc::new(Os), identity, seed: 7 }
}

/// Asks once through a router at `listen` and says what came of it.
async fn check(
    authority: Option<&Authority>,
    listen: Address,
    server_name: &str,
) -> Result<String, tonic::Status> {
    let rim = |who| rim(authority, who);
    let idle = Some(report("small", 1000.0, 0.05));
    let worker = Worker::start(&rim("worker/1"), "127.0.0.1:0", idle, short_answer()).await;
    let policy = policy_file(POLICY);
    let mut options = options(&[("slow/a", worker.address.clone())], &policy);
    options.listen.address = listen;
    options.fleet.workers[0].server_name = server_name.into();
    let router = Router::bind(options, rim("router")).await.unwrap();
    let (address, agent) = (router.address().clone(), rim("agent"));
    let running = tokio::spawn(router.run(std::future::pending()));
    let connect = ConnectOptions::default().expecting("router.causeway");
    let mut client = GenerationClient::new(Channel::new(address, agent.transport, agent.identity, connect));
    let mut stream = client.generate(question()).await?.into_inner();
    let mut text = String::new();
    while let Some(event) = stream.message().await? {
        if let Some(proto::v1::generate_event::Event::Delta(delta)) = event.event {
            text.push_str(&delta.text);
        }
    }
    let seen = &worker.state.seen()[0];
    assert_eq!(seen.request.signals.as_ref().unwrap().version, "given");
    running.abort();
    Ok(text)
}

#[tokio::test]
async fn an_answer_comes_over_tcp_with_certificates() {
    let authority = Authority::ephemeral().unwrap();
    let listen = || "127.0.0.1:0".parse().unwrap();
    assert_eq!(check(Some(&authority), listen(), "worker.causeway").await.unwrap(), "It is noon.");
    let status = check(Some(&authority), listen(), "impostor.causeway").await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
}

#[tokio::test]
async fn an_answer_comes_over_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let listen = Address::Unix(folder.path().join("router.sock"));
    assert_eq!(check(None, listen, "worker.causeway").await.unwrap(), "It is noon.");
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let plan = both();
    let places: Vec<_> = plan.iter().map(|(place, ..)| (*place, "127.0.0.1:1".parse().unwrap())).collect();
    let check = async |policy: &str, change: fn(&mut router::Options), expect: &str| {
        let policy = policy_file(policy);
        let mut options = options(&places, &policy);
        options.listen.address = "127.0.0.1:0".parse().unwrap();
        change(&mut options);
        let error = Router::bind(options, rim(None, "router")).await.unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    };
    check(POLICY, |options| options.policy.file = "/nowhere/policy.toml".into(), "/nowhere/policy.toml")
        .await;
    check("schema = 7", |_| {}, ":1:").await;
    check(POLICY, |options| options.fleet.workers[0].tier = "device".into(), "it has `slow`, `quick`").await;
    check(POLICY, |options| options.fleet.workers[0].tier = "swift".into(), "tier `swift`").await;
    check(POLICY, |options| options.listen.address = "192.0.2.1:1".parse().unwrap(), "192.0.2.1:1").await;
}

#[tokio::test(start_paused = true)]
async fn the_callers_trace_goes_on_to_the_worker() {
    let quiet = TelemetryOptions { log_filter: "off".into(), ..TelemetryOptions::default() };
    let _telemetry = Telemetry::start(&quiet, "causeway-router").unwrap();
    let mut road = Road::lay(both()).await;
    let (trace, span) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let mut request = tonic::Request::new(question());
    request.metadata_mut().insert("traceparent", format!("00-{trace}-{span}-01").parse().unwrap());
    road.ask(request).await.unwrap();
    let seen = road.workers[0].state.seen()[0].traceparent.clone().expect("the worker is told of the trace");
    assert!(seen.contains(trace) && !seen.contains(span), "{seen}");
}
