mod apart;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http_body_util::BodyExt as _;
use score::score;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;
use tonic::Code;

use super::*;
use crate::connect::{Channel, ConnectOptions};
use crate::rig;
use crate::tls::Authority;
use crate::transport::{Memory, Os, Transport};

fn secure(address: &Address, identity: &Identity, name: &str) -> Channel {
    let options = ConnectOptions::default().expecting(name);
    Channel::new(address.clone(), Arc::new(Os), Some(identity.clone()), options)
}

fn identity(authority: &Authority, path: &str) -> Identity {
    authority.issue(path).unwrap().identity().unwrap()
}

#[tokio::test]
async fn both_ends_know_each_other_over_every_socket() {
    let folder = tempfile::tempdir().unwrap();
    let unix = Address::Unix(folder.path().join("s")).to_string();
    let authority = Authority::ephemeral().unwrap();
    let (server, client) = (identity(&authority, "worker/1"), identity(&authority, "router"));
    for address in ["127.0.0.1:0", unix.as_str()] {
        let running = rig::start(&Os, address, Some(server.clone())).await;
        let channel = secure(&running.address, &client, "worker.causeway");
        let reply = rig::call(&channel, rig::request("/peer", &[])).await;
        assert_eq!(
            (reply.code, &*reply.text),
            (Code::Ok, "spiffe://causeway.local/router"),
            "{}",
            reply.message
        );
        let served = running.stop().await;
        assert_eq!((served.accepted, served.refused, served.forced), (1, 0, 0));
    }
}

#[tokio::test]
async fn strangers_are_refused_by_either_end() {
    let (ours, theirs) = (Authority::ephemeral().unwrap(), Authority::ephemeral().unwrap());
    let running = rig::start(&Os, "127.0.0.1:0", Some(identity(&ours, "worker"))).await;
    let check = async |channel: Channel, expect: &str| {
        let reply = rig::call(&channel, rig::request("/peer", &[])).await;
        assert_eq!(reply.code, Code::Unavailable);
        let address = running.address.to_string();
        assert!(reply.message.contains(&address) && reply.message.contains(expect), "{}", reply.message);
    };
    check(secure(&running.address, &identity(&theirs, "router"), "worker.causeway"), "UnknownIssuer").await;
    check(secure(&running.address, &identity(&ours, "router"), "router.causeway"), "router.causeway").await;

    // The client trusts the server here, and only the server refuses.
    let (mine, foreign) = (ours.issue("router").unwrap(), theirs.issue("router").unwrap());
    let mixed = Identity::from_pem(&foreign.certificate, &foreign.key, &mine.authority).unwrap();
    check(secure(&running.address, &mixed, "worker.causeway"), "UnknownCA").await;

    // Plaintext meets TLS: the server waits for a handshake that never comes, and closes.
    check(rig::channel(&running.address, Arc::new(Os)), "").await;
    let known = secure(&running.address, &identity(&ours, "router"), "worker.causeway");
    assert_eq!(rig::call(&known, rig::request("/echo", &[])).await.code, Code::Ok);
    assert_eq!(running.stop().await.refused, 4);
}

#[tokio::test]
async fn whoever_speaks_something_else_is_shown_out_alone() {
    let running = rig::start(&Os, "127.0.0.1:0", None).await;
    let channel = rig::channel(&running.address, Arc::new(Os));
    assert_eq!(rig::call(&channel, rig::request("/echo", &[])).await.code, Code::Ok);
    let check = async |sent: &[u8], expect: &str| {
        let mut io = Os.connect(&running.address).await.unwrap();
        io.write_all(sent).await.unwrap();
        let mut answer = Vec::new();
        drop(io.read_to_end(&mut answer).await);
        assert_eq!(String::from_utf8_lossy(&answer).lines().next().unwrap_or_default(), expect);
    };
    let http1 = "HTTP/1.1 505 HTTP Version Not Supported";
    check(b"GET / HTTP/1.1\r\n", http1).await;
    check(b"POST /x HTTP/1.0\r\n", http1).await;
    check(b"\x16\x03\x01\x02\x00\x01\x00", "").await;
    check(b"\x00\x00\x00\x00", "").await;
    check(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\x00", http1).await;
    assert_eq!(rig::call(&channel, rig::request("/echo", &[])).await.code, Code::Ok);
    assert_eq!(running.counters.read().refused, 5);

    let identity = identity(&Authority::ephemeral().unwrap(), "router");
    let reply = rig::call(&secure(&running.address, &identity, "x.y"), rig::request("/echo", &[])).await;
    assert_eq!(reply.code, Code::Unavailable);
    assert!(reply.message.contains("TLS"), "{}", reply.message);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn silence_is_not_waited_for() {
    let authority = Authority::ephemeral().unwrap();
    for identity in [None, Some(identity(&authority, "worker"))] {
        let network = Memory::default();
        let running = rig::start(&network, "peer:1", identity).await;
        let began = Instant::now();
        let mut io = network.connect(&running.address).await.unwrap();
        io.write_all(b"P").await.unwrap();
        let mut answer = Vec::new();
        drop(io.read_to_end(&mut answer).await);
        assert!(began.elapsed() <= Duration::from_secs(10), "{:?}", began.elapsed());
        while running.counters.read().refused < 1 {
            tokio::task::yield_now().await;
        }
    }
}

/// A listener that fails in every way before it accepts.
#[derive(Debug)]
struct Failing {
    errors: VecDeque<io::Error>,
    inner: Box<dyn Listener>,
}

impl Listener for Failing {
    fn local_address(&self) -> Address {
        self.inner.local_address()
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<BoxIo>> {
        match self.errors.pop_front() {
            Some(error) => std::future::ready(Err(error)).boxed(),
            None => self.inner.accept(),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_error_of_accepting_ends_the_loop() {
    let (no_file_left, aborted) = (24, 103);
    let network = Memory::default();
    let inner = network.bind(&"peer:1".parse().unwrap()).await.unwrap();
    let errors = [no_file_left, no_file_left, aborted, no_file_left].map(io::Error::from_raw_os_error);
    let listener = Box::new(Failing { errors: errors.into_iter().collect(), inner });
    let running = rig::run(ServeOptions::default(), listener, None, rig::service());
    let channel = rig::channel(&running.address, Arc::new(network));
    assert_eq!(rig::call(&channel, rig::request("/echo", &[])).await.code, Code::Ok);
    assert_eq!(running.counters.of(Fault::AcceptFailed), 3);
}

#[tokio::test(start_paused = true)]
async fn connections_over_the_limit_wait_for_room() {
    let network = Memory::default();
    let listener = network.bind(&"peer:1".parse().unwrap()).await.unwrap();
    let options = ServeOptions { connections_max: 1, ..ServeOptions::default() };
    let running = rig::run(options, listener, None, rig::service());
    let first = rig::channel(&running.address, Arc::new(network.clone()));
    let second = rig::channel(&running.address, Arc::new(network));
    assert_eq!(rig::call(&first, rig::request("/echo", &[])).await.code, Code::Ok);
    let waiting = rig::call(&second, rig::request("/echo", &[("grpc-timeout", "1S")])).await;
    assert_eq!((waiting.code, running.counters.read().accepted), (Code::DeadlineExceeded, 1));
    assert_eq!(running.counters.of(Fault::Full), 1);
    drop(first);
    assert_eq!(rig::call(&second, rig::request("/echo", &[])).await.code, Code::Ok);
}

#[tokio::test(start_paused = true)]
async fn shutdown_lets_calls_finish() {
    let finish = Arc::new(tokio::sync::Notify::new());
    let (entered, mut was_entered) = tokio::sync::mpsc::channel(1);
    let (gate, told) = (finish.clone(), entered);
    let handler = tower::service_fn(move |_: Request<tonic::body::Body>| {
        let (gate, told) = (gate.clone(), told.clone());
        async move {
            told.send(()).await.unwrap();
            gate.notified().await;
            Ok::<_, Infallible>(rig::ok(futures_util::stream::iter([Bytes::from_static(b"done")])))
        }
    });
    let (running, channel) = rig::memory_server(handler).await;
    let call = tokio::spawn({
        let channel = channel.clone();
        async move { rig::call(&channel, rig::request("/x", &[])).await }
    });
    was_entered.recv().await.unwrap();
    let stopping = running.begin_stop();
    sleep(Duration::from_secs(3)).await;
    assert!(!stopping.is_finished());
    let late = rig::call(&channel, rig::request("/x", &[])).await;
    assert_eq!(late.code, Code::Unavailable, "nothing new is taken on");
    finish.notify_one();
    assert_eq!((call.await.unwrap().code, stopping.await.unwrap().unwrap().forced), (Code::Ok, 0));
}

#[tokio::test(start_paused = true)]
async fn a_frozen_client_is_cut_off_at_the_drain_deadline() {
    let network = Memory::default();
    let listener = network.bind(&"peer:1".parse().unwrap()).await.unwrap();
    // Keepalive would find the frozen client first; here only the deadline may.
    let options = ServeOptions {
        drain_deadline_ms: 2_000,
        keepalive_interval_ms: 3_600_000,
        ..ServeOptions::default()
    };
    let dropped = Arc::new(AtomicBool::new(false));
    let guard = dropped.clone();
    let handler = tower::service_fn(move |_: Request<tonic::body::Body>| {
        let guard = DropFlag(guard.clone());
        let endless = futures_util::stream::unfold(guard, |guard| async {
            tokio::task::yield_now().await;
            Some((Bytes::from_static(&[0; 1024]), guard))
        });
        std::future::ready(Ok::<_, Infallible>(rig::ok(endless)))
    });
    let running = rig::run(options, listener, None, handler);
    // Speaks just enough HTTP/2 to ask, and never reads.
    let mut frozen = network.connect(&running.address).await.unwrap();
    let (preface, settings) = (&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &[0, 0, 0, 4, 0, 0, 0, 0, 0][..]);
    // POST, https, path "/", authority left out: indexed fields of the static table.
    let headers = [0, 0, 3, 1, 5, 0, 0, 0, 1, 0x83, 0x87, 0x84];
    frozen.write_all(&[preface, settings, &headers].concat()).await.unwrap();
    while running.counters.read().open == 0 {
        sleep(Duration::from_millis(1)).await;
    }
    sleep(Duration::from_millis(100)).await;
    assert!(!dropped.load(Ordering::Relaxed));

    let began = Instant::now();
    let served = running.stop().await;
    assert_eq!((served.forced, served.open), (1, 0));
    let took = began.elapsed();
    score!("B2", took <= Duration::from_secs(3), "a frozen client holds a drain of 2 s for {took:.1?}");
    assert_eq!(took, Duration::from_secs(2));
    while !dropped.load(Ordering::Relaxed) {
        tokio::task::yield_now().await;
    }
}

struct DropFlag(Arc<AtomicBool>);

impl Drop for DropFlag {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_costs_one_call() {
    let (running, channel) = rig::memory_server(rig::service()).await;
    let mut streaming = channel.clone().call(rig::request("/drip/1", &[])).await.unwrap();
    let reply = rig::call(&channel, rig::request("/panic", &[])).await;
    assert_eq!((reply.code, &*reply.message), (Code::Internal, "the service failed unexpectedly"));
    assert!(streaming.body_mut().frame().await.unwrap().is_ok());
    assert_eq!(running.counters.read().accepted, 1);
}

#[tokio::test]
async fn generated_clients_and_services_fit_without_wrapping() {
    use tonic_health::pb::health_check_response::ServingStatus;
    use tonic_health::pb::health_client::HealthClient;

    let (_reporter, health) = tonic_health::server::health_reporter();
    let routes = tonic::service::Routes::new(health).prepare();
    let stack = tower::ServiceBuilder::new()
        .layer(crate::telemetry::TraceLayer)
        .layer(crate::deadline::DeadlineLayer {
            default: Duration::from_secs(1),
            max: Duration::from_secs(2),
        })
        .layer(crate::admit::AdmitLayer::new(crate::admit::AdmitOptions::default()))
        .service(routes);
    let listener = Os.bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
    let running = rig::run(ServeOptions::default(), listener, None, stack);
    let mut client = HealthClient::new(rig::channel(&running.address, Arc::new(Os)));
    let request = tonic_health::pb::HealthCheckRequest { service: String::new() };
    let answer = client.check(request.clone()).await.unwrap().into_inner();
    assert_eq!(answer.status(), ServingStatus::Serving);

    let mut hurried = tonic::Request::new(request);
    hurried.set_timeout(Duration::from_millis(50));
    let mut stream = client.watch(hurried).await.unwrap().into_inner();
    assert_eq!(stream.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    assert_eq!(stream.message().await.unwrap_err().code(), Code::DeadlineExceeded);
}

#[test]
fn options_that_cannot_work_are_refused() {
    let options = ServeOptions {
        connections_max: 0,
        max_concurrent_streams: 0,
        stream_window_bytes: 1,
        max_frame_size: 1,
        max_header_list_size: 1,
        keepalive_interval_ms: 0,
        ..ServeOptions::default()
    };
    let keys: Vec<_> = options.invalid("listen").into_iter().map(|invalid| invalid.key).collect();
    let expect = [
        "connections_max",
        "max_concurrent_streams",
        "stream_window_bytes",
        "max_frame_size",
        "max_header_list_size",
        "keepalive_interval_ms",
    ];
    assert_eq!(keys, expect.map(|key| format!("listen.{key}")));
    assert!(ServeOptions::default().invalid("listen").is_empty());
}
