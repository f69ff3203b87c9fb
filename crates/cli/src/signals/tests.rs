//! Measures on small files, and what is said of files that are not as a task needs them.

use std::io::Write as _;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use tempfile::TempDir;

use super::eval;
use crate::args::EvalTask;

fn file(folder: &TempDir, name: &str, lines: &[&str]) -> PathBuf {
    let path = folder.path().join(name);
    let text = lines.join("\n");
    let bytes = if name.ends_with(".gz") {
        let mut zipped = GzEncoder::new(Vec::new(), Compression::fast());
        zipped.write_all(text.as_bytes()).expect("memory");
        zipped.finish().expect("memory")
    } else {
        text.into_bytes()
    };
    std::fs::write(&path, bytes).expect("a file");
    path
}

fn measured(task: EvalTask, files: &[PathBuf]) -> Result<Value, String> {
    let mut out = Vec::new();
    eval(task, files, true, &mut out).map_err(|error| format!("{error:#}"))?;
    Ok(serde_json::from_slice(&out).expect("one object"))
}

#[test]
fn several_files_zipped_or_not_are_one_set() {
    let folder = TempDir::new().expect("a folder");
    let plain =
        file(&folder, "in.jsonl", &[r#"{"text":"how do you say cat in french","intent":"translate"}"#, ""]);
    let zipped = file(&folder, "out.jsonl.gz", &[r#"{"text":"zzz qqq vvv","intent":"oos"}"#]);
    let told = measured(EvalTask::Intent, &[zipped, plain]).expect("measures");
    assert_eq!(told["rows"], 2);
    assert_eq!((&told["in_scope_accuracy"], &told["out_of_scope_recall"]), (&1.0.into(), &1.0.into()));
    assert_eq!(told["auroc"], 1.0);
    assert!(told["micros_p50"].as_f64().is_some_and(|micros| micros > 0.0));
    assert!(told["span_recall"].is_null() && told["recall"].is_null());
}

#[test]
fn spans_are_counted_by_type_and_place() {
    let folder = TempDir::new().expect("a folder");
    let lines = [
        r#"{"text":"für a@b.org und c@d.org","spans":[{"type":"EMAIL_ADDRESS","start":4,"end":11}]}"#,
        r#"{"text":"turn on the light","intent":"iot_hue_lighton"}"#,
    ];
    let told = measured(EvalTask::Pii, &[file(&folder, "spans.jsonl", &lines)]).expect("measures");
    assert_eq!((&told["span_precision"], &told["span_recall"]), (&0.5.into(), &1.0.into()));
    assert_eq!(told["false_positive_rate"], 0.0);
}

#[test]
fn subjects_and_languages_are_measured() {
    let folder = TempDir::new().expect("a folder");
    let lines = [
        r#"{"text":"What are the symptoms of measles ?","topic":"medical","kind":"symptoms"}"#,
        r#"{"text":"turn on the light","intent":"iot_hue_lighton"}"#,
    ];
    let told = measured(EvalTask::Safety, &[file(&folder, "safety.jsonl", &lines)]).expect("measures");
    assert_eq!((&told["recall"], &told["false_positive_rate"]), (&1.0.into(), &0.0.into()));
    let lines = [r#"{"text":"schalte das Licht in der Küche ein","lang":"de"}"#];
    let told = measured(EvalTask::Language, &[file(&folder, "lang.jsonl", &lines)]).expect("measures");
    assert_eq!(told["accuracy"], 1.0);
}

#[test]
fn a_row_that_a_task_cannot_use_is_named_by_file_and_line() {
    let folder = TempDir::new().expect("a folder");
    let good = r#"{"text":"what is my balance","intent":"balance"}"#;
    let check = |task: EvalTask, line: &str, said: &str| {
        let path = file(&folder, "bad.jsonl", &[good, line]);
        let error = measured(task, &[path]).expect_err("refused");
        assert!(error.contains("bad.jsonl:2") && error.contains(said), "{error}");
    };
    check(EvalTask::Intent, r#"{"text":"hello"}"#, "`intent`");
    check(EvalTask::Intent, r#"{"intent":"balance"}"#, "`text`");
    check(EvalTask::Intent, r#"{"text":"hello","intent":"no_such"}"#, "no_such");
    check(EvalTask::Pii, r#"{"text":"hello"}"#, "spans");
    check(EvalTask::Pii, r#"{"text":"é","spans":[{"type":"AGE","start":0,"end":2}]}"#, "0 to 2");
    check(EvalTask::Pii, r#"{"text":"x","spans":[{"start":0,"end":1}]}"#, "type");
    check(EvalTask::Safety, r#"{"text":"hello","label":"odd"}"#, "odd");
    let path = file(&folder, "lang.jsonl", &[r#"{"text":"hello","lang":7}"#]);
    let error = measured(EvalTask::Language, &[path]).expect_err("refused");
    assert!(error.contains("lang.jsonl:1"), "{error}");
    check(EvalTask::Pii, "[1]", "object");
    check(EvalTask::Pii, r#"{"text":"#, "EOF");
    assert!(measured(EvalTask::Pii, &[folder.path().join("none.jsonl")]).is_err());
    assert!(measured(EvalTask::Pii, &[file(&folder, "empty.jsonl", &[])]).is_err());
}
