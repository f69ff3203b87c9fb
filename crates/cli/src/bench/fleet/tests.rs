//! Simulated workers keep time and count, and predictions of them come true.

use std::path::Path;

use router::predict::Predictor;

use super::kind::{GPUS, Kind, Step};
use super::machine::{Came, Machine, Sequence};
use super::replay::{Replayed, replay};
use super::trace::{self, Request};
use super::{Way, run};
use crate::bench::args::Fleet;

fn kind() -> Kind {
    Kind::new(GPUS[0], 2, vec![(1, 0.5), (512, 1.5), (1024, 3.0)])
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn errors(replayed: &Replayed) -> [f64; 2] {
    let off = |predicted: f64, seen: f64| (predicted - seen).abs() / seen;
    let all = replayed.outcomes.iter();
    let first = all.clone().filter_map(|one| Some(off(one.predicted?.0, one.first))).collect();
    let token = all.filter_map(|one| Some(off(one.predicted?.1, one.token?))).collect();
    [median(first), median(token)]
}

#[test]
fn a_step_takes_longer_the_more_it_does() {
    let kind = kind();
    let seconds = |tokens, context, pairs| kind.seconds(Step { tokens, context, pairs });
    assert!(seconds(1, 0, 0.0) < seconds(256, 0, 0.0));
    assert!((seconds(512, 0, 0.0) - 0.003 - 48.0 * 0.0015).abs() < 1e-9);
    assert!(seconds(1, 0, 0.0) < seconds(1, 100_000, 0.0));
    assert!(seconds(1, 0, 0.0) < seconds(1, 0, 1e6));
}

#[test]
fn every_token_of_every_request_comes_once() {
    let mut machine = Machine::new(kind(), 1);
    let wanted = [(0, 1200, 5), (1, 3, 1), (2, 700, 300)];
    for (request, prompt, output) in wanted {
        machine.arrive(Sequence::new(request, prompt, 0, output));
    }
    let mut came = Vec::new();
    let mut steps = 0;
    while machine.begin().is_some() {
        machine.end(&mut came);
        steps += 1;
    }
    // 1,903 prompt tokens beside what decodes take four steps of 512; the last prompt is done with them.
    assert_eq!(steps, 4 + 299);
    assert_eq!(machine.said().queued_tokens, 0);
    for (request, _, _) in wanted {
        let count = |event| came.iter().filter(|one| **one == event).count();
        assert_eq!((count(Came::First(request)), count(Came::Last(request))), (1, 1));
    }
}

#[test]
fn the_same_seed_replays_the_same_and_another_does_not() {
    let requests = trace::made_up(300, 3);
    let kinds = trace::fleet(None).unwrap();
    let run = |seed| replay(&requests, 1.0, &kinds, Way::Predicted, seed).outcomes;
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn predictions_come_true_on_an_uneven_fleet() {
    let requests = trace::made_up(4_000, 3);
    let kinds = trace::fleet(None).unwrap();
    for way in Way::ALL {
        let [first, token] = errors(&replay(&requests, 1.0, &kinds, way, 5));
        assert!(first < 0.12 && token < 0.12, "{}: {first} {token}", way.name());
    }
}

#[test]
fn a_cold_worker_gets_work_but_no_flood() {
    // All come at once: nothing is known but what the workers state of themselves.
    let one = Request { t_ms: 3_000.0, input_tokens: 500, output_tokens: 100, prefix_blocks: Vec::new() };
    let kinds = trace::fleet(None).unwrap();
    let outcomes = replay(&vec![one; 120], 1.0, &kinds, Way::Predicted, 5).outcomes;
    for worker in 0..kinds.len() {
        let here = outcomes.iter().filter(|one| one.worker == worker).count();
        assert!((1..=60).contains(&here), "worker {worker} got {here} of 120");
    }
}

#[test]
fn pool_of_nobody_is_nothing() {
    assert_eq!(super::choose::pool(&[]).rates, None);
    assert_eq!(super::choose::pool(&[Predictor::new()]).rates, None);
}

#[test]
fn it_says_when_the_data_is_not_there() {
    let asked = |json| Fleet {
        data: Some("/nowhere".into()),
        trace: None,
        pace: Some(1.0),
        way: Some(Way::Predicted),
        requests: Some(200),
        caches: None,
        seed: 7,
        json,
    };
    let mut out = Vec::new();
    run(&asked(false), &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.starts_with("/nowhere: there is no folder `traces` in it."), "{text}");
    let mut out = Vec::new();
    run(&asked(true), &mut out).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!((&json["recorded"], &json["rows"][0]["trace"]), (&false.into(), &"made_up".into()));
    let wrong = Fleet { trace: Some("azur".into()), ..asked(false) };
    assert!(run(&wrong, &mut Vec::new()).unwrap_err().to_string().contains("`made_up`"));
    assert!(trace::recorded(Path::new("/nowhere"), "x").is_err());
}
