use http_body_util::BodyExt as _;
use tonic::Code;
use tower::{Layer as _, Service as _};

use super::*;
use crate::rig;

const LAYER: DeadlineLayer = DeadlineLayer { default: Duration::from_secs(5), max: Duration::from_secs(60) };

#[test]
fn grpc_timeouts_are_read_as_specified() {
    let check = |values: &[&[u8]], expect: Result<Option<Duration>, &'static str>| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(GRPC_TIMEOUT, http::HeaderValue::from_bytes(value).unwrap());
        }
        let found = parse_grpc_timeout(&headers).map_err(|error| error.problem);
        assert_eq!(found, expect, "{values:?}");
    };
    let (digits, count) =
        ("the number has something other than digits", "the number does not have 1 to 8 digits");
    check(&[], Ok(None));
    check(&[b"1H"], Ok(Some(Duration::from_secs(3600))));
    check(&[b"2M"], Ok(Some(Duration::from_secs(120))));
    check(&[b"3S"], Ok(Some(Duration::from_secs(3))));
    check(&[b"4m"], Ok(Some(Duration::from_millis(4))));
    check(&[b"5u"], Ok(Some(Duration::from_micros(5))));
    check(&[b"6n"], Ok(Some(Duration::from_nanos(6))));
    check(&[b"0n"], Ok(Some(Duration::ZERO)));
    check(&[b"99999999H"], Ok(Some(Duration::from_secs(99_999_999 * 3600))));
    check(&[b"999999999n"], Err(count));
    check(&[b"S"], Err(count));
    check(&[b""], Err("it is empty"));
    check(&[b"1"], Err(count));
    check(&[b"10"], Err("the unit is unknown"));
    check(&[b"1s"], Err("the unit is unknown"));
    check(&[b"-1S"], Err(digits));
    check(&[b"1.5S"], Err(digits));
    check(&[b" 1S"], Err(digits));
    check(&[b"\xff\xff"], Err(digits));
    check(&[b"1S", b"2S"], Err("it is given more than once"));
}

#[tokio::test(start_paused = true)]
async fn a_body_without_end_ends_at_the_deadline() {
    let mut service = LAYER.layer(rig::service());
    let began = Instant::now();
    let response = service.call(rig::request("/drip/100", &[(GRPC_TIMEOUT, "1050m")])).await.unwrap();
    let reply = rig::read(response.map(tonic::body::Body::new)).await;
    assert_eq!((reply.code, reply.text.len()), (Code::DeadlineExceeded, 10));
    assert_eq!(began.elapsed(), Duration::from_millis(1050));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_always_ready_ends_at_the_deadline() {
    let mut service = LAYER.layer(rig::service());
    let request = rig::request("/tiny/1000000", &[(GRPC_TIMEOUT, "1S")]);
    let mut body = service.call(request).await.unwrap().into_body();
    for _ in 0..100 {
        assert!(body.frame().await.unwrap().unwrap().is_data());
    }
    tokio::time::advance(Duration::from_secs(1)).await;
    let trailers = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(trailers[Status::GRPC_STATUS], "4");
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_call_without_headers_is_answered_at_the_deadline() {
    let mut service = LAYER.layer(rig::service());
    let check = async |headers: &[(&'static str, &str)], code: Code, after: Duration| {
        let began = Instant::now();
        let response = service.call(rig::request("/hang", headers)).await.unwrap();
        assert!(http_body::Body::is_end_stream(response.body()), "headers are all that is sent");
        let reply = rig::read(response.map(tonic::body::Body::new)).await;
        assert_eq!((reply.code, began.elapsed()), (code, after), "{headers:?}");
    };
    let mut check = check;
    check(&[(GRPC_TIMEOUT, "20m")], Code::DeadlineExceeded, Duration::from_millis(20)).await;
    check(&[], Code::DeadlineExceeded, LAYER.default).await;
    check(&[(GRPC_TIMEOUT, "99999999H")], Code::DeadlineExceeded, LAYER.max).await;
    check(&[(GRPC_TIMEOUT, "0n")], Code::DeadlineExceeded, Duration::ZERO).await;
    check(&[(GRPC_TIMEOUT, "soon")], Code::InvalidArgument, Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn a_finished_call_is_left_alone() {
    let mut service = LAYER.layer(rig::service());
    let response = service.call(rig::request("/tiny/2", &[(GRPC_TIMEOUT, "1S")])).await.unwrap();
    let reply = rig::read(response.map(tonic::body::Body::new)).await;
    assert_eq!((reply.code, reply.text.len()), (Code::Ok, 80));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_holds_across_a_connection_and_cancels_the_handler() {
    struct Dropped(tokio::sync::mpsc::Sender<()>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.try_send(()).ok();
        }
    }
    let (dropped, mut was_dropped) = tokio::sync::mpsc::channel(1);
    let handler = tower::service_fn(move |_request: http::Request<tonic::body::Body>| {
        let guard = Dropped(dropped.clone());
        let frames = futures_util::stream::unfold(guard, |guard| async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            Some((bytes::Bytes::from_static(b"."), guard))
        });
        std::future::ready(Ok::<_, std::convert::Infallible>(rig::ok(frames)))
    });
    let (_running, channel) = rig::memory_server(LAYER.layer(handler)).await;
    let began = Instant::now();
    let reply = rig::call(&channel, rig::request("/x", &[(GRPC_TIMEOUT, "200m")])).await;
    assert_eq!(reply.code, Code::DeadlineExceeded);
    assert!(began.elapsed() <= Duration::from_millis(210), "{:?}", began.elapsed());
    was_dropped.recv().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_next_hop_is_told_what_is_left() {
    let deadline = Deadline::within(Duration::from_millis(700));
    tokio::time::advance(Duration::from_millis(200)).await;
    let mut request = tonic::Request::new(());
    propagate(&mut request, deadline);
    let headers = request.metadata().clone().into_headers();
    assert_eq!(parse_grpc_timeout(&headers), Ok(Some(Duration::from_millis(500))));
    tokio::time::advance(Duration::from_secs(1)).await;
    propagate(&mut request, deadline);
    let headers = request.metadata().clone().into_headers();
    assert_eq!(parse_grpc_timeout(&headers), Ok(Some(Duration::ZERO)));
    assert!(deadline.is_past());
}
