//! What is added arrives behind the body, or in the headers of an answer that has none.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tonic::body::Body;
use tower::{Layer as _, Service as _, service_fn};

async fn through(answer: Response<Body>) -> (HeaderMap, Vec<u8>, HeaderMap) {
    let answer = std::sync::Mutex::new(Some(answer));
    let inner = service_fn(move |_: Request<()>| {
        let answer = answer.lock().unwrap().take().unwrap();
        async move { Ok::<_, Infallible>(answer) }
    });
    let add = |trailers: &mut HeaderMap| drop(trailers.insert("load", HeaderValue::from_static("1")));
    let answer = super::layer(add).layer(inner).call(Request::new(())).await.unwrap();
    let (head, body) = answer.into_parts();
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().cloned().unwrap_or_default();
    (head.headers, body.to_bytes().to_vec(), trailers)
}

fn status_ok() -> HeaderMap {
    HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static("0"))])
}

#[tokio::test]
async fn trailers_of_a_success_are_edited() {
    let frames = [Frame::data(Bytes::from_static(b"token")), Frame::trailers(status_ok())];
    let body = StreamBody::new(stream::iter(frames.map(Ok::<_, tonic::Status>)));
    let (headers, bytes, trailers) = through(Response::new(Body::new(body))).await;
    assert!(headers.is_empty());
    assert_eq!(bytes, b"token");
    assert_eq!((trailers.len(), trailers["grpc-status"].as_bytes()), (2, &b"0"[..]));
    assert_eq!(trailers["load"], "1");
}

#[tokio::test]
async fn an_answer_without_a_body_has_its_trailers_in_its_headers() {
    let mut answer = Response::new(Body::empty());
    *answer.headers_mut() = status_ok();
    let (headers, bytes, trailers) = through(answer).await;
    assert_eq!((headers.len(), bytes.len(), trailers.len()), (2, 0, 0));
    assert_eq!(headers["load"], "1");
}
