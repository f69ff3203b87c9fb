//! The command as it is typed: what it refuses, and how it ends.

use std::io;
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
