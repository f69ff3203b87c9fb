//! Ten thousand callers who hold a connection to the router: what each costs, whom they keep waiting, and their return.

use std::time::{Duration, Instant};

use causeway_tests::{House, HouseOptions, allow_files, text_request};
use futures_util::stream::{self, StreamExt as _};
use mesh::connect::Channel;
use proto::v1::DescribeRequest;
use proto::v1::generation_client::GenerationClient;
use score::score;

const CALLERS: usize = 10_000;
/// Callers that connect at once.
const AT_ONCE: usize = 64;
/// What one of them may hold, bytes.
const EACH_BYTES_MAX: u64 = 64 * 1024;

async fn calls(channel: &Channel) -> bool {
    GenerationClient::new(channel.clone()).describe(DescribeRequest {}).await.is_ok()
}

/// The p99 of the times that short answers take.
async fn p99(house: &House) -> Duration {
    let mut took = Vec::new();
    for _ in 0..300 {
        let begun = Instant::now();
        let request = text_request("Name a colour.", "cloud-fast", 4);
        let asked = GenerationClient::new(house.router.clone()).generate(request).await;
        let mut stream = asked.expect("an answer begins").into_inner();
        while stream.message().await.expect("it goes on").is_some() {}
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    took[took.len() * 99 / 100]
}

/// Takes a minute or two: `cargo test -p causeway-tests -- --ignored ten_thousand`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "it needs 10,000 file descriptors and a minute"]
async fn ten_thousand_idle_callers_are_small_and_all_come_back() {
    allow_files(CALLERS as u64 + 2_000);
    let variables = vec![("CAUSEWAY_SERVE__CONNECTIONS_MAX", "20000")];
    let mut house = House::start(HouseOptions { variables, ..HouseOptions::default() }).await;
    let alone = p99(&house).await;
    let before = house.processes[1].memory_bytes();
    let connect = |_| {
        let caller = house.caller();
        async move {
            assert!(calls(&caller).await, "it is let in");
            caller
        }
    };
    let held: Vec<Channel> = stream::iter(0..CALLERS).map(connect).buffer_unordered(AT_ONCE).collect().await;
    let steady = house.processes[1].memory_bytes();
    let beside = p99(&house).await;
    let each = steady.saturating_sub(before) / CALLERS as u64;
    let added = beside.saturating_sub(alone);
    score!(
        "D4",
        each <= EACH_BYTES_MAX && added <= Duration::from_millis(5),
        "{CALLERS} connections with mTLS: {} KiB each, p99 of short answers {alone:.1?} without, {beside:.1?} with",
        each / 1024
    );
    house.processes[1].kill();
    tokio::task::block_in_place(|| house.revive_router());
    let began = Instant::now();
    let back = held.iter().map(async |one| {
        while !calls(one).await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    futures_util::future::join_all(back).await;
    let (took, after) = (began.elapsed(), house.processes[1].memory_bytes());
    let accepts = calls(&house.caller()).await;
    let in_time = took <= Duration::from_secs(30) && after <= 2 * steady && accepts;
    score!(
        "B7",
        in_time,
        "{CALLERS} back {took:.1?} after a kill −9, with mTLS; {} MiB then, {} MiB before",
        after >> 20,
        steady >> 20
    );
    assert!(each <= EACH_BYTES_MAX, "{each} bytes for each");
    assert!(in_time, "{took:?}, {after} of {steady} bytes, accepts {accepts}");
}
