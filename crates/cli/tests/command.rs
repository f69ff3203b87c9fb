//! The command as it is typed: what it refuses, and how it ends.

use std::fs;
use std::io::{self, BufRead as _};
use std::path::Path;
use std::process::{Command, Stdio};

fn causeway(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_causeway"));
    command.args(arguments).stdin(Stdio::null());
    command
}

#[test]
fn what_cannot_be_meant_is_refused_by_name() {
    let check = |arguments: &[&str], named: &str| {
        let output = causeway(arguments).output().expect("the command runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(named), "{arguments:?} should name {named:?}: {said}");
    };
    check(&["ask", "hi", "--socket", "nowhere.sock", "--policy", "mine.toml"], "--policy");
    check(&["ask", "hi", "--socket", "nowhere.sock", "--edge-model", "mine.gguf"], "--edge-model");
    check(&["ask", "hi", "--max-tokens", "-1"], "--max-tokens");
    check(&["model", "eval", "--items", "0"], "at least 1");
    check(&["bench", "inference", "--model", "nowhere.gguf"], "nowhere.gguf");
    check(&["bench", "inference", "--model", ".", "--against", "nowhere"], ".gguf");
    check(&["bench", "inference", "--model", ".", "--foreign-max", "2"], "share");
    check(&["model", "outcomes", "--items", "0", "--out", "nowhere.jsonl"], "at least 1");
}

#[test]
fn a_reader_that_has_gone_ends_it_without_a_word() {
    let (reader, writer) = io::pipe().expect("a pipe");
    drop(reader);
    let output = causeway(&["signals", "show", "Turn on the lamp"])
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .expect("the command runs");
    assert_eq!(output.status.code(), Some(141));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_termination_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let deploy = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy");
    let mut up = causeway(&["--deploy", deploy, "up"])
        .env("TMPDIR", folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the command runs");
    let mut line = String::new();
    let mut said = io::BufReader::new(up.stdout.take().expect("piped"));
    said.read_line(&mut line).expect("it says where it listens");
    assert!(line.contains("edge agent"), "{line}");
    assert!(fs::read_dir(folder.path()).expect("a folder").next().is_some(), "it has a folder of its own");
    let told = Command::new("kill").args(["-TERM", &up.id().to_string()]).status().expect("kill runs");
    assert!(told.success());
    up.wait().expect("it ends");
    let left: Vec<_> = fs::read_dir(folder.path()).expect("a folder").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_engine_is_measured_beside_another_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let shipped =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/models/device/causeway-device-q4_0.gguf");
    let model = folder.path().join("model.gguf");
    fs::copy(shipped, &model).expect("the device's model");
    let model = model.to_str().expect("text");
    let other = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doubles/llama-bench");
    let asked = ["bench", "inference", "--quick", "--json", "--foreign-max", "1"];
    let output = causeway(&asked).args(["--model", model, "--against", other]).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let table: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for key in ["/decode/batch_1/ratio", "/decode/batch_16/ratio", "/prefill/p512/ratio", "/memory/ratio"] {
        assert!(table.pointer(key).and_then(serde_json::Value::as_f64).is_some_and(|n| n > 0.0), "{key}");
    }
}

#[test]
fn the_tour_ends_as_its_answers_are() {
    let shipped = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy"));
    let deploy = tempfile::tempdir().expect("a folder");
    for part in ["homes", "models", "policies"] {
        std::os::unix::fs::symlink(
            shipped.join(part).canonicalize().expect("shipped"),
            deploy.path().join(part),
        )
        .expect("a link");
    }
    let lamp = |said: &str, place: &str| {
        format!(
            "[[stop]]\nsay = {said:?}\naction = \"turn_on\"\nentity = \"kitchen_lamp\"\nplace = {place:?}\n"
        )
    };
    let check = |stops: &[String], code: i32, right: usize| {
        fs::write(deploy.path().join("tour.toml"), format!("seed = 1\n{}", stops.concat())).expect("written");
        let folder = deploy.path().to_str().expect("text");
        let output = causeway(&["--deploy", folder, "up", "--tour-only"]).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{said}{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.contains(&format!("{right} of {} right", stops.len())), "{said}");
    };
    let good = lamp("Turn on the kitchen lamp", "command");
    check(std::slice::from_ref(&good), 0, 1);
    // Answered, but not from where it has to be.
    check(&[lamp("Turn on the kitchen lamp", "cloud-fast"), good.clone()], 1, 1);
    // Refused: nothing was asked.
    check(&[lamp("", "command"), good], 1, 1);
}
