//! Frames as an attacker writes them, against a server with another connection on which all is well.

use std::sync::Arc;

use score::score;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;
use tonic::Code;

use super::*;
use crate::connect::Channel;
use crate::rig::{self, Running};
use crate::tls::Authority;
use crate::transport::{BoxIo, Memory, Transport};

const WINDOW_UPDATE: u8 = 8;
/// POST, http, path "/", `:authority` left out: indexed fields of HPACK's static table.
const ASKED: [u8; 3] = [0x83, 0x86, 0x84];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// What every client begins with.
fn hello() -> Vec<u8> {
    [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()
}

/// Headers of a call that goes on with data.
fn asks(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &ASKED)
}

/// The same of one that is answered when it is whole.
fn echo() -> Vec<u8> {
    let path = [&[0x83, 0x86, 0x04, 5][..], b"/echo"].concat();
    frame(HEADERS, END_HEADERS, 1, &path)
}

struct Attacked {
    running: Running,
    transport: Arc<dyn Transport>,
    /// Somebody else's connection.
    other: Channel,
}

impl Attacked {
    async fn within(network: Memory, change: impl FnOnce(&mut ServeOptions)) -> Self {
        let mut options = ServeOptions::default();
        change(&mut options);
        let listener = network.bind(&"peer:1".parse().unwrap()).await.unwrap();
        let running = rig::run(options, listener, None, rig::service());
        let transport: Arc<dyn Transport> = Arc::new(network);
        let other = rig::channel(&running.address, transport.clone());
        let attacked = Self { running, transport, other };
        attacked.serves_on().await;
        attacked
    }

    async fn serves_on(&self) {
        let reply = rig::call(&self.other, rig::request("/echo", &[])).await;
        assert_eq!(reply.code, Code::Ok, "{}", reply.message);
    }

    async fn connect(&self) -> BoxIo {
        self.transport.connect(&self.running.address).await.unwrap()
    }

    /// Writes a beginning and then the same again and again, until the connection is closed or it was enough.
    async fn flood(&self, beginning: Vec<u8>, again: impl Fn(u32) -> Vec<u8>, times: u32) {
        let (mut reader, mut writer) = tokio::io::split(self.connect().await);
        // Whoever never reads is a slow reader, which is another matter.
        let reading = tokio::spawn(async move {
            let mut sink = vec![0; 64 * 1024];
            while reader.read(&mut sink).await.is_ok_and(|count| count > 0) {}
        });
        let mut sent = writer.write_all(&beginning).await;
        for index in 0..times {
            if sent.is_err() {
                break;
            }
            sent = writer.write_all(&again(index)).await;
        }
        assert!(sent.is_err() || reading.await.is_ok(), "it is closed");
    }

    /// One such fault and no other, and all others are served as before.
    async fn counted(&self, fault: Fault) {
        while self.running.counters.read().open > 1 {
            sleep(Duration::from_millis(1)).await;
        }
        for other in Fault::ALL {
            let expect = u64::from(*other == fault);
            assert_eq!(self.running.counters.of(*other), expect, "{} after {}", other.name(), fault.name());
        }
        self.serves_on().await;
        let served = self.running.counters.read();
        assert_eq!((served.accepted, served.open), (2, 1), "the other connection stays");
    }
}

/// What the process holds in memory, bytes.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or_default() * 4096
}

/// What a flood may cost, bytes.
const GROWTH_BYTES_MAX: u64 = 16 << 20;

/// Runs an ignored test in a process of its own, where no other takes memory meanwhile, and passes on what it tells.
fn alone(test: &str) {
    let whole = format!("serve::guard::tests::{test}");
    let arguments = ["--exact", &whole, "--ignored", "--nocapture"];
    let output =
        std::process::Command::new(std::env::current_exe().unwrap()).args(arguments).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    print!("{told}");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("1 passed"), "{whole} was not found");
}

#[test]
fn every_flood_ends_its_own_connection_and_is_counted_as_what_it_is() {
    alone("floods_of_every_kind");
}

#[test]
fn rapid_resets_end_their_connection_whether_they_were_looked_at_or_not() {
    alone("rapid_resets");
}

#[tokio::test(start_paused = true)]
#[ignore = "it measures the memory of its process, which is its own by way of `alone`"]
async fn floods_of_every_kind() {
    let mut costs = Vec::new();
    let mut check = async |fault: Fault, beginning: Vec<u8>, again: &dyn Fn(u32) -> Vec<u8>| {
        let attacked = Attacked::within(Memory::default(), |_| {}).await;
        let before = resident();
        attacked.flood(beginning, again, 300_000).await;
        attacked.counted(fault).await;
        costs.push((resident().saturating_sub(before), fault.name()));
    };
    let asked_once = || [hello(), echo()].concat();
    check(Fault::PingFlood, hello(), &|_| frame(PING, 0, 0, &[0; 8])).await;
    check(Fault::SettingsFlood, hello(), &|_| frame(SETTINGS, 0, 0, &[])).await;
    check(Fault::SmallFrameFlood, asked_once(), &|_| frame(DATA, 0, 1, b"")).await;
    check(Fault::SmallFrameFlood, asked_once(), &|_| frame(DATA, 0, 1, b"x")).await;
    check(Fault::ControlFlood, hello(), &|_| frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])).await;
    check(Fault::ControlFlood, hello(), &|_| frame(0xfa, 0, 0, b"")).await;
    check(Fault::ContinuationFlood, [hello(), frame(HEADERS, 0, 1, &ASKED)].concat(), &|_| {
        frame(CONTINUATION, 0, 1, b"")
    })
    .await;
    // A literal that HPACK does not keep: one letter of name, 16 KiB of value.
    let literal = [&[0, 1, b'a', 0x7f, 0x81, 0x7f][..], &[b'x'; 16 * 1024]].concat();
    check(Fault::HeadersTooLarge, [hello(), frame(HEADERS, 0, 1, &ASKED)].concat(), &|_| {
        literal.chunks(16 * 1024).map(|part| frame(CONTINUATION, 0, 1, part)).collect::<Vec<_>>().concat()
    })
    .await;
    let (count, most) = (costs.len(), costs.iter().max().unwrap());
    let (mib, small) = (most.0 as f64 / f64::from(1 << 20), most.0 < GROWTH_BYTES_MAX);
    score!("D2", small, "{count} floods closed and counted, at most {mib:.1} MiB more");
    assert!(small, "{costs:?}");
}

#[tokio::test(start_paused = true)]
#[ignore = "it measures the memory of its process, which is its own by way of `alone`"]
async fn rapid_resets() {
    let reset = |stream: u32| frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]);
    let before = resident();
    // All at once: the server had no time to begin them.
    let attacked = Attacked::within(Memory::default(), |_| {}).await;
    let all = |index: u32| [asks(2 * index + 1), reset(2 * index + 1)].concat();
    attacked.flood(hello(), |index| (0..1000).flat_map(|i| all(1000 * index + i)).collect(), 100).await;
    attacked.counted(Fault::ResetFlood).await;
    // One by one.
    let attacked = Attacked::within(Memory::default(), |options| {
        options.max_pending_accept_reset_streams = 1_000_000;
    })
    .await;
    attacked.flood(hello(), all, 100_000).await;
    attacked.counted(Fault::ResetFlood).await;
    let grown = resident().saturating_sub(before);
    let mib = grown as f64 / f64::from(1 << 20);
    score!("D2", grown < GROWTH_BYTES_MAX, "2 × 100,000 resets closed and counted, {mib:.1} MiB more");
    assert!(grown < GROWTH_BYTES_MAX, "{grown} bytes");
}

#[tokio::test(start_paused = true)]
async fn as_many_as_the_options_say_are_let_through_and_one_more_is_a_flood() {
    let bounds = Bounds::new(&ServeOptions {
        resets_max: 3,
        small_frames_max: 4,
        pings_max: 5,
        settings_max: 6,
        control_frames_max: 7,
        ..ServeOptions::default()
    });
    let head = |kind, flags, bytes| Head { kind, flags, bytes };
    for (head, most, fault) in [
        (head(RST_STREAM, 0, 4), 3, Fault::ResetFlood),
        (head(DATA, 0, 1), 4, Fault::SmallFrameFlood),
        (head(PING, 0, 8), 5, Fault::PingFlood),
        (head(SETTINGS, 0, 0), 6, Fault::SettingsFlood),
        (head(WINDOW_UPDATE, 0, 4), 7, Fault::ControlFlood),
    ] {
        let mut window = Window::new();
        let floods: Vec<bool> = (0..=most).map(|_| window.count(head, &bounds) == Some(fault)).collect();
        assert_eq!(floods.iter().position(|flood| *flood), Some(most), "{}", fault.name());
    }
    // However many call with little to say.
    let mut window = Window::new();
    let calls = [head(HEADERS, END_HEADERS, 9), head(DATA, 0, 5), head(DATA, END_STREAM, 0)];
    assert!((0..3_000).all(|at| window.count(calls[at % 3], &bounds).is_none()));
    // What answers us, what calls, and what holds data are none.
    let mut window = Window::new();
    for head in [head(PING, ACK, 8), head(SETTINGS, ACK, 0), head(HEADERS, 0, 9), head(DATA, 0, SMALL_BYTES)]
    {
        assert!((0..100).all(|_| window.count(head, &bounds).is_none()), "{head:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn as_many_as_are_allowed_over_a_longer_time_are_no_flood() {
    let attacked = Attacked::within(Memory::default(), |options| {
        (options.pings_max, options.keepalive_interval_ms) = (10, 3_600_000);
    })
    .await;
    let mut patient = attacked.connect().await;
    patient.write_all(&hello()).await.unwrap();
    let mut answers = vec![0; 4096];
    for _ in 0..20 {
        for _ in 0..10 {
            patient.write_all(&frame(PING, 0, 0, &[0; 8])).await.unwrap();
        }
        sleep(WINDOW).await;
        assert!(patient.read(&mut answers).await.unwrap() > 0);
    }
    assert_eq!(attacked.running.counters.of(Fault::PingFlood), 0);
    assert_eq!(attacked.running.counters.read().open, 2);
}

/// Sends a beginning and then a byte in ten seconds; how long it was there.
async fn dawdle(io: BoxIo, beginning: Vec<u8>, drops: Vec<u8>) -> Duration {
    let began = Instant::now();
    let (mut reader, mut writer) = tokio::io::split(io);
    writer.write_all(&beginning).await.unwrap();
    let dripping = async {
        for byte in drops {
            sleep(Duration::from_millis(9_900)).await;
            if writer.write_all(&[byte]).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let mut answers = Vec::new();
    tokio::select! {
        () = dripping => {}
        _ = reader.read_to_end(&mut answers) => {}
    }
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn whoever_dawdles_is_let_go_in_time() {
    let check = async |fault: Fault, beginning: Vec<u8>, drop_by_drop: Vec<u8>| {
        let attacked = Attacked::within(Memory::default(), |_| {}).await;
        let stayed = dawdle(attacked.connect().await, beginning, drop_by_drop).await;
        assert!(stayed <= Duration::from_secs(15), "{}: {stayed:?}", fault.name());
        assert_eq!(attacked.running.counters.of(fault), 1, "{}", fault.name());
        attacked.serves_on().await;
    };
    check(Fault::LatePreface, vec![], PREFACE.to_vec()).await;
    check(Fault::LateHeaders, [hello(), asks(1)[..1].to_vec()].concat(), asks(1)[1..].to_vec()).await;
    check(Fault::LateHeaders, [hello(), asks(1)[..10].to_vec()].concat(), ASKED.to_vec()).await;
    let open_block = frame(HEADERS, 0, 1, &ASKED);
    check(Fault::LateHeaders, [hello(), open_block].concat(), frame(CONTINUATION, 0, 1, b"")).await;
    check(Fault::LateBody, [hello(), echo()].concat(), frame(DATA, 0, 1, &[0; 100])).await;
    check(Fault::LateBody, [hello(), echo()].concat(), vec![]).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_dawdles_in_tls_is_let_go_in_time() {
    let network = Memory::default();
    let identity = Authority::ephemeral().unwrap().issue("worker").unwrap().identity().unwrap();
    let running = rig::start(&network, "peer:1", Some(identity)).await;
    let mut slow = network.connect(&running.address).await.unwrap();
    // A record of TLS that says how long it is.
    slow.write_all(&[0x16, 3, 1, 2, 0]).await.unwrap();
    let began = Instant::now();
    drop(slow.read_to_end(&mut Vec::new()).await);
    assert!(began.elapsed() <= Duration::from_secs(15), "{:?}", began.elapsed());
    assert_eq!(running.counters.of(Fault::LateHandshake), 1);
}

#[tokio::test(start_paused = true)]
async fn a_slow_request_is_told_so_and_costs_the_calls_beside_it_nothing() {
    let (running, channel) = rig::memory_server(rig::service()).await;
    let beside = channel.clone();
    let beside = tokio::spawn(async move {
        let mut body = beside.clone();
        let response = tower::Service::call(&mut body, rig::request("/tiny/5", &[])).await.unwrap();
        sleep(Duration::from_secs(20)).await;
        rig::read(response).await
    });
    let endless = futures_util::stream::pending::<Result<http_body::Frame<bytes::Bytes>, tonic::Status>>();
    let body = tonic::body::Body::new(http_body_util::StreamBody::new(endless));
    let reply = rig::call(&channel, http::Request::post("/echo").body(body).unwrap()).await;
    assert_eq!(reply.code, Code::DeadlineExceeded, "{}", reply.message);
    assert!(reply.message.contains("serve.body_timeout_ms"), "{}", reply.message);
    assert_eq!(running.counters.of(Fault::LateBody), 1);
    assert_eq!(beside.await.unwrap().code, Code::Ok);
    assert_eq!(rig::call(&channel, rig::request("/echo", &[])).await.code, Code::Ok, "on a new connection");
}

#[tokio::test(start_paused = true)]
async fn a_thousand_who_dawdle_keep_nobody_waiting() {
    const EACH: usize = 250;
    let network = Memory::default();
    let attacked = Attacked::within(network.clone(), |options| options.connections_max = 2048).await;
    let identity = Authority::ephemeral().unwrap().issue("worker").unwrap().identity().unwrap();
    let secure = rig::start(&network, "peer:2", Some(identity)).await;
    let plain = &attacked.running.address;
    let begun = |bytes: &[u8]| (bytes[..1].to_vec(), bytes[1..].to_vec());
    let (preface, headers) = (begun(PREFACE), begun(&asks(1)));
    let ways = [
        (&secure.address, vec![0x16, 3, 1, 2, 0], vec![0; 100]),
        (plain, preface.0, preface.1),
        (plain, [hello(), headers.0].concat(), headers.1),
        (plain, [hello(), echo()].concat(), frame(DATA, 0, 1, &[0; 100])),
    ];
    let mut slow = JoinSet::new();
    for (address, beginning, drops) in ways {
        for _ in 0..EACH {
            let io = network.connect(address).await.unwrap();
            slow.spawn(dawdle(io, beginning.clone(), drops.clone()));
        }
    }
    let (began, mut stayed, mut waited) = (Instant::now(), Vec::new(), Duration::ZERO);
    while !slow.is_empty() && began.elapsed() < Duration::from_secs(60) {
        let asked = Instant::now();
        // h2 holds every empty frame of data that ever came against its sender, which an echo of nothing has.
        let reply = rig::call(&attacked.other, rig::request("/tiny/1", &[])).await;
        assert_eq!(reply.code, Code::Ok, "{}", reply.message);
        waited = waited.max(asked.elapsed());
        sleep(Duration::from_millis(100)).await;
        while let Some(one) = slow.try_join_next() {
            stayed.push(one.unwrap());
        }
    }
    let (gone, last) = (stayed.len(), stayed.iter().max().copied().unwrap_or_default());
    let in_time = gone == 4 * EACH && last <= Duration::from_secs(15);
    let pass = in_time && waited <= Duration::from_millis(10);
    score!("D3", pass, "{gone} of {} gone after at most {last:.1?}, others waited {waited:.1?}", 4 * EACH);
    assert!(pass, "{gone} gone after {last:?}, others waited {waited:?}");
    let of = |fault| attacked.running.counters.of(fault);
    let counted = [of(Fault::LatePreface), of(Fault::LateHeaders), of(Fault::LateBody)];
    assert_eq!(counted, [EACH as u64; 3]);
    assert_eq!(secure.counters.of(Fault::LateHandshake), EACH as u64);
}
