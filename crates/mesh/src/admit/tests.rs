use tonic::Code;
use tower::Layer as _;

use super::*;
use crate::rig;

fn layer() -> AdmitLayer {
    AdmitLayer::new(AdmitOptions { in_flight_max: 2, retry_pushback_ms: 250 })
}

#[tokio::test(start_paused = true)]
async fn a_permit_lives_as_long_as_the_body() {
    let layer = layer();
    let mut service = layer.layer(rig::service());
    let first = service.call(rig::request("/drip/10", &[])).await.unwrap();
    let second = service.call(rig::request("/tiny/1", &[])).await.unwrap();
    assert_eq!(layer.in_flight(), 2);

    let refused = service.call(rig::request("/echo", &[])).await.unwrap();
    assert_eq!(refused.headers()[RETRY_PUSHBACK], "250");
    let reply = rig::read(refused.map(tonic::body::Body::new)).await;
    assert_eq!(reply.code, Code::ResourceExhausted);
    assert_eq!(reply.message, "2 calls are in flight, which is the most this process takes");

    let (_, mut body) = second.into_parts();
    while let Some(frame) = http_body_util::BodyExt::frame(&mut body).await {
        frame.unwrap();
    }
    assert_eq!(layer.in_flight(), 1, "a body that was read to its end holds nothing");
    drop(first);
    assert_eq!(layer.in_flight(), 0, "a body that was dropped holds nothing");
    assert_eq!(
        rig::read(service.call(rig::request("/echo", &[])).await.unwrap().map(tonic::body::Body::new))
            .await
            .code,
        Code::Ok
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_before_its_answer_releases_its_permit() {
    let layer = layer();
    let mut service = layer.layer(rig::service());
    let call = service.call(rig::request("/hang", &[]));
    assert_eq!(layer.in_flight(), 1);
    drop(call);
    assert_eq!(layer.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_releases_its_permit() {
    let layer = layer();
    let (_running, channel) = rig::memory_server(layer.layer(rig::service())).await;
    let response = channel.clone().call(rig::request("/drip/10", &[])).await.unwrap();
    assert_eq!(layer.in_flight(), 1);
    drop(response);
    while layer.in_flight() > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn health_is_answered_however_busy_the_process_is() {
    let layer = layer();
    let mut service = layer.layer(rig::service());
    let busy = [service.call(rig::request("/hang", &[])), service.call(rig::request("/hang", &[]))];
    let health = service.call(rig::request("/grpc.health.v1.Health/Check", &[])).await.unwrap();
    let reply = rig::read(health.map(tonic::body::Body::new)).await;
    assert_eq!(reply.code, Code::Unimplemented, "it reached the service");
    drop(busy);
}

#[test]
fn options_that_admit_nothing_are_refused() {
    let refused = AdmitOptions { in_flight_max: 0, ..AdmitOptions::default() }.invalid("admit");
    assert_eq!(refused.iter().map(|invalid| &*invalid.key).collect::<Vec<_>>(), ["admit.in_flight_max"]);
    assert!(AdmitOptions::default().invalid("admit").is_empty());
}
