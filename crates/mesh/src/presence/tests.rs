use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::*;
use crate::rig;

fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

#[tokio::test(start_paused = true)]
async fn health_is_told_until_the_process_leaves() {
    let (presence, routes) = Presence::announce(&["a.B"], tonic_health::pb::FILE_DESCRIPTOR_SET).await;
    let (_running, channel) = rig::memory_server(routes.prepare()).await;
    let mut health = HealthClient::new(channel);
    for service in ["", "a.B"] {
        let said = health.check(of(service)).await.unwrap().into_inner();
        assert_eq!(said.status, ServingStatus::Serving as i32, "`{service}`");
    }
    assert_eq!(health.check(of("a.C")).await.unwrap_err().code(), Code::NotFound);

    let mut watch = health.watch(of("a.B")).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status, ServingStatus::Serving as i32);
    presence.leave().await;
    assert_eq!(watch.message().await.unwrap().unwrap().status, ServingStatus::NotServing as i32);
    assert!(watch.message().await.unwrap().is_none(), "who watches is let go");
}

#[tokio::test(start_paused = true)]
async fn reflection_is_told_in_both_editions() {
    let (_presence, routes) = Presence::announce(&["a.B"], tonic_health::pb::FILE_DESCRIPTOR_SET).await;
    let (_running, channel) = rig::memory_server(routes.prepare()).await;
    macro_rules! listed {
        ($edition:ident) => {{
            use tonic_reflection::pb::$edition::ServerReflectionRequest;
            use tonic_reflection::pb::$edition::server_reflection_client::ServerReflectionClient;
            use tonic_reflection::pb::$edition::server_reflection_request::MessageRequest;
            let asked = Some(MessageRequest::ListServices(String::new()));
            let asked = ServerReflectionRequest { message_request: asked, ..Default::default() };
            let mut client = ServerReflectionClient::new(channel.clone());
            let answers = client.server_reflection_info(futures_util::stream::iter([asked])).await;
            format!("{:?}", answers.unwrap().into_inner().message().await.unwrap())
        }};
    }
    for listed in [listed!(v1), listed!(v1alpha)] {
        assert!(listed.contains("grpc.health.v1.Health"), "{listed}");
    }
}
