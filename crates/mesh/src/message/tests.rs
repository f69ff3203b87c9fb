use tower::{Layer as _, Service as _};

use super::*;

/// What a real service, with a bound of 64 bytes, says of a call with this body.
async fn refused(body: &'static [u8]) -> Status {
    let (_, health) = tonic_health::server::health_reporter();
    let mut service = layer().layer(health.max_decoding_message_size(64));
    let body = Body::new(http_body_util::Full::new(bytes::Bytes::from_static(body)));
    let mut request = http::Request::post("/grpc.health.v1.Health/Check").body(body).unwrap();
    request.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    let response = service.call(request).await.unwrap();
    let status = Status::from_header_map(response.headers()).unwrap();
    assert_eq!(response.headers().get_all(Status::GRPC_STATUS).iter().count(), 1);
    status
}

#[tokio::test]
async fn what_cannot_be_read_is_the_callers_fault_and_its_bound_has_a_name() {
    for body in [&b"\0\0\0\0\x02\x0a\xff"[..], b"\0\0\0\0\x09\x0a", b""] {
        let status = refused(body).await;
        assert_eq!(status.code(), Code::InvalidArgument, "{body:?}: {status:?}");
        assert!(status.message().starts_with("the request's message cannot be read: "), "{status:?}");
    }
    let status = refused(b"\0\0\0\0\x41").await;
    assert_eq!(status.code(), Code::OutOfRange, "{status:?}");
    for part in ["65 bytes", "64 bytes", "`limits.request_bytes_max`"] {
        assert!(status.message().contains(part), "{part}: {status:?}");
    }
    // What a service says itself is left alone.
    assert_eq!(refused(b"\0\0\0\0\x03\x0a\x01x").await.code(), Code::NotFound);
}
