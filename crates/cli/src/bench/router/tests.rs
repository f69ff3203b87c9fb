use std::time::Duration;

use bytes::Bytes;
use proto::v1;
use proto::v1::generate_event::Event;

use super::cores::on_core;
use super::phase::{Phase, Run};
use super::report::Report;
use super::results::Results;
use super::targets::targets;
use super::way::{COMPARED, SWITCHED, Way};
use super::wire::{self, Reading, Template};

fn delta(first_token_index: u32, ids: &[u32]) -> Bytes {
    let delta = v1::Delta { token_ids: ids.to_vec(), first_token_index, ..v1::Delta::default() };
    wire::event(Event::Delta(delta))
}

fn started() -> Bytes {
    wire::event(Event::Started(v1::Started { place: "small/w0".into(), ..v1::Started::default() }))
}

fn done() -> Bytes {
    wire::event(Event::Done(v1::Done::default()))
}

#[test]
fn messages_are_counted_however_they_are_cut() {
    let all = [started(), delta(0, &[0]), delta(1, &[1, 2]), done()].concat();
    for cut in 1..all.len() {
        let mut reading = Reading::default();
        reading.kept = Some(Vec::new());
        for part in all.chunks(cut) {
            reading.take(Bytes::copy_from_slice(part));
        }
        assert_eq!((reading.deltas, reading.done, reading.bytes), (2, true, all.len()), "cut by {cut}");
        reading.check(3).unwrap();
    }
}

#[test]
fn an_answer_with_a_token_lost_twice_or_missing_is_refused() {
    let check = |frames: &[Bytes], holds: bool| {
        let mut reading = Reading::default();
        reading.kept = Some(Vec::new());
        frames.iter().for_each(|frame| reading.take(frame.clone()));
        assert_eq!(reading.check(3).is_ok(), holds, "{frames:?}");
    };
    check(&[started(), delta(0, &[0, 1, 2]), done()], true);
    check(&[started(), delta(0, &[0, 1]), done()], false);
    check(&[started(), delta(0, &[0]), delta(2, &[2]), done()], false);
    check(&[started(), delta(0, &[0, 1]), delta(1, &[1, 2]), done()], false);
    check(&[delta(0, &[0, 2, 1]), done()], false);
}

#[test]
fn each_request_has_an_id_of_its_own_and_the_signals_of_an_agent() {
    let template = Template::new(true, 0);
    let read = |number| wire::message::<v1::GenerateRequest>(&template.numbered(number)).unwrap();
    let (first, later) = (read(1), read(0xabc));
    assert_eq!(
        (first.request_id.as_str(), later.request_id.as_str()),
        ("0000000000000001", "0000000000000abc")
    );
    assert_eq!(first.turns, later.turns);
    assert!(
        first.signals.is_some_and(|signals| !signals.requirement.is_empty() && signals.prompt_tokens > 0)
    );
    let bare = Template::new(false, 0).numbered(1);
    assert!(wire::message::<v1::GenerateRequest>(&bare).unwrap().signals.is_none());
}

#[test]
fn a_schedstat_begins_with_time_on_a_core() {
    assert_eq!(on_core("1500 20 3\n"), Some(Duration::from_nanos(1500)));
    assert_eq!(on_core(""), None);
}

/// A run of a thousand answers with this processor time for each, times and lateness.
fn run(cpu_us: f64, times: Option<([f64; 2], [f64; 2])>) -> Run {
    Run { cpu_us: cpu_us * 1e3, answers: 1e3, chunks: 1e3, seconds: 1.0, times, ..Run::default() }
}

#[test]
fn runs_in_which_the_load_was_late_are_dropped_where_others_are_left() {
    let sound = Some(([100.0, 300.0], [10.0, 90.0]));
    let late = Some(([900.0, 3000.0], [10.0, 1100.0]));
    let way = COMPARED[0];
    let mut results = Results::default();
    results.add(way, Phase::UnaryAtRate, run(1.0, late));
    let all_late = results.of(way.key(), Phase::UnaryAtRate).unwrap();
    assert_eq!((all_late.times, all_late.runs, all_late.disturbed), (Some([900.0, 3000.0]), 1, true));
    results.add(way, Phase::UnaryAtRate, run(1.0, sound));
    let one_left = results.of(way.key(), Phase::UnaryAtRate).unwrap();
    assert_eq!((one_left.times, one_left.dropped, one_left.disturbed), (Some([100.0, 300.0]), 1, false));
}

#[test]
fn targets_compare_with_the_same_run() {
    let mut results = Results::default();
    let way = |key: &str| COMPARED.into_iter().find(|way| way.key() == key).unwrap();
    for (key, cpu_us) in [("forwarder", 16.0), ("router", 33.0), ("router_mtls", 46.0)] {
        results.add(way(key), Phase::Unary, run(cpu_us, None));
    }
    let found = targets(&results);
    let of = |name: &str| {
        let target = found.iter().find(|target| target.name == name).unwrap();
        (target.measured, target.is_met())
    };
    assert_eq!(of("a short answer, above the forwarder"), (Some(17.0), Some(true)));
    assert_eq!(of("the same with mTLS and traces"), (Some(30.0), Some(false)));
    assert_eq!(of("added median time, over HAProxy's"), (None, None));
}

#[test]
fn what_is_held_counts_without_its_own_question_and_answer() {
    let mut results = Results::default();
    let router = COMPARED[4];
    let held = Run { memory: Some([30.0, 50.0]), own_bytes: 2048.0, ..Run::default() };
    results.add(router, Phase::Memory, held);
    let each = results.of(router.key(), Phase::Memory).unwrap().kib_each.unwrap();
    assert!((each[0] - 20.0 * 1.024).abs() < 1e-9 && (each[1] - 2.0).abs() < 1e-9, "{each:?}");
}

#[test]
fn every_way_has_its_row_and_every_number_its_name() {
    let ways: Vec<Way> = COMPARED.into_iter().chain(SWITCHED).collect();
    let mut results = Results::default();
    let times = Some(([100.0, 300.0], [10.0, 90.0]));
    for way in &ways {
        results.add(*way, Phase::Unary, run(20.0, None));
        results.add(*way, Phase::UnaryAtRate, run(20.0, times));
        results.add(*way, Phase::Stream, run(1.0, None));
        results.add(*way, Phase::StreamAtRate, run(20.0, times));
    }
    let report = Report { results: &results, ways: &ways, peers: &[] };
    let json = report.json();
    for group in ["grpc_unary", "grpc_stream"] {
        for way in ["router", "router_mtls", "forwarder", "direct", "nginx", "haproxy"] {
            let row = &json[group][way];
            for name in ["cpu_us", "cpu_us_per_chunk", "p50_us", "p99_us", "rss_mib", "lateness_p99_us"] {
                assert!(row.get(name).is_some(), "{group}.{way}.{name}");
            }
            assert_eq!(row["cpu_us"].is_null(), way == "direct", "there is no process in between");
        }
    }
    let mut text = Vec::new();
    report.print(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(ways.iter().all(|way| text.contains(way.key())), "{text}");
}

#[test]
fn the_total_of_instructions_is_found() {
    assert_eq!(super::instructions::total("events: Ir\nsummary: 12\n\ntotals: 1234 5\n"), Some(1234.0));
    assert_eq!(super::instructions::total("events: Ir\n"), None);
}
