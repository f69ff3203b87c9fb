//! What a replay says of policies that change nothing, of those that do, and of estimates that are wrong.

use super::{assert_code, json, shipped, typed, written};
use crate::policy::{read, sample};

/// A log of the demo's policy, with so much chance in it.
fn log(
    lines: usize,
    explore: f64,
    change: impl Fn(&mut ::policy::DecisionLine),
) -> (tempfile::TempDir, String) {
    let rules = read::sound_rules(std::path::Path::new(&shipped("demo.toml"))).expect("demo");
    let text: String = sample::lines(&rules, 7, explore)
        .take(lines)
        .map(|mut line| {
            change(&mut line);
            line.to_json() + "\n"
        })
        .collect();
    written("log.jsonl", &text)
}

#[test]
fn the_same_policy_changes_nothing_to_the_last_bit() {
    let (_folder, log) = log(300, 0.0, |_| {});
    let demo = shipped("demo.toml");
    for against in [&[][..], &["--against", &demo]] {
        let mut words = vec!["replay", &log, "--policy", &demo, "--resamples", "50", "--json"];
        words.extend(against);
        let (report, code) = json(&words);
        assert_code(code, 0, "replay");
        assert_eq!((&report["requests"], &report["moved"]), (&300.into(), &0.into()));
        assert_eq!((&report["same_policy"], &report["same_policy_otherwise"]), (&300.into(), &0.into()));
        for figure in ["usd", "seconds", "right"] {
            let figure = &report["figures"][figure];
            assert_eq!(figure["before"], figure["after"], "{figure}");
            assert_eq!(figure["change"], serde_json::json!({ "mean": 0.0, "low": 0.0, "high": 0.0 }));
        }
        assert_eq!(json(&words).0, report, "the same command prints the same");
    }
}

#[test]
fn a_dearer_mistake_moves_requests_up_and_says_so() {
    let (_folder, log) = log(400, 0.0, |_| {});
    let demo = std::fs::read_to_string(shipped("demo.toml")).expect("demo");
    let (_other, new) =
        written("new.toml", &demo.replace("wrong_answer_usd = 0.001", "wrong_answer_usd = 0.2"));
    let html = tempfile::NamedTempFile::new().expect("a file");
    let page = html.path().display().to_string();
    let words = [
        "replay",
        &log,
        "--policy",
        &new,
        "--against",
        &shipped("demo.toml"),
        "--resamples",
        "200",
        "--html",
        &page,
    ];
    let (printed, code) = typed(&words);
    assert_code(code, 0, &printed);
    let (report, _) = json(&[&words[..], &["--json"]].concat());
    assert!(report["moved"].as_u64() > Some(20), "{report:#}");
    let expected = &report["figures"]["right"]["expected"];
    assert!(expected["after"].as_f64() > expected["before"].as_f64(), "{report:#}");
    assert!(report["figures"]["usd"]["change"]["low"].as_f64() > Some(0.0), "{report:#}");
    assert!(printed.contains("Chance had no part in the log"), "{printed}");
    let html = std::fs::read_to_string(html.path()).expect("the page");
    assert!(html.matches("<svg").count() == 4 && html.contains("How this is known"), "{html}");
}

#[test]
fn where_chance_had_a_part_what_was_seen_mends_what_was_expected() {
    // In truth the economical tier never gets anything right, which no estimate knows.
    let (_folder, log) = log(4000, 0.6, |line| {
        let economy = line.place.as_ref().is_some_and(|place| place.starts_with("cloud-economy"));
        if let Some(outcome) = line.outcome.as_mut().filter(|_| economy) {
            outcome.right = Some(false);
        }
    });
    let demo = std::fs::read_to_string(shipped("demo.toml")).expect("demo");
    let only = "wrong_answer_usd = 0.001\ntiers_only = [\"cloud-economy\"]";
    let (_other, new) = written("new.toml", &demo.replace("wrong_answer_usd = 0.001", only));
    let words = ["replay", &log, "--policy", &new, "--resamples", "200", "--json"];
    let (report, _) = json(&words);
    assert_eq!(report["method"], "doubly_robust");
    let right = &report["figures"]["right"];
    let (mended, expected) = (right["after"]["mean"].as_f64(), right["expected"]["after"].as_f64());
    assert!(expected > Some(0.5), "{right:#}");
    assert!(mended < Some(0.15) && right["seen"]["after"].as_f64() < Some(0.15), "{right:#}");
    // What was done is what was seen: chance has no say in it.
    let gap = right["before"]["mean"].as_f64().zip(right["seen"]["before"].as_f64());
    assert!(gap.is_some_and(|(mean, seen)| (mean - seen).abs() < 0.02), "{right:#}");
}

#[test]
fn names_in_a_log_cannot_write_the_page() {
    let (_folder, log) = log(20, 0.0, |line| {
        for candidate in &mut line.record.candidates {
            candidate.tier = "<script>".into();
        }
    });
    let html = tempfile::NamedTempFile::new().expect("a file");
    let page = html.path().display().to_string();
    typed(&["replay", &log, "--policy", &shipped("demo.toml"), "--resamples", "10", "--html", &page]);
    assert!(!std::fs::read_to_string(html.path()).expect("the page").contains("<script"));
}

#[test]
fn a_log_that_says_otherwise_than_its_policy_is_not_passed_over() {
    let (_folder, log) = log(50, 0.0, |line| {
        let other = line.record.candidates.iter().find(|one| Some(&one.place) != line.place.as_ref());
        line.place = other.map(|one| one.place.clone());
    });
    let (report, code) =
        json(&["replay", &log, "--policy", &shipped("demo.toml"), "--resamples", "10", "--json"]);
    assert_code(code, 1, "the log was changed");
    assert_eq!((&report["same_policy_otherwise"], &report["same_policy_by_chance"]), (&50.into(), &0.into()));
    let (_folder, chance) = super::replays::log(50, 1.0, |_| {});
    let (report, code) =
        json(&["replay", &chance, "--policy", &shipped("demo.toml"), "--resamples", "10", "--json"]);
    assert_code(code, 0, "chance is said");
    assert!(report["same_policy_by_chance"].as_u64() > Some(0), "{report:#}");
}

#[test]
fn a_log_that_was_bound_replays_as_its_lines_do() {
    let (folder, log) = log(60, 0.0, |_| {});
    let bound = folder.path().join("log.parquet");
    let open = |file: &str| std::fs::File::open(file).expect("readable");
    hop::bound::bind(&open(&log), &std::fs::File::create(&bound).expect("written")).expect("bound");
    let (demo, bound) = (shipped("demo.toml"), bound.display().to_string());
    let replay = |log: &str| {
        let (mut report, code) = json(&["replay", log, "--policy", &demo, "--resamples", "50", "--json"]);
        assert_code(code, 0, "replay");
        report["log"] = serde_json::Value::Null;
        report
    };
    assert_eq!(replay(&bound), replay(&log));
}
