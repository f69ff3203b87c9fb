//! Reports of other makes: whole, bare, and false in any field.

use std::time::Duration;

use proto::orca::{self, OrcaLoadReport};
use proto::v1;

use super::super::BatchLine;
use super::{Circumstances, Heard};

const INTERVAL: Duration = Duration::from_secs(10);

fn named(metrics: &[(&str, f64)]) -> OrcaLoadReport {
    let named_metrics = metrics.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    OrcaLoadReport { named_metrics, ..Default::default() }
}

fn check(report: &OrcaLoadReport, expect: impl FnOnce(&mut Heard), doubted: &[&str]) {
    let circumstances = || Circumstances { interval: INTERVAL, model: None };
    let (mut wanted, none) = Heard::from_orca(&OrcaLoadReport::default(), circumstances());
    assert_eq!((none, wanted.load_known), (vec![], false), "an empty report holds neither lie nor load");
    expect(&mut wanted);
    let (heard, doubts) = Heard::from_orca(report, circumstances());
    assert_eq!(heard, wanted, "{report:?}");
    assert_eq!(doubts.iter().map(|doubt| doubt.field).collect::<Vec<_>>(), doubted, "{report:?}");
}

#[test]
fn the_names_of_this_project_are_understood() {
    let report = named(&[
        (orca::RUNNING.name, 3.0),
        (orca::WAITING.name, 2.0),
        (orca::RUNNING_MAX.name, 8.0),
        (orca::QUEUED_TOKENS.name, 900.0),
        (orca::CACHE_TOKENS_MAX.name, 4096.0),
        (orca::PREFILL_RATE.name, 1000.0),
        (orca::OUTPUT_TOKEN_SECONDS.name, 0.5),
        ("causeway.seconds_per_output_token.1", 0.25),
        ("causeway.seconds_per_output_token.4", 0.5),
        ("causeway.seconds_per_output_token.many", 0.5),
        (orca::DRAINING.name, 1.0),
        (orca::INTERVAL_SECONDS.name, 0.25),
        ("somebody.elses", f64::NAN),
    ]);
    check(
        &report,
        |heard| {
            heard.interval = Duration::from_millis(250);
            heard.load_known = true;
            (heard.running, heard.waiting, heard.running_max) = (3, 2, 8);
            (heard.queued_tokens, heard.cache_tokens_max) = (900, 4096);
            heard.seconds_per_prompt_token = Some(0.001);
            heard.seconds_per_output_token = Some(0.5);
            heard.by_batch = BatchLine::through([(1, 0.25), (4, 0.5)]);
            heard.draining = true;
        },
        &[],
    );
}

#[test]
fn what_is_in_use_stands_for_requests_and_never_for_none() {
    let of = |application_utilization, cpu_utilization, rps_fractional, eps| OrcaLoadReport {
        application_utilization,
        cpu_utilization,
        rps_fractional,
        eps,
        ..Default::default()
    };
    for (report, running, waiting) in [
        (of(0.001, 0.0, 0.0, 0.0), 1, 0),
        (of(0.3, 0.0, 0.0, 0.0), 1, 0),
        (of(0.75, 0.1, 0.0, 0.0), 1, 2),
        (of(0.0, 0.75, 0.0, 0.0), 1, 2),
        (of(0.9, 0.0, 0.0, 0.0), 1, 8),
        (of(1.0, 0.0, 0.0, 0.0), 1, 18),
        (of(1.5, 0.0, 0.0, 0.0), 1, 28),
        // A quarter of the answers failed.
        (of(0.5, 0.0, 8.0, 2.0), 1, 2),
        (of(0.5, 0.0, 0.0, 2.0), 1, 1),
    ] {
        check(
            &report,
            |heard| {
                heard.load_known = true;
                (heard.running, heard.waiting) = (running, waiting);
            },
            &[],
        );
    }
}

#[test]
fn numbers_that_cannot_be_are_refused_one_by_one() {
    for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 1e300] {
        let metrics =
            [orca::RUNNING, orca::WAITING, orca::QUEUED_TOKENS, orca::PREFILL_RATE].map(|metric| metric.name);
        let report = named(&metrics.map(|name| (name, wrong)));
        check(&report, |_| {}, &metrics);
        let report = named(&[(orca::RUNNING.name, 2.0), (orca::WAITING.name, wrong)]);
        check(&report, |heard| (heard.load_known, heard.running) = (true, 2), &[orca::WAITING.name]);
        let report = OrcaLoadReport {
            application_utilization: wrong,
            cpu_utilization: 0.5,
            rps_fractional: 1.0,
            eps: wrong,
            ..Default::default()
        };
        let doubted = ["application_utilization", "eps"];
        check(&report, |heard| (heard.load_known, heard.running, heard.waiting) = (true, 1, 1), &doubted);
    }
}

#[test]
fn the_model_comes_from_elsewhere_and_is_cut_like_any() {
    let model = v1::ModelDescription { name: "m".repeat(1000), ..Default::default() };
    let circumstances = Circumstances { interval: INTERVAL, model: Some(model) };
    let (heard, _) = Heard::from_orca(&OrcaLoadReport::default(), circumstances);
    assert_eq!(heard.model.map(|model| model.name.len()), Some(256));
    assert_eq!(heard.interval, INTERVAL);
    let report = named(&[(orca::INTERVAL_SECONDS.name, 1e9)]);
    check(&report, |_| {}, &[orca::INTERVAL_SECONDS.name]);
}
