//! What happens when a caller stops waiting: deadlines and cancels, over three processes.

use std::time::{Duration, Instant};

use causeway_tests::{House, HouseOptions, text_request};
use proto::v1::fleet_client::FleetClient;
use proto::v1::generate_event::Event;
use proto::v1::generation_client::GenerationClient;
use proto::v1::{Report, WatchReportsRequest};
use tonic::{Code, Request, Streaming};

/// A step of the slow worker, and so the time between two of its tokens.
const STEP: Duration = Duration::from_millis(250);
/// Tokens that a worker may compute after the device has hung up.
const TOKENS_MAX: u64 = 2;

/// A story whose working takes some forty tokens: seconds, at this pace.
fn story(only_place: &str) -> proto::v1::GenerateRequest {
    let text = "Mira collects pens and has 48. Mira buys 3 boxes of 9. Mira gives 12 to Tom. Mira finds 6 more. \
                How many pens does Mira have now?";
    text_request(text, only_place, 200)
}

async fn reports(house: &House) -> Streaming<Report> {
    let mut client = FleetClient::new(house.worker.clone());
    client
        .watch_reports(WatchReportsRequest { interval_ms: 100, ..Default::default() })
        .await
        .expect("reports")
        .into_inner()
}

/// Waits for the report of a worker that has nothing to do any more. Reports that were sent earlier and not read yet
/// come first: `done` tells them from those that are waited for.
async fn idle(reports: &mut Streaming<Report>, done: impl Fn(&Report) -> bool) -> Report {
    let wait = async {
        loop {
            let report = reports.message().await.expect("reports go on").expect("without end");
            if report.running == 0 && report.waiting == 0 && done(&report) {
                return report;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.expect("the worker becomes idle")
}

/// Tokens that an event shows.
fn tokens(event: Option<Event>) -> u64 {
    match event {
        Some(Event::Delta(delta)) => delta.token_ids.len() as u64,
        _ => 0,
    }
}

async fn slow_house() -> House {
    let step_interval_min_ms = u32::try_from(STEP.as_millis()).expect("small");
    House::start(HouseOptions { step_interval_min_ms, ..HouseOptions::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_holds_through_the_body() {
    let house = slow_house().await;
    let mut reports = reports(&house).await;
    // The deadline passes while the answer streams: the end is DEADLINE_EXCEEDED, not CANCELLED, and on time. The worker
    // is asked itself, since a router refuses what it does not expect to be in time.
    let mut request = Request::new(story(""));
    let patience = Duration::from_millis(1_500);
    request.set_timeout(patience);
    let start = Instant::now();
    let mut stream =
        GenerationClient::new(house.worker.clone()).generate(request).await.expect("begins").into_inner();
    let mut told = 0;
    let ended = loop {
        match stream.message().await {
            Ok(Some(_)) => told += 1,
            Ok(None) => panic!("the answer was short enough; make it longer"),
            Err(status) => break status,
        }
    };
    assert!(told > 1, "it had begun");
    assert_eq!(ended.code(), Code::DeadlineExceeded, "{ended:?}");
    assert!(start.elapsed() >= patience, "not before its time");
    idle(&mut reports, |report| report.output_tokens > 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_stops_the_worker_within_two_tokens() {
    let house = slow_house().await;
    let mut reports = reports(&house).await;
    let mut before = idle(&mut reports, |_| true).await;
    // Hung up on early and late in the answer, with a fresh stream each time.
    for hang_up_after in [1, 4, 9] {
        let mut client = GenerationClient::new(house.agent.clone());
        let mut request = Request::new(story("cloud-fast"));
        // The whole answer would take the slow worker longer than a call has that names no deadline.
        request.set_timeout(Duration::from_secs(300));
        let mut stream = client.generate(request).await.expect("begins").into_inner();
        let mut delivered = 0;
        while delivered < hang_up_after {
            delivered += tokens(stream.message().await.expect("goes on").expect("is long").event);
        }
        drop(stream);
        let hung_up = Instant::now();
        let after = idle(&mut reports, |report| report.cancelled > before.cancelled).await;
        assert_eq!(after.cancelled, before.cancelled + 1, "one cancel reached the worker");
        // What the device was not shown was computed for nobody, wherever on the three hops it was lost.
        let computed = after.output_tokens - before.output_tokens;
        let unseen = computed - delivered;
        assert!(unseen <= TOKENS_MAX, "{computed} tokens were computed, {delivered} delivered");
        let late = after.tokens_after_cancel - before.tokens_after_cancel;
        assert!(late <= unseen, "{late} computed after the cancel had come, of {unseen} unseen");
        let (steps, interval) = (STEP * 2, Duration::from_millis(100));
        assert!(hung_up.elapsed() < steps + interval + Duration::from_secs(1), "{:?}", hung_up.elapsed());
        before = after;
    }
}
