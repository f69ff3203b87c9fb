//! A worker that is stopped keeps its connections and says nothing: work goes elsewhere, and back when it lives again.

use std::time::{Duration, Instant};

use causeway_tests::{House, HouseOptions, text_request};
use proto::v1::generate_event::Event;
use proto::v1::generation_client::GenerationClient;
use score::score;

/// What one request came to.
#[derive(Debug)]
struct Asked {
    /// After the stop.
    at: Duration,
    place: String,
    first: Duration,
    tokens: usize,
}

/// Asks once; `since` is when the worker was stopped.
async fn ask(house: &House, since: Instant) -> Asked {
    let mut client = GenerationClient::new(house.agent.clone());
    let (at, begun) = (since.elapsed(), Instant::now());
    let request = text_request("Name a colour.", "cloud-fast", 4);
    let mut stream = client.generate(request).await.expect("an answer begins").into_inner();
    let (mut place, mut tokens, first) = (String::new(), 0, begun.elapsed());
    while let Some(event) = stream.message().await.expect("the answer ends well") {
        match event.event {
            Some(Event::Delta(delta)) => tokens += delta.token_ids.len(),
            Some(Event::Done(done)) => place = done.place,
            _ => {}
        }
    }
    Asked { at, place, first, tokens }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_work_is_steered_around_a_stopped_worker_within_two_seconds() {
    let house = House::start(HouseOptions { spares: 1, ..HouseOptions::default() }).await;
    let before = ask(&house, Instant::now()).await;
    let index = before.place.strip_prefix("cloud-fast/spare-");
    let stopped = if index.is_some() { &house.spares[0] } else { &house.processes[0] };
    stopped.stop();
    let since = Instant::now();
    let (mut asked_there, mut avoided) = (0, Duration::ZERO);
    while since.elapsed() < Duration::from_secs(4) {
        let asked = ask(&house, since).await;
        assert!(asked.tokens > 0 && asked.place != before.place, "{asked:?}");
        // Whoever asked before it was known waits until it is, and for the answer.
        let most =
            if asked.at < Duration::from_secs(2) { Duration::from_secs(3) } else { Duration::from_secs(1) };
        assert!(asked.first < most, "{asked:?}");
        // Whoever waits this long was sent there first.
        if asked.first > Duration::from_millis(300) {
            (asked_there, avoided) = (asked_there + 1, asked.at + asked.first);
        }
    }
    let pass = avoided <= Duration::from_secs(2);
    score!(
        "B4",
        pass,
        "{asked_there} sent to a stopped worker, the last goes on elsewhere {avoided:.1?} after the stop"
    );
    stopped.go_on();
    let back = async {
        while ask(&house, since).await.place != before.place {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), back).await.expect("it is asked again when it lives again");
}
