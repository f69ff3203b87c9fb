//! What tests share: a small gRPC-like service, servers on any transport, and calls over a channel.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::Service;
use tower::util::BoxCloneService;

use crate::connect::{Channel, ConnectOptions};
use crate::serve::{Counters, Error, ServeOptions, Served, Server};
use crate::tls::{Identity, Peer};
use crate::transport::{Address, Listener, Memory, Transport};

pub(crate) type BoxService = BoxCloneService<Request<Body>, Response<Body>, Infallible>;

/// A server under test.
pub(crate) struct Running {
    pub(crate) address: Address,
    pub(crate) counters: Counters,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<Served, Error>>,
}

/// What a call came to.
#[derive(Debug, PartialEq)]
pub(crate) struct Reply {
    pub(crate) code: Code,
    pub(crate) message: String,
    pub(crate) text: String,
}

/// Answers by path: `/echo` its request, `/peer` who asks, `/drip/{ms}` a byte each so often without end, `/hang`
/// nothing, `/tiny/{n}` n frames of 40 bytes, `/panic` with a panic.
pub(crate) fn service() -> BoxService {
    BoxCloneService::new(tower::service_fn(|request: Request<Body>| -> BoxFuture<'static, _> {
        Box::pin(async move { Ok::<_, Infallible>(answer(request).await) })
    }))
}

async fn answer(request: Request<Body>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    match path.trim_start_matches('/').split('/').collect::<Vec<_>>()[..] {
        ["echo"] => {
            let bytes = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            ok(futures_util::stream::iter([bytes]))
        }
        ["peer"] => {
            let peer = request.extensions().get::<Peer>().cloned().unwrap_or_default();
            ok(futures_util::stream::iter([Bytes::from(peer.spiffe.unwrap_or_default())]))
        }
        ["tenant"] => {
            let peer = request.extensions().get::<Peer>().cloned().unwrap_or_default();
            ok(futures_util::stream::iter([Bytes::from(peer.tenant().unwrap_or_default().to_owned())]))
        }
        ["drip", pause_ms] => {
            let pause = Duration::from_millis(pause_ms.parse().unwrap());
            ok(futures_util::stream::unfold((), move |()| async move {
                tokio::time::sleep(pause).await;
                Some((Bytes::from_static(b"."), ()))
            }))
        }
        ["tiny", count] => {
            let frame = Bytes::from_static(&[b'x'; 40]);
            ok(futures_util::stream::iter(std::iter::repeat_n(frame, count.parse().unwrap())))
        }
        ["hang"] => std::future::pending().await,
        ["panic"] => panic!("as asked"),
        _ => Status::unimplemented("").into_http(),
    }
}

/// A response of these bytes, each a frame, and the trailers of success.
pub(crate) fn ok(frames: impl futures_util::Stream<Item = Bytes> + Send + 'static) -> Response<Body> {
    let trailers = futures_util::stream::once(async {
        Frame::trailers(crate::status::trailers(&Status::new(Code::Ok, "")))
    });
    let frames = frames.map(Frame::data).chain(trailers).map(Ok::<_, Status>);
    Response::new(Body::new(StreamBody::new(frames)))
}

/// A server with quick, generous options.
pub(crate) async fn start(transport: &dyn Transport, address: &str, identity: Option<Identity>) -> Running {
    let listener = transport.bind(&address.parse().unwrap()).await.unwrap();
    run(ServeOptions::default(), listener, identity, service())
}

pub(crate) fn run<S, B>(
    options: ServeOptions,
    listener: Box<dyn Listener>,
    identity: Option<Identity>,
    service: S,
) -> Running
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes, Error: Into<tonic::codegen::StdError>> + Send + 'static,
{
    let server = Server::new(options, listener, identity);
    let (address, counters) = (server.local_address(), server.counters());
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(server.serve(service, async move { drop(stopped.await) }));
    Running { address, counters, stop, task }
}

impl Running {
    /// Begins the shutdown.
    pub(crate) fn begin_stop(self) -> JoinHandle<Result<Served, Error>> {
        drop(self.stop);
        self.task
    }

    pub(crate) async fn stop(self) -> Served {
        self.begin_stop().await.unwrap().unwrap()
    }
}

/// A memory network with one plaintext server behind a layered service.
pub(crate) async fn memory_server<S, B>(service: S) -> (Running, Channel)
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes, Error: Into<tonic::codegen::StdError>> + Send + 'static,
{
    let network = Memory::default();
    let listener = network.bind(&"peer:1".parse().unwrap()).await.unwrap();
    let running = run(ServeOptions::default(), listener, None, service);
    let channel = channel(&running.address, Arc::new(network));
    (running, channel)
}

pub(crate) fn channel(address: &Address, transport: Arc<dyn Transport>) -> Channel {
    Channel::new(
        address.clone(),
        transport,
        None,
        ConnectOptions { jitter_seed: Some(7), ..ConnectOptions::default() },
    )
}

pub(crate) fn request(path: &str, headers: &[(&'static str, &str)]) -> Request<Body> {
    let mut request = Request::post(path).body(Body::empty()).unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    request
}

/// Calls and reads to the end.
pub(crate) async fn call(channel: &Channel, request: Request<Body>) -> Reply {
    match channel.clone().call(request).await {
        Ok(response) => read(response).await,
        Err(status) => of_status(&status, String::new()),
    }
}

/// Reads a response to its end.
pub(crate) async fn read(response: Response<Body>) -> Reply {
    let (head, mut body) = response.into_parts();
    let (mut text, mut trailers) = (String::new(), HeaderMap::new());
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => text.push_str(&String::from_utf8_lossy(&data)),
            Ok(Err(frame)) => trailers = frame.into_trailers().unwrap_or_default(),
            Err(status) => return of_status(&status, text),
        }
    }
    let status = Status::from_header_map(&head.headers).or_else(|| Status::from_header_map(&trailers));
    of_status(&status.unwrap_or_else(|| Status::unknown("no status came")), text)
}

fn of_status(status: &Status, text: String) -> Reply {
    Reply { code: status.code(), message: status.message().to_owned(), text }
}
