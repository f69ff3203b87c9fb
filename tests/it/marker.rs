//! What callers ask stands in no log, trace, metric or file of any process.

use causeway_tests::{Collector, House, HouseOptions, text_request};
use futures_util::stream::{self, StreamExt as _};
use proto::v1::generation_client::GenerationClient;
use score::score;

const REQUESTS: usize = 10_000;
const AT_ONCE: usize = 16;
/// A word that nothing else says.
const MARKER: &str = "quokkazanzibar";

/// Takes minutes: `cargo test -p causeway-tests -- --ignored written_nowhere`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes of requests"]
async fn what_is_asked_ten_thousand_times_is_written_nowhere() {
    let collector = Collector::start().await;
    let house = House::start(HouseOptions {
        otlp_endpoint: Some(collector.endpoint.clone()),
        decisions: true,
        ..HouseOptions::default()
    })
    .await;
    let ask = |number: usize| {
        let mut client = GenerationClient::new(house.agent.clone());
        async move {
            let request = text_request(&format!("Write of {MARKER} {number}."), "cloud-fast", 1);
            let mut stream = client.generate(request).await?.into_inner();
            while stream.message().await?.is_some() {}
            Ok::<_, tonic::Status>(())
        }
    };
    let ends: Vec<_> = stream::iter(0..REQUESTS).map(ask).buffer_unordered(AT_ONCE).collect().await;
    let answered = ends.iter().filter(|end| end.is_ok()).count();
    // Each has several; what is dropped where too much is told at once is written nowhere, either.
    collector.wait_for(|spans| spans.len() >= answered).await;
    let (told, all) = collector.with(MARKER);
    let lines: usize = house.processes.iter().map(|process| process.lines_with(MARKER)).sum();
    let files = house.files_with(MARKER.as_bytes());
    let logged = std::fs::metadata(house.decisions("causeway-router")).map_or(0, |file| file.len());
    score!(
        "E3",
        told + lines + files == 0 && answered * 100 >= REQUESTS * 99,
        "{answered} of {REQUESTS} answered: the marker in {lines} log lines, {told} of {all} spans and metrics, {files} files"
    );
    assert!(logged > 0, "decisions are logged");
    assert_eq!((told, lines, files), (0, 0, 0));
    assert!(answered * 100 >= REQUESTS * 99, "{:?}", ends.iter().find(|end| end.is_err()));
}
