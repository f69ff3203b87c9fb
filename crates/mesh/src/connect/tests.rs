use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use score::score;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use tonic::Code;

use super::*;
use crate::rig;
use crate::serve::ServeOptions;
use crate::transport::{BoxIo, Listener, Memory, Os};

/// Counts the attempts to connect.
#[derive(Debug, Default)]
struct Counting {
    network: Memory,
    attempts: AtomicUsize,
}

impl Transport for Counting {
    fn connect<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<BoxIo>> {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        self.network.connect(address)
    }

    fn bind<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        self.network.bind(address)
    }
}

impl Counting {
    fn attempts(&self) -> usize {
        self.attempts.load(Ordering::Relaxed)
    }
}

/// A network whose connections, once it swallows, take everything and give nothing, as one whose packets are dropped.
#[derive(Default)]
struct Hole {
    network: Memory,
    swallows: Arc<AtomicBool>,
    /// What was given up on one end, of which the other does not hear.
    graves: Graves,
}

type Graves = Arc<Mutex<Vec<BoxIo>>>;

struct Swallowed {
    io: Option<BoxIo>,
    swallows: Arc<AtomicBool>,
    graves: Graves,
    /// A connection that has lost something is lost.
    lost: bool,
}

impl std::fmt::Debug for Hole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hole").field("swallows", &self.swallows).finish_non_exhaustive()
    }
}

impl Transport for Hole {
    fn connect<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<BoxIo>> {
        async move {
            let (swallows, graves) = (self.swallows.clone(), self.graves.clone());
            let io = Some(self.network.connect(address).await?);
            Ok(Box::new(Swallowed { io, swallows, graves, lost: false }) as BoxIo)
        }
        .boxed()
    }

    fn bind<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        self.network.bind(address)
    }
}

impl Swallowed {
    fn is_lost(&mut self) -> bool {
        self.lost |= self.swallows.load(Ordering::Relaxed);
        self.lost
    }

    fn io(&mut self) -> Pin<&mut BoxIo> {
        Pin::new(self.io.as_mut().unwrap())
    }
}

impl Drop for Swallowed {
    fn drop(&mut self) {
        if self.is_lost() {
            self.graves.lock().extend(self.io.take());
        }
    }
}

impl AsyncRead for Swallowed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_lost() { Poll::Pending } else { self.io().poll_read(cx, buffer) }
    }
}

impl AsyncWrite for Swallowed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_lost() { Poll::Ready(Ok(bytes.len())) } else { self.io().poll_write(cx, bytes) }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Not even its end arrives.
        if self.is_lost() { Poll::Pending } else { self.io().poll_shutdown(cx) }
    }
}

fn echo() -> Request<Body> {
    rig::request("/echo", &[])
}

#[tokio::test]
async fn a_peer_that_is_not_there_is_named_with_the_cause() {
    let closed = Os.bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap().local_address();
    let channel = rig::channel(&closed, Arc::new(Os));
    assert_eq!(channel.state(), ConnectionState::Idle);
    let reply = rig::call(&channel, echo()).await;
    assert_eq!(reply.code, Code::Unavailable);
    let start = format!("{closed} cannot be reached: Connection refused");
    assert!(reply.message.starts_with(&start), "{}", reply.message);
    assert!(matches!(channel.state(), ConnectionState::Failed { error, .. } if error.contains("refused")));
}

#[tokio::test(start_paused = true)]
async fn attempts_back_off_and_callers_fail_at_once_meanwhile() {
    let transport = Arc::new(Counting::default());
    let channel = rig::channel(&"peer:1".parse().unwrap(), transport.clone());
    let began = Instant::now();
    for _ in 0..1000 {
        assert_eq!(rig::call(&channel, echo()).await.code, Code::Unavailable);
        tokio::time::advance(Duration::from_millis(10)).await;
    }
    assert_eq!(began.elapsed(), Duration::from_secs(10));
    // Pauses of 50, 100, 200, 400, 800, 1600, 2000, 2000 ms, give or take a fifth.
    assert!((8..=11).contains(&transport.attempts()), "{} attempts", transport.attempts());

    let _running = rig::start(&transport.network, "peer:1", None).await;
    tokio::time::advance(Duration::from_millis(2400)).await;
    assert_eq!(rig::call(&channel, echo()).await.code, Code::Ok);
    assert_eq!(channel.state(), ConnectionState::Ready);
}

#[tokio::test(start_paused = true)]
async fn callers_share_one_attempt_and_one_connection() {
    let transport = Arc::new(Counting::default());
    let running = rig::start(&transport.network, "peer:1", None).await;
    let channel = rig::channel(&running.address, transport.clone());
    let calls = (0..100).map(|_| rig::call(&channel, echo()));
    let replies = futures_util::future::join_all(calls).await;
    assert!(replies.iter().all(|reply| reply.code == Code::Ok));
    assert_eq!(transport.attempts(), 1);
    assert_eq!((running.counters.read().accepted, channel.in_flight()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_restarted_peer_is_reached_again_without_a_failed_call() {
    let network = Memory::default();
    let mut running = rig::start(&network, "peer:1", None).await;
    let channel = rig::channel(&running.address, Arc::new(network.clone()));
    for _ in 0..5 {
        assert_eq!(rig::call(&channel, echo()).await.code, Code::Ok);
        running.stop().await;
        running = rig::start(&network, "peer:1", None).await;
    }
    assert_eq!(rig::call(&channel, echo()).await.code, Code::Ok);
}

#[tokio::test(start_paused = true)]
async fn over_the_limit_calls_fail_instead_of_queueing() {
    let network = Memory::default();
    let running = rig::start(&network, "peer:1", None).await;
    let options = ConnectOptions { in_flight_max: 2, ..ConnectOptions::default() };
    let mut channel = Channel::new(running.address.clone(), Arc::new(network), None, options);
    let held = [
        channel.call(rig::request("/drip/5", &[])).await.unwrap(),
        channel.call(rig::request("/drip/5", &[])).await.unwrap(),
    ];
    let reply = rig::call(&channel, echo()).await;
    assert_eq!(reply.code, Code::ResourceExhausted);
    assert_eq!(reply.message, "2 calls to peer:1 are in flight already");
    drop(held);
    assert_eq!(rig::call(&channel, echo()).await.code, Code::Ok);
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_holds_nobody_beyond_the_deadline() {
    let network = Memory::default();
    let mut listener = network.bind(&"peer:1".parse().unwrap()).await.unwrap();
    let channel = rig::channel(&listener.local_address(), Arc::new(network));
    let began = Instant::now();
    let call = rig::call(&channel, rig::request("/echo", &[("grpc-timeout", "100m")]));
    let (_held, reply) = tokio::join!(listener.accept(), call);
    assert_eq!((reply.code, began.elapsed()), (Code::DeadlineExceeded, Duration::from_millis(100)));
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_given_up_by_keepalive() {
    let network = Memory::default();
    let mut listener = network.bind(&"peer:1".parse().unwrap()).await.unwrap();
    let channel = rig::channel(&listener.local_address(), Arc::new(network));
    let began = Instant::now();
    let (_held, reply) = tokio::join!(listener.accept(), rig::call(&channel, echo()));
    assert_eq!(reply.code, Code::Unavailable);
    assert!(reply.message.contains("keep-alive"), "{}", reply.message);
    assert!(began.elapsed() <= Duration::from_secs(6), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_black_hole_is_found_within_five_seconds_by_either_end() {
    let hole = Arc::new(Hole::default());
    let running = rig::start(&hole.network, "peer:1", None).await;
    let channel = rig::channel(&running.address, hole.clone());
    // A stream that lives, and the same between two calls.
    let response = channel.clone().call(rig::request("/drip/100", &[])).await.unwrap();
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(channel.state(), ConnectionState::Ready, "a live one is not given up");
    hole.swallows.store(true, Ordering::Relaxed);
    let began = Instant::now();
    let reply = rig::read(response).await;
    assert_eq!(reply.code, Code::Unavailable, "{}", reply.message);
    let found = began.elapsed();
    score!("B5", found <= Duration::from_secs(5), "found after {found:.3?}");
    assert!(found <= Duration::from_millis(5_100), "{found:?}");
    assert_ne!(channel.state(), ConnectionState::Ready);
    while running.counters.read().open > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let ServeOptions { keepalive_interval_ms, keepalive_timeout_ms, .. } = ServeOptions::default();
    let most = Duration::from_millis(keepalive_interval_ms + keepalive_timeout_ms + 100);
    assert!(began.elapsed() <= most, "{:?}", began.elapsed());
    hole.swallows.store(false, Ordering::Relaxed);
    assert_eq!(rig::call(&channel, echo()).await.code, Code::Ok, "the next connection is another");
}

#[tokio::test(start_paused = true)]
async fn connecting_takes_no_longer_than_allowed() {
    /// Never comes to a connection.
    #[derive(Debug)]
    struct Nowhere;
    impl Transport for Nowhere {
        fn connect<'a>(&'a self, _: &'a Address) -> BoxFuture<'a, io::Result<BoxIo>> {
            std::future::pending().boxed()
        }
        fn bind<'a>(&'a self, _: &'a Address) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
            std::future::pending().boxed()
        }
    }
    let channel = rig::channel(&"peer:1".parse().unwrap(), Arc::new(Nowhere));
    let began = Instant::now();
    let status = channel.connect().await.unwrap_err();
    assert_eq!(began.elapsed(), Duration::from_secs(2));
    assert!(
        status.message().starts_with("peer:1 cannot be reached: it did not answer within 2000 ms"),
        "{status}"
    );
}

#[tokio::test(start_paused = true)]
async fn stopped_readers_cost_the_others_nothing() {
    let (_running, channel) = rig::memory_server(rig::service()).await;
    let mut stopped = Vec::new();
    for _ in 0..99 {
        stopped.push(channel.clone().call(rig::request("/tiny/5000", &[])).await.unwrap());
    }
    for _ in 0..20 {
        let reply = rig::call(&channel, rig::request("/tiny/500", &[])).await;
        assert_eq!((reply.code, reply.text.len()), (Code::Ok, 20_000), "{}", reply.message);
    }
    for response in stopped {
        let reply = rig::read(response).await;
        assert_eq!((reply.code, reply.text.len()), (Code::Ok, 200_000), "{}", reply.message);
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_the_channel_closes_its_connection() {
    let (running, channel) = rig::memory_server(rig::service()).await;
    assert_eq!(rig::call(&channel, echo()).await.code, Code::Ok);
    assert_eq!(running.counters.read().open, 1);
    drop(channel);
    while running.counters.read().open > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn options_that_cannot_work_are_refused() {
    let options = ConnectOptions {
        connect_timeout_ms: 0,
        server_name: Some("not a name".to_owned()),
        stream_window_bytes: 1,
        reconnect_max_ms: 1,
        in_flight_max: 0,
        ..ConnectOptions::default()
    };
    let keys: Vec<_> = options.invalid("peer").into_iter().map(|invalid| invalid.key).collect();
    let expect =
        ["connect_timeout_ms", "reconnect_max_ms", "stream_window_bytes", "in_flight_max", "server_name"];
    assert_eq!(keys, expect.map(|key| format!("peer.{key}")));
    assert!(ConnectOptions::default().invalid("peer").is_empty());
    assert_eq!(
        ConnectOptions::default().expecting("a.b").expecting("c.d").server_name.as_deref(),
        Some("a.b")
    );
}
