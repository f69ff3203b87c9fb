//! What happens when a caller stops waiting: deadlines and cancels, over three processes.

use std::time::{Duration, Instant};

use causeway_tests::{House, HouseOptions, text_request};
use proto::v1::fleet_client::FleetClient;
use proto::v1::generate_event::Event;
use proto::v1::generation_client::GenerationClient;
use proto::v1::{Report, WatchReportsRequest};
use tonic::{Code, Request, Streaming};

/// A step of the slow worker.
const STEP: Duration = Duration::from_millis(100);

/// A story whose working takes some forty tokens: seconds, at this pace.
fn story(only_place: &str) -> proto::v1::GenerateRequest {
    let text = "Mira collects pens and has 48. Mira buys 3 boxes of 9. Mira gives 12 to Tom. Mira finds 6 more. \
                How many pens does Mira have now?";
    text_request(text, only_place, 200)
}

async fn reports(house: &House) -> Streaming<Report> {
    let mut client = FleetClient::new(house.worker.clone());
    client.watch_reports(WatchReportsRequest { interval_ms: 100 }).await.expect("reports").into_inner()
}

/// Waits for a report that says how many run.
async fn until_running(reports: &mut Streaming<Report>, running: u32) {
    while reports.message().await.expect("reports go on").expect("without end").running != running {}
}

async fn slow_house() -> House {
    let step_interval_min_ms = u32::try_from(STEP.as_millis()).expect("small");
    House::start(HouseOptions { step_interval_min_ms, ..HouseOptions::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_holds_through_the_body_and_a_cancel_reaches_the_worker() {
    let house = slow_house().await;
    let mut reports = reports(&house).await;
    // The deadline passes while the answer streams: the end is DEADLINE_EXCEEDED, not CANCELLED, and on time. The worker
    // is asked itself, since a router refuses what it does not expect to be in time.
    let mut request = Request::new(story(""));
    let patience = Duration::from_millis(900);
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
    until_running(&mut reports, 0).await;

    // The device hangs up: the worker stops within two tokens, which at this pace is seen in the tokens it computed.
    let mut client = GenerationClient::new(house.agent.clone());
    let mut stream = client.generate(story("cloud-fast")).await.expect("begins").into_inner();
    let mut seen = 0;
    while seen < 2 {
        let event = stream.message().await.expect("goes on").expect("is long").event;
        seen += u32::from(matches!(event, Some(Event::Delta(_))));
    }
    drop(stream);
    let hung_up = Instant::now();
    until_running(&mut reports, 0).await;
    // Two steps and a report's interval, and room for a busy machine.
    let bound = STEP * 2 + Duration::from_millis(100) + Duration::from_secs(1);
    assert!(hung_up.elapsed() < bound, "the worker went on for {:?}", hung_up.elapsed());
}
