//! A real worker tells its load by ORCA, and a real router weighs it by nothing else.

use std::time::Duration;

use causeway_tests::{House, HouseOptions, text_request};
use prost::Message as _;
use proto::orca::open_rca_service_client::OpenRcaServiceClient;
use proto::orca::{METRICS, OrcaLoadReport, OrcaLoadReportRequest, TRAILER};
use proto::v1::generate_event::Event;
use proto::v1::generation_client::GenerationClient;
use tokio::time::Instant;

/// What every report holds, measured or not.
const ALWAYS: [&str; 6] = [
    "causeway.running",
    "causeway.waiting",
    "causeway.running_max",
    "causeway.queued_tokens",
    "causeway.in_flight_tokens",
    "causeway.cache.tokens_max",
];

fn has(report: &OrcaLoadReport, names: &[&str]) {
    for name in names {
        assert!(report.named_metrics.contains_key(*name), "{name}: {report:?}");
    }
    for name in report.named_metrics.keys() {
        assert!(METRICS.iter().any(|metric| name.starts_with(metric.name)), "{name} is not listed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn load_is_told_to_whoever_speaks_orca() {
    let house = House::start(HouseOptions { load: Some("orca"), ..HouseOptions::default() }).await;

    let mut worker = GenerationClient::new(house.worker.clone());
    let request = text_request("What is the capital of Peru?", "", 8);
    let mut answer = worker.generate(request.clone()).await.expect("it answers").into_inner();
    let trailers = answer.trailers().await.expect("it ends well").expect("with trailers");
    let report = trailers.get_bin(TRAILER).expect("a report").to_bytes().expect("base64");
    has(&OrcaLoadReport::decode(report).expect("a report"), &ALWAYS);

    let mut orca = OpenRcaServiceClient::new(house.worker.clone());
    for (wanted, granted) in [(Some(1), 0.1), (Some(10_000), 0.5), (None, 0.1)] {
        let report_interval =
            wanted.map(|ms| Duration::from_millis(ms).try_into().expect("a duration that can be sent"));
        let asked = OrcaLoadReportRequest { report_interval, request_cost_names: Vec::new() };
        let mut reports = orca.stream_core_metrics(asked).await.expect("it reports").into_inner();
        let mut next = async || reports.message().await.expect("it goes on").expect("a report");
        let first = next().await;
        let before = Instant::now();
        has(&first, &ALWAYS);
        has(&first, &["causeway.prefill_tokens_per_second", "causeway.seconds_per_output_token"]);
        assert_eq!(first.named_metrics["causeway.report_interval_seconds"], granted);
        next().await;
        assert!(before.elapsed().as_secs_f64() > granted * 0.7, "{wanted:?}: {:?}", before.elapsed());
    }

    let mut router = GenerationClient::new(house.router.clone());
    let mut answer = router.generate(request).await.expect("it answers").into_inner();
    let first = answer.message().await.expect("it answers").expect("it begins").event;
    let Some(Event::Started(started)) = first else { panic!("{first:?}") };
    let decision = started.decisions.last().expect("the router's decision");
    let notes = &decision.candidates[0].notes;
    assert!(!notes.iter().any(|note| note.ends_with("_unknown")), "{notes:?}");
}
