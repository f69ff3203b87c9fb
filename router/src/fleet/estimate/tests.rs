//! Expectations over reports, own work and lessons.

use std::time::Duration;

use proto::v1;

use super::{HALF_LIFE, Heard, Learned, Rates, SECONDS_MAX, Sent, implied, pool};

const POOL: Rates = Rates { prompt_token: 0.01, output_token: 0.1 };

fn heard(report: v1::Report) -> Heard {
    Heard::from_report(report, Duration::from_millis(200)).0
}

fn busy() -> v1::Report {
    v1::Report {
        running: 4,
        waiting: 0,
        running_max: 4,
        queued_tokens: 100,
        prefill_tokens_per_second: 1000.0,
        seconds_per_output_token: 0.5,
        ..Default::default()
    }
}

fn latency(report: v1::Report, sent: Sent, learned: &Learned) -> policy::Latency {
    implied(&heard(report), sent, learned, None).expect("measured")
}

#[test]
fn queue_is_prefill_before_us_and_answers_that_must_end_first() {
    let check = |report: v1::Report, sent: Sent, expect: f64| {
        let is = latency(report, sent, &Learned::default()).queue_seconds;
        assert!((is - expect).abs() < 1e-6, "{is} is not {expect}");
    };
    // One answer of 64 tokens at 0.5 s over four slots, after 100 tokens of prefill.
    check(busy(), Sent::default(), 0.1 + 64.0 * 0.5 / 4.0);
    check(v1::Report { running: 3, ..busy() }, Sent::default(), 0.1);
    // What was sent since counts as if reported.
    let sent = Sent { in_flight: 2, requests_since: 2, tokens_since: 900 };
    check(v1::Report { running: 3, ..busy() }, sent, 1.0 + 2.0 * 64.0 * 0.5 / 4.0);
    // Own requests are at least what is there, whatever the report says.
    let sent = Sent { in_flight: 4, requests_since: 0, tokens_since: 0 };
    check(v1::Report { running: 0, ..busy() }, sent, 0.1 + 64.0 * 0.5 / 4.0);
    // Without a stated size of the batch, only what waits is in the way.
    check(v1::Report { running_max: 0, waiting: 2, ..busy() }, Sent::default(), 0.1 + 64.0 * 0.5 / 2.0);
}

#[test]
fn a_worker_that_measured_nothing_is_taken_to_be_slower_than_the_pool() {
    let unmeasured = heard(v1::Report::default());
    assert_eq!(implied(&unmeasured, Sent::default(), &Learned::default(), None), None);
    let latency = implied(&unmeasured, Sent::default(), &Learned::default(), Some(POOL)).expect("pooled");
    assert_eq!((latency.prefill_seconds_per_token, latency.seconds_per_output_token), (0.02, 0.2));

    let slow = heard(v1::Report { prefill_tokens_per_second: 500.0, ..busy() });
    let mean = pool([&heard(busy()), &unmeasured, &slow].map(Heard::measured).into_iter())
        .expect("two have measured");
    assert!((mean.prompt_token - 0.0015).abs() < 1e-9 && (mean.output_token - 0.5).abs() < 1e-9);
    assert_eq!(pool([unmeasured.measured()].into_iter()), None);
}

#[test]
fn no_lie_makes_an_expectation_unsound() {
    let lies = [f32::NAN, f32::INFINITY, -1.0, 0.0, f32::MIN_POSITIVE, f32::MAX, 0.011];
    for lie in lies {
        let report = v1::Report {
            running: u32::MAX,
            waiting: u32::MAX,
            queued_tokens: u64::MAX,
            prefill_tokens_per_second: lie,
            seconds_per_output_token: lie,
            ..Default::default()
        };
        let sent = Sent { in_flight: u32::MAX, requests_since: u32::MAX, tokens_since: u64::MAX };
        let implied = implied(&heard(report), sent, &Learned::default(), Some(POOL)).expect("pooled");
        let latency = Learned::default().corrected(&implied, Duration::MAX);
        assert!(latency.is_sound(), "{latency:?}");
        assert!(latency.queue_seconds <= SECONDS_MAX);
    }
}

#[test]
fn expectations_follow_what_was_seen() {
    let mut learned = Learned::default();
    for _ in 0..60 {
        learned.first_token(2.1, 1.0, 0.1);
        learned.first_token(0.15, 0.0, 0.1);
        learned.output_token(0.25, 0.5);
        learned.answer(8);
    }
    let raw = latency(busy(), Sent::default(), &learned);
    assert!((raw.queue_seconds - (0.1 + 8.0 * 0.5 / 4.0)).abs() < 1e-6);
    let corrected = learned.corrected(&raw, Duration::ZERO);
    assert!((corrected.queue_seconds / raw.queue_seconds - 1.95).abs() < 0.01, "{corrected:?}");
    assert!((corrected.network_seconds - 0.05).abs() < 1e-6, "{corrected:?}");
    assert!((corrected.seconds_per_output_token - 0.25).abs() < 1e-6);
    assert!((learned.corrected(&raw, HALF_LIFE).network_seconds - 0.025).abs() < 1e-6);
}

#[test]
fn one_stall_moves_an_expectation_little_and_nonsense_not_at_all() {
    let mut learned = Learned::default();
    for _ in 0..100 {
        learned.first_token(0.11, 0.0, 0.1);
        learned.first_token(1.1, 1.0, 0.1);
    }
    learned.first_token(1e9, 0.0, 0.1);
    learned.first_token(1e9, 1.0, 0.1);
    for nonsense in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        learned.first_token(nonsense, 0.0, 0.1);
        learned.first_token(nonsense, 1.0, nonsense);
        learned.output_token(nonsense, nonsense);
        learned.output_token(1.0, 0.0);
    }
    let raw = latency(busy(), Sent::default(), &learned);
    let corrected = learned.corrected(&raw, Duration::ZERO);
    assert!(corrected.is_sound());
    assert!(corrected.queue_seconds < raw.queue_seconds * 2.0, "{corrected:?}");
    assert!(corrected.network_seconds < 0.1, "{corrected:?}");
}
