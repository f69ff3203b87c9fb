use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tonic::Code;

use super::*;
use crate::rig;
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
