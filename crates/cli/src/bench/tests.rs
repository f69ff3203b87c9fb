use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::other::{self, LlamaCpp, Repack};
use super::own::Own;
use super::report::Report;
use super::rounds::{Rounds, Row, Runs, Spread};
use super::task::{self, Task};
use super::watch::{self, Watched};
use inference::speed::Limits;

const LIMITS: Limits = Limits { bytes_per_second: 1e9, operations_per_second: Some(2.4e9) };

#[test]
fn what_llama_bench_prints_is_read_or_refused() {
    let check = |task: Task, text: &str, expect: Option<&[f64]>| {
        assert_eq!(other::read(task, text).ok().as_deref(), expect, "{text}");
    };
    let single = Task::Prefill(512);
    check(single, r#"[{"samples_ts": [1.5, 2.5], "more": null}]"#, Some(&[1.5, 2.5]));
    check(single, "ggml: a warning\n[\n{\"samples_ts\": [7]}\n]\nbye", Some(&[7.0]));
    check(single, r#"[{"samples_ts": []}]"#, None);
    check(single, r#"[{"samples_ts": [0.0]}]"#, None);
    check(single, r#"[{"samples_ts": [1.0]}, {"samples_ts": [2.0]}]"#, None);
    check(single, r#"[{"samples": [1.0]}]"#, None);
    check(single, r#"[{"samples_ts": [1.0]"#, None);
    check(single, "error: failed to load the model", None);
    let batch = Task::Decode(4);
    check(batch, "\n{\"pl\": 4, \"speed_tg\": 5.5}\nllama_perf: text", Some(&[5.5]));
    check(batch, "{\"pl\": 16, \"speed_tg\": 5.5}", None);
    check(batch, "| 32 | 8 | 4 |", None);
}

#[test]
fn what_the_system_says_of_processes_is_read() {
    let stat = "cpu  10 20 30 4000 500 6 7 8 90 0\ncpu0 1 2 3\n";
    assert_eq!(watch::busy_ticks(stat), Some(81.0));
    assert_eq!(watch::busy_ticks("cpu  10"), None);
    let own = "7 (a name) with) R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 20 0\n";
    assert_eq!(watch::own_ticks(own), Some(f64::from(11 + 12 + 13 + 14)));
    assert_eq!(watch::own_ticks("7 (x) R 1"), None);
    assert_eq!(watch::peak("Name: x\nVmHWM:\t    2048 kB\nVmRSS: 1 kB\n"), Some(2.0));
    assert_eq!(watch::peak("Name: x\n"), None);
}

#[test]
fn a_run_beside_foreign_work_does_not_count() {
    let watched =
        |foreign| Watched { printed: String::new(), wall: Duration::from_secs(3), peak_mib: 7.0, foreign };
    let check = |task: Task, foreign: f64, values: &[f64], dropped: usize| {
        let mut runs = Runs::default();
        runs.add(0.05, task, (&watched(foreign), &[4.0, 5.0, 60.0]));
        assert_eq!((runs.values.as_slice(), runs.dropped), (values, dropped), "{task:?} beside {foreign}");
    };
    check(Task::Decode(1), 0.0, &[5.0], 0);
    check(Task::Decode(1), 0.05, &[5.0], 0);
    check(Task::Decode(1), 0.051, &[], 1);
    check(Task::FirstToken, 0.0, &[3.0], 0);
    check(Task::FirstToken, 0.9, &[], 1);
    // What other processes do does not show in this one's memory.
    check(Task::Memory, 0.9, &[7.0], 0);
}

#[test]
fn the_median_and_the_ends_are_of_what_counts() {
    let check = |values: &[f64], expect: Option<[f64; 3]>| {
        let spread = Spread::of(values).map(|spread| [spread.median, spread.min, spread.max]);
        assert_eq!(spread, expect, "{values:?}");
    };
    check(&[], None);
    check(&[2.0], Some([2.0, 2.0, 2.0]));
    check(&[9.0, 1.0, 2.0], Some([2.0, 1.0, 9.0]));
    check(&[9.0, 1.0, 2.0, 4.0], Some([3.0, 1.0, 9.0]));
}

#[test]
fn the_ratio_is_to_the_better_of_the_other_engines_ways() {
    let runs = |value: f64| Runs { values: vec![value], ..Runs::default() };
    let check = |task: Task, own: f64, others: [f64; 2], ratio: f64| {
        let others = Some(others.map(runs));
        let row = Row { task, own: runs(own), others, why: None, said: None, loads: Vec::new() };
        assert_eq!(row.ratio(), Some(ratio), "{task:?}");
    };
    check(Task::Decode(1), 30.0, [10.0, 20.0], 1.5);
    check(Task::Prefill(512), 30.0, [60.0, 20.0], 0.5);
    check(Task::Memory, 30.0, [60.0, 20.0], 1.5);
    check(Task::FirstToken, 30.0, [15.0, 20.0], 2.0);
}

fn doubles(model: &Path) -> Rounds {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doubles"));
    let own = Own {
        program: folder.join("causeway"),
        model: model.to_path_buf(),
        threads: 2,
        form: None,
        device: inference::Device::Cpu,
        packed_cache: None,
    };
    let other = LlamaCpp {
        bench: folder.join("llama-bench"),
        batched: Some(folder.join("llama-batched-bench")),
        model: model.to_path_buf(),
        threads: 2,
    };
    // Other processes are this machine's matter, not the test's.
    Rounds { own, other: Some(other), quick: true, foreign_max: 1.0 }
}

#[test]
fn the_engines_take_turns() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = folder.path().join("model.gguf");
    let mut rounds = doubles(&model);
    let row = rounds.row(Task::Decode(1)).expect("measures");
    assert_eq!(row.own.values, [300.0, 300.0]);
    assert_eq!(row.ratio(), Some(2.0), "the better way is 150");
    let called = fs::read_to_string(folder.path().join("model.gguf.log")).expect("calls");
    let called: Vec<&str> = called.lines().collect();
    let single =
        |repack: &str| format!("llama-bench -m {} -o json -t 2 -r 3 -p 0 -n 64{repack}", model.display());
    let once = ["ours decode.batch_1".to_owned(), single(""), single(" --repack 0")];
    assert_eq!(called, [once.clone(), once].concat());
    let row = rounds.row(Task::Decode(16)).expect("measures");
    assert_eq!(row.ratio(), Some(1.5), "the better way is the default's 200");
}

#[test]
fn disturbed_runs_are_tried_again_and_then_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut rounds = doubles(&folder.path().join("model.gguf"));
    rounds.foreign_max = -1.0;
    let row = rounds.row(Task::Decode(1)).expect("measures");
    assert_eq!((row.own.values.len(), row.own.dropped), (0, 6));
    assert_eq!(row.ratio(), None);
    assert!(row.missing().is_some_and(|why| why.contains("disturbed")));
}

#[test]
fn a_missing_program_of_the_other_engine_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut rounds = doubles(&folder.path().join("model.gguf"));
    let other = rounds.other.as_mut().expect("there is one");
    other.batched = None;
    assert!(other.command(Task::Decode(1), Repack::Off).is_ok());
    let row = rounds.row(Task::Decode(4)).expect("ours is measured");
    assert_eq!(row.own.values, [300.0, 300.0]);
    assert!(row.missing().is_some_and(|why| why.contains("llama-batched-bench")));
    assert_eq!(row.ratio(), None);
}

#[test]
fn rows_stand_in_the_json_by_their_keys_and_in_the_table() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut rounds = doubles(&folder.path().join("model.gguf"));
    let rows: Vec<Row> = task::all(true).map(|task| rounds.row(task).expect("measures")).collect();
    let report = Report { rounds: &rounds, rows: &rows, limits: LIMITS, first_load: 2.0 };
    let json = report.json();
    for key in
        ["decode/batch_1", "decode/batch_16", "prefill/p512", "decode/contended", "first_token", "memory"]
    {
        let row = json.pointer(&format!("/{key}")).expect("a row");
        for field in ["ratio", "ours/median", "llama_cpp/median", "llama_cpp_no_repack/median"] {
            let value = row.pointer(&format!("/{field}")).and_then(serde_json::Value::as_f64);
            assert!(value.is_some(), "{key}/{field} in {row}");
        }
    }
    assert_eq!(json.pointer("/decode/batch_1/bandwidth_share"), Some(&0.3.into()));
    assert_eq!(json.pointer("/prefill/p512/arithmetic_share"), Some(&0.5.into()));
    assert_eq!(json.pointer("/load/packed/median"), Some(&0.5.into()));
    let mut table = Vec::new();
    report.print(&mut table).expect("prints");
    let table = String::from_utf8(table).expect("text");
    assert!(table.contains("decode.batch_16"), "{table}");
    assert!(table.contains("30 % of bandwidth"), "{table}");
}

#[test]
fn every_row_is_found_by_its_key() {
    for task in task::all(false) {
        assert_eq!(Task::parse(&task.key()), Ok(task));
    }
    assert!(Task::parse("decode.batch_2").is_err());
}
