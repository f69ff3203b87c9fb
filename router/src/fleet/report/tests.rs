//! Reports that are true, half true and false.

use std::time::Duration;

use proto::v1;

use super::{BatchLine, Heard, SEQUENCES_MAX, TOKENS_MAX};

fn check(report: v1::Report, expect: impl FnOnce(&mut Heard), doubted: &[&str]) {
    let plain = v1::Report { interval_ms: 200, ..Default::default() };
    let (mut wanted, none) = Heard::from_report(plain, Duration::from_millis(200));
    assert_eq!(none, [], "an empty report holds no lie");
    expect(&mut wanted);
    let (heard, doubts) = Heard::from_report(report, Duration::from_millis(200));
    assert_eq!(heard, wanted);
    assert_eq!(doubts.iter().map(|doubt| doubt.field).collect::<Vec<_>>(), doubted);
}

fn batches(times: &[(u32, f32)]) -> Vec<v1::BatchTime> {
    let time = |&(requests, seconds_per_output_token)| v1::BatchTime { requests, seconds_per_output_token };
    times.iter().map(time).collect()
}

#[test]
fn true_numbers_are_kept() {
    let report = v1::Report {
        interval_ms: 500,
        running: 3,
        waiting: 2,
        running_max: 8,
        queued_tokens: 900,
        prefill_tokens_per_second: 1000.0,
        seconds_per_output_token: 0.5,
        batch_times: batches(&[(1, 0.25), (4, 0.5)]),
        draining: true,
        ..Default::default()
    };
    check(
        report,
        |heard| {
            heard.interval = Duration::from_millis(500);
            heard.running = 3;
            heard.waiting = 2;
            heard.running_max = 8;
            heard.queued_tokens = 900;
            heard.seconds_per_prompt_token = Some(0.001);
            heard.seconds_per_output_token = Some(0.5);
            heard.by_batch = BatchLine::through([(1, 0.25), (4, 0.5)]);
            heard.draining = true;
        },
        &[],
    );
}

#[test]
fn times_by_batch_that_cannot_be_are_left_out() {
    let report = v1::Report {
        batch_times: batches(&[(1, 0.25), (0, 0.25), (2, -1.0), (4, 0.5), (u32::MAX, 0.5), (8, f32::NAN)]),
        ..Default::default()
    };
    let line = BatchLine::through([(1, 0.25), (4, 0.5)]);
    assert!(line.is_some());
    check(report, |heard| heard.by_batch = line, &["batch_times", "batch_times"]);
    let crowd = v1::Report { batch_times: batches(&[(1, 0.25); 10_000]), ..Default::default() };
    check(crowd, |_| {}, &[]);
}

#[test]
fn rates_that_cannot_be_are_unknown_and_named() {
    for rate in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1.0, 1e-9, 1e30] {
        let report = v1::Report {
            prefill_tokens_per_second: rate,
            seconds_per_output_token: if rate == 1e-9 { 1e-30 } else { rate },
            ..Default::default()
        };
        check(report, |_| {}, &["prefill_tokens_per_second", "seconds_per_output_token"]);
    }
}

#[test]
fn counts_are_held_to_their_bounds() {
    let report = v1::Report {
        running: u32::MAX,
        waiting: u32::MAX,
        running_max: u32::MAX,
        queued_tokens: u64::MAX,
        cache_tokens_max: u64::MAX,
        ..Default::default()
    };
    check(
        report,
        |heard| {
            heard.running = SEQUENCES_MAX;
            heard.waiting = SEQUENCES_MAX;
            heard.running_max = SEQUENCES_MAX;
            heard.queued_tokens = TOKENS_MAX;
            heard.cache_tokens_max = TOKENS_MAX;
        },
        &["running", "waiting", "running_max", "queued_tokens", "cache_tokens_max"],
    );
}

#[test]
fn an_interval_is_never_waited_for_longer_than_a_minute() {
    let report = v1::Report { interval_ms: u32::MAX, ..Default::default() };
    check(report, |heard| heard.interval = Duration::from_secs(60), &[]);
}

#[test]
fn a_name_is_cut_between_characters() {
    let model = v1::ModelDescription { name: "é".repeat(1000), ..Default::default() };
    let report = v1::Report { model: Some(model), ..Default::default() };
    let (heard, _) = Heard::from_report(report, Duration::from_millis(200));
    assert_eq!(heard.model.map(|model| model.name), Some("é".repeat(128)));
}
