//! What no well-meant client sends, over real sockets: each gets its status or loses its own connection, and router and
//! agent serve on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use causeway_tests::{root, text_request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use mesh::connect::{Channel, ConnectOptions};
use mesh::process::Rim;
use mesh::transport::{Address, Os};
use proto::v1::generation_client::GenerationClient;
use proto::v1::{DescribeRequest, GenerateRequest, Resume};
use score::score;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tonic::codegen::{Bytes, http};
use tonic::{Code, Status};

/// In which anything must have been answered.
const SOON: Duration = Duration::from_secs(5);
const GENERATE: &str = "/causeway.v1.Generation/Generate";
const DESCRIBE: &str = "/causeway.v1.Generation/Describe";

/// A call as it is sent, and how it may end.
struct Call {
    name: &'static str,
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: fn() -> Vec<u8>,
    expect: &'static [Code],
}

/// Bytes on a connection, after HTTP/2's preface or instead of it.
struct Raw {
    name: &'static str,
    bytes: fn() -> Vec<u8>,
}

fn call(name: &'static str, body: fn() -> Vec<u8>, expect: &'static [Code]) -> Call {
    Call { name, path: GENERATE, headers: &[], body, expect }
}

fn told(
    name: &'static str,
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    expect: &'static [Code],
) -> Call {
    Call { name, path, headers, body: nothing, expect }
}

/// A message with its prefix.
fn message(flag: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("short").to_be_bytes();
    [&[flag], &length[..], bytes].concat()
}

fn nothing() -> Vec<u8> {
    message(0, b"")
}

fn forged() -> Vec<u8> {
    use prost::Message as _;
    let resume =
        Resume { token_ids: vec![u32::MAX; 8], model_hash: "forged".to_owned(), ..Default::default() };
    let request = GenerateRequest { resume: Some(resume), ..text_request("Hello there.", "", 4) };
    message(0, &request.encode_to_vec())
}

fn calls() -> Vec<Call> {
    use Code::{DeadlineExceeded, Internal, InvalidArgument, Ok, OutOfRange, Unimplemented};
    vec![
        call("an empty body", Vec::new, &[InvalidArgument]),
        call("a message that is cut off", || message(0, &[0x12, 0x50, 1]), &[InvalidArgument]),
        call("a body that ends before its message", || nothing()[..3].to_vec(), &[InvalidArgument, Internal]),
        call("a length of four gibibytes", || vec![0, 255, 255, 255, 255, 0], &[OutOfRange]),
        // By gRPC's own rule for a flag without an encoding.
        call("a flag of compression without any", || message(1, &[0x12, 0]), &[Internal]),
        Call {
            headers: &[("grpc-encoding", "snappy")],
            ..call("a compression that nobody knows", || message(1, &[0x12, 0]), &[Unimplemented])
        },
        Call {
            headers: &[("grpc-encoding", "gzip")],
            ..call(
                "a small message that would become a large one",
                || message(1, &[0x1f; 64]),
                &[Unimplemented],
            )
        },
        call("text that is no UTF-8", || message(0, &[0x0a, 2, 0xff, 0xfe]), &[InvalidArgument]),
        call("half a million turns", || message(0, &[0x12, 0].repeat(500_000)), &[InvalidArgument]),
        call("a million turns", || message(0, &[0x12, 0].repeat(1_000_000)), &[OutOfRange]),
        call(
            "groups in groups, ten thousand deep",
            || message(0, &[0x7b].repeat(10_000)),
            &[InvalidArgument],
        ),
        call(
            "a length that no number holds",
            || message(0, &[0x12, 255, 255, 255, 255, 255, 255, 255, 255, 255, 127]),
            &[InvalidArgument],
        ),
        call(
            "a token that somebody made up",
            forged,
            &[Code::FailedPrecondition, Code::NotFound, InvalidArgument, Code::Unavailable],
        ),
        told("a method that nobody has", "/causeway.v1.Generation/Nothing", &[], &[Unimplemented]),
        told("a service that nobody has", "/nobody.v1.Nobody/Generate", &[], &[Unimplemented]),
        told("a path that is none", "//../..", &[], &[Unimplemented]),
        told("no time at all", DESCRIBE, &[("grpc-timeout", "0n")], &[DeadlineExceeded]),
        told("more time than there is", DESCRIBE, &[("grpc-timeout", "99999999H")], &[Ok]),
        told("time in words", GENERATE, &[("grpc-timeout", "soon")], &[InvalidArgument]),
        told("a trace that is none", DESCRIBE, &[("traceparent", "00-zz-zz-zz")], &[Ok]),
        told("a tenant that is claimed", DESCRIBE, &[("tenant", "../../root"), ("x-tenant", "")], &[Ok]),
    ]
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header that HPACK does not keep, neither name nor value Huffman-coded.
fn literal(name: &str, value: &[u8]) -> Vec<u8> {
    let length = |bytes: usize| match bytes {
        0..=126 => vec![u8::try_from(bytes).expect("small")],
        _ => {
            let rest = bytes - 127;
            let low = |at: usize| u8::try_from(rest >> at & 0x7f).expect("seven bits");
            vec![127, low(0) | 0x80, low(7) | 0x80, low(14)]
        }
    };
    [&[0][..], &length(name.len()), name.as_bytes(), &length(value.len()), value].concat()
}

fn opened(frames: &[Vec<u8>]) -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, b""), frames.concat()].concat()
}

/// `:method`, `:scheme`, `:path` by index, then these.
fn head(more: &[Vec<u8>]) -> Vec<u8> {
    [&[0x83, 0x86, 0x84][..], &more.concat()].concat()
}

const RAW: [Raw; 10] = [
    Raw { name: "HTTP/1.1", bytes: || b"POST / HTTP/1.1\r\nhost: a\r\n\r\n".to_vec() },
    Raw { name: "TLS", bytes: || vec![0x16, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3] },
    Raw { name: "noise", bytes: || (0..=255).cycle().take(4096).collect() },
    Raw { name: "a method twice", bytes: || opened(&[frame(1, 5, 1, &head(&[vec![0x83]]))]) },
    Raw {
        name: "a name that ends its line",
        bytes: || opened(&[frame(1, 5, 1, &head(&[literal("tenant", b"a\r\nx: y")]))]),
    },
    Raw { name: "no path", bytes: || opened(&[frame(1, 5, 1, &[0x83, 0x86])]) },
    Raw {
        name: "headers of 64 KiB",
        bytes: || {
            let block = head(&[literal("x", &[b'x'; 64 * 1024])]);
            let (first, rest) = block.split_at(16 * 1024);
            let rest = rest.chunks(16 * 1024).map(|part| frame(9, 0, 1, part));
            opened(&[vec![frame(1, 1, 1, first)], rest.collect(), vec![frame(9, 4, 1, b"")]].concat())
        },
    },
    Raw { name: "data of no stream", bytes: || opened(&[frame(0, 1, 7, b"x")]) },
    Raw {
        name: "trailers first, then data",
        bytes: || {
            let trailers = frame(1, 5, 1, &literal("x", b"y"));
            opened(&[frame(1, 4, 1, &head(&[])), trailers, frame(0, 1, 1, b"late")])
        },
    },
    Raw {
        name: "a frame of 16 MiB",
        bytes: || opened(&[[&[255, 255, 255, 0, 0, 0, 0, 0, 1][..], &[0; 99]].concat()]),
    },
];

struct Door {
    name: &'static str,
    address: String,
    channel: Channel,
}

async fn doors() -> (Vec<Door>, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let policy = root().join("deploy/policies/demo.toml");
    let rim = || Rim { transport: Arc::new(Os), identity: None, seed: 7 };
    let local: Address = "127.0.0.1:0".parse().expect("an address");

    let mut options = router::Options::default();
    options.listen.address = local.clone();
    options.policy.file = policy.clone();
    options.fleet.workers = vec![router::config::WorkerOptions {
        name: "nobody".into(),
        tier: "cloud-fast".into(),
        address: "127.0.0.1:1".parse().expect("an address"),
        server_name: "worker.causeway".into(),
        region: None,
        load: Default::default(),
    }];
    let router = router::Router::bind(options, rim()).await.expect("a router");
    let router_address = router.address().to_string();
    tokio::spawn(router.run(std::future::pending()));

    let mut options = edge_agent::Options::default();
    options.listen.address = local;
    options.policy.file = policy;
    options.upstream.address = Some(router_address.parse().expect("an address"));
    let agent = edge_agent::Agent::bind(options, rim()).await.expect("an agent");
    let agent_address = agent.address().to_string();
    tokio::spawn(agent.run(std::future::pending()));

    let door = |name, address: String| {
        let at = address.parse().expect("an address");
        let channel = Channel::new(at, Arc::new(Os), None, ConnectOptions::default());
        Door { name, address, channel }
    };
    (vec![door("router", router_address), door("agent", agent_address)], folder)
}

impl Door {
    async fn serves_on(&self, after: &str) {
        let mut client = GenerationClient::new(self.channel.clone());
        let described = tokio::time::timeout(SOON, client.describe(DescribeRequest {})).await;
        let described = described.unwrap_or_else(|_| panic!("{} hangs after {after}", self.name));
        described.unwrap_or_else(|status| panic!("{} after {after}: {status}", self.name));
    }

    async fn client(&self) -> SendRequest<Full<Bytes>> {
        let socket = TcpStream::connect(&self.address).await.expect("it listens");
        let io = TokioIo::new(socket);
        let (client, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.expect("HTTP/2");
        tokio::spawn(connection);
        client
    }

    async fn status(&self, call: &Call) -> Result<Code, hyper::Error> {
        let mut request = http::Request::post(format!("http://localhost{}", call.path))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in call.headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from((call.body)()))).expect("a request");
        let (head, body) = self.client().await.send_request(request).await?.into_parts();
        let body = body.collect().await?;
        let trailers = body.trailers().and_then(Status::from_header_map);
        let status = Status::from_header_map(&head.headers).or(trailers);
        Ok(status.map_or(Code::Unknown, |status| status.code()))
    }

    /// Whether anything is said to these bytes, or the connection ends.
    async fn answers(&self, raw: &Raw) {
        let mut socket = TcpStream::connect(&self.address).await.expect("it listens");
        drop(socket.write_all(&(raw.bytes)()).await);
        let mut seen = Vec::new();
        let answered = async {
            let mut part = [0; 4096];
            loop {
                match socket.read(&mut part).await {
                    Ok(0) | Err(_) => return,
                    Ok(count) => seen.extend_from_slice(&part[..count]),
                }
                if says_no(&seen) {
                    return;
                }
            }
        };
        let answered = tokio::time::timeout(SOON, answered).await;
        assert!(answered.is_ok(), "{} says nothing to {}", self.name, raw.name);
    }
}

/// Whether HTTP/2's frames hold headers, a reset or a goodbye.
fn says_no(mut frames: &[u8]) -> bool {
    while let [high, middle, low, kind, _, _, _, _, _, rest @ ..] = frames {
        if matches!(kind, 1 | 3 | 7) {
            return true;
        }
        let length = usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low);
        frames = rest.get(length..).unwrap_or_default();
    }
    false
}

/// Calls fifty times a second or so, which is no flood of small frames, until it is told to end; how long each took.
fn beside(channel: Channel) -> (Arc<AtomicBool>, JoinHandle<Vec<Duration>>) {
    let over = Arc::new(AtomicBool::new(false));
    let until = over.clone();
    let calling = tokio::spawn(async move {
        let (mut client, mut took) = (GenerationClient::new(channel), Vec::new());
        while !until.load(Ordering::Relaxed) {
            let begun = Instant::now();
            client.describe(DescribeRequest {}).await.expect("others are served");
            took.push(begun.elapsed());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        took
    });
    (over, calling)
}

async fn p99((over, calling): (Arc<AtomicBool>, JoinHandle<Vec<Duration>>)) -> Duration {
    over.store(true, Ordering::Relaxed);
    let mut took = calling.await.expect("others are served");
    took.sort_unstable();
    took[took.len() * 99 / 100]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_malformed_gets_its_status_and_costs_nobody_else() {
    let (doors, _folder) = doors().await;
    let other = || beside(doors[0].channel.clone());
    let alone = other();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let alone = p99(alone).await;
    let others = other();
    for door in &doors {
        for call in calls() {
            let code = tokio::time::timeout(SOON, door.status(&call)).await;
            let code = code.unwrap_or_else(|_| panic!("{} hangs on {}", door.name, call.name));
            let code = code.unwrap_or_else(|error| panic!("{}, {}: {error:?}", door.name, call.name));
            assert!(call.expect.contains(&code), "{}, {}: {code:?}", door.name, call.name);
            door.serves_on(call.name).await;
        }
        for raw in RAW {
            door.answers(&raw).await;
            door.serves_on(raw.name).await;
        }
    }
    let (others, inputs) = (p99(others).await, calls().len() + RAW.len());
    score!(
        "D1",
        others <= alone.mul_f64(1.2),
        "{inputs} inputs at router and agent, each with its status or its end; others' p99 {others:.1?}, {alone:.1?} alone"
    );
}
