//! What an engine's load looks like to a reader of ORCA.

use http::HeaderMap;
use inference::{Counters, Load};
use proto::orca::METRICS;
use tokio::time::{Duration, advance};

use super::{Answered, Counted, in_trailers, of};

fn load() -> Load {
    Load {
        running: 3,
        waiting: 1,
        queued_tokens: 200,
        prefill_tokens_per_s: 1500.0,
        seconds_per_token: 0.02,
        seconds_per_token_at: vec![(1, 0.01), (2, 0.02), (4, 0.0)],
        kv_tokens_used: 600,
        kv_tokens_kept: 100,
        kv_tokens_max: 1000,
        ..Load::default()
    }
}

#[test]
fn every_number_has_a_listed_name() {
    let work = Counters { prompt_tokens: 400, cached_tokens: 100, ..Counters::default() };
    let report = of(&load(), &work, 8);
    let expect = [
        ("causeway.running", 3.0),
        ("causeway.waiting", 1.0),
        ("causeway.running_max", 8.0),
        ("causeway.queued_tokens", 200.0),
        ("causeway.in_flight_tokens", 800.0),
        ("causeway.cache.tokens_max", 1000.0),
        ("causeway.cache.tokens_used", 600.0),
        ("causeway.cache.tokens_kept", 100.0),
        ("causeway.cache.hit_ratio", 0.25),
        ("causeway.prefill_tokens_per_second", 1500.0),
        ("causeway.seconds_per_output_token", 0.02),
        ("causeway.seconds_per_output_token.1", 0.01),
        ("causeway.seconds_per_output_token.2", 0.02),
    ];
    assert_eq!(report.named_metrics, expect.map(|(name, value)| (name.to_owned(), value)).into());
    for name in report.named_metrics.keys() {
        let base = name.trim_end_matches(|letter: char| letter.is_ascii_digit()).trim_end_matches('.');
        assert!(METRICS.iter().any(|metric| metric.name == base), "{name}");
    }
    assert_eq!((report.mem_utilization, report.application_utilization), (0.6, 0.6));
}

#[test]
fn the_scarcer_of_places_and_room_is_the_utilization_and_the_unmeasured_is_left_out() {
    let full = Load { running: 8, waiting: 8, kv_tokens_max: 0, ..Load::default() };
    let report = in_trailers(&full, 8);
    assert_eq!((report.mem_utilization, report.application_utilization), (0.0, 2.0));
    assert!(report.named_metrics.keys().all(|name| !name.contains("second")), "{:?}", report.named_metrics);
}

#[tokio::test(start_paused = true)]
async fn answers_and_failures_are_told_by_the_second() {
    let answered = Answered::default();
    let mut counted = Counted::now(&answered);
    for status in ["0", "0", "13", "8"] {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", status.parse().unwrap());
        answered.count(&trailers);
    }
    assert_eq!(counted.rates(&answered), (0.0, 0.0), "no time has passed");
    advance(Duration::from_millis(500)).await;
    assert_eq!(counted.rates(&answered), (8.0, 2.0), "a full worker has not failed");
    advance(Duration::from_millis(500)).await;
    assert_eq!(counted.rates(&answered), (0.0, 0.0));
}
