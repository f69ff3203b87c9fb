//! The bytes of a whole connection: a real server takes them, and what a real client once sent is what they begin with.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use mesh::admit::{AdmitLayer, AdmitOptions};
use mesh::connect::{Channel, ConnectOptions};
use mesh::deadline::DeadlineLayer;
use mesh::serve::{ServeOptions, Server};
use mesh::transport::{Address, BoxIo, Listener, Memory, Transport};
use proto::v1;
use proto::v1::generation_client::GenerationClient;
use proto::v1::generation_server::{Generation, GenerationServer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tonic::service::{LayerExt as _, Routes};
use tonic::{Request, Response, Status};
use tower::ServiceBuilder;

use crate::targets::{read, request};

/// Virtual time after which a server must be done with a caller that has gone.
const PATIENCE: Duration = Duration::from_secs(120);

/// A service that takes requests as a hop does.
#[derive(Clone)]
struct Hop;

/// A network that keeps what its clients send.
#[derive(Clone, Debug, Default)]
struct Recorder {
    network: Memory,
    sent: Arc<Mutex<Vec<u8>>>,
}

struct Recorded {
    inner: BoxIo,
    sent: Arc<Mutex<Vec<u8>>>,
}

#[tonic::async_trait]
impl Generation for Hop {
    type GenerateStream = BoxStream<'static, Result<v1::GenerateEvent, Status>>;

    async fn generate(
        &self,
        request: Request<v1::GenerateRequest>,
    ) -> Result<Response<Self::GenerateStream>, Status> {
        let taken = read(request.into_inner());
        taken.map_err(|invalid| Status::invalid_argument(invalid.to_string()))?;
        Ok(Response::new(stream::iter([Ok(v1::GenerateEvent::default())]).boxed()))
    }

    async fn give_feedback(&self, _: Request<v1::Feedback>) -> Result<Response<v1::FeedbackReceipt>, Status> {
        Ok(Response::new(v1::FeedbackReceipt::default()))
    }

    async fn describe(
        &self,
        _: Request<v1::DescribeRequest>,
    ) -> Result<Response<v1::DescribeResponse>, Status> {
        Ok(Response::new(v1::DescribeResponse::default()))
    }
}

/// A socket of this machine: there the names of callers are read as well.
fn address() -> Address {
    Address::Unix("fuzz.sock".into())
}

/// Runs something on a clock of its own.
fn paused<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime can be built").block_on(work)
}

/// Serves until it is told to end.
async fn serve(listener: Box<dyn Listener>, stopped: oneshot::Receiver<()>) {
    let options = ServeOptions { drain_deadline_ms: 100, ..ServeOptions::default() };
    let deadlines = DeadlineLayer { default: Duration::from_secs(5), max: Duration::from_secs(60) };
    let generation = GenerationServer::new(Hop).max_decoding_message_size(1 << 16);
    let generation = (deadlines, mesh::message::layer()).named_layer(generation);
    let routes = Routes::new(generation).prepare();
    let stack = ServiceBuilder::new().layer(AdmitLayer::new(AdmitOptions::default())).service(routes);
    let served = Server::new(options, listener, None).serve(stack, async { drop(stopped.await) }).await;
    let served = served.expect("these options can be served");
    assert_eq!(served.open, 0, "no connection is left when the server has ended");
}

/// A caller sends these bytes and goes.
pub(crate) fn send(bytes: &[u8]) {
    paused(async {
        let network = Memory::default();
        let listener = network.bind(&address()).await.expect("nobody else listens");
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(serve(listener, stopped));
        let caller = async {
            let mut io = network.connect(&address()).await.expect("the server listens");
            // The server may have enough of it before its end.
            drop(io.write_all(bytes).await);
            drop(io.shutdown().await);
            let mut said = Vec::new();
            drop(timeout(PATIENCE, io.read_to_end(&mut said)).await.expect("the server ends the connection"));
        };
        caller.await;
        drop(stop);
        server.await.expect("the server does not fail");
    });
}

/// What a client sends for one request.
pub(crate) fn recorded() -> Vec<u8> {
    paused(async {
        let recorder = Recorder::default();
        let listener = recorder.network.bind(&address()).await.expect("nobody else listens");
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(serve(listener, stopped));
        let options = ConnectOptions { jitter_seed: Some(1), ..ConnectOptions::default() };
        let channel = Channel::new(address(), Arc::new(recorder.clone()), None, options);
        let mut call = Request::new(request());
        call.set_timeout(Duration::from_secs(1));
        let answered = GenerationClient::new(channel).generate(call).await.expect("it is answered");
        drop(answered.into_inner().message().await);
        drop(stop);
        server.await.expect("the server does not fail");
        recorder.sent.lock().expect("nobody fails").clone()
    })
}

impl Transport for Recorder {
    fn connect<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<BoxIo>> {
        async move {
            let inner = self.network.connect(address).await?;
            Ok(Box::new(Recorded { inner, sent: self.sent.clone() }) as BoxIo)
        }
        .boxed()
    }

    fn bind<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        self.network.bind(address)
    }
}

impl AsyncRead for Recorded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Recorded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, buf);
        if let Poll::Ready(Ok(len)) = &written {
            self.sent.lock().expect("nobody fails").extend_from_slice(&buf[..*len]);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
