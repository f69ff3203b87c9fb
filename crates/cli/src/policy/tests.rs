//! The commands as they are typed: what they print, how they end, and that the page in `docs` says what they say.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser as _;
use serde_json::Value;

use super::log::Log;
use super::sample;
use crate::args::{Arguments, Command};
use crate::deploy::Deploy;

mod page;
mod replays;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Runs `causeway policy …` and gives what it printed and how it ended.
fn typed(words: &[&str]) -> (String, ExitCode) {
    let all = ["causeway", "policy"].iter().chain(words);
    let arguments = Arguments::try_parse_from(all).unwrap_or_else(|error| panic!("{error}"));
    let Command::Policy(command) = arguments.command else { panic!("not a policy command") };
    let deploy = Deploy::find(Some(root().join("deploy"))).expect("the deploy folder");
    let mut out = Vec::new();
    let code = super::run(&deploy, command, &mut out).unwrap_or_else(|error| panic!("{words:?}: {error:#}"));
    (String::from_utf8(out).expect("text"), code)
}

fn json(words: &[&str]) -> (Value, ExitCode) {
    let (text, code) = typed(words);
    (serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")), code)
}

/// A policy of `deploy/policies`.
fn shipped(name: &str) -> String {
    root().join("deploy/policies").join(name).display().to_string()
}

fn written(name: &str, text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join(name);
    std::fs::write(&file, text).expect("a file");
    let shown = file.display().to_string();
    (folder, shown)
}

const SUCCESS: ExitCode = ExitCode::SUCCESS;

fn assert_code(is: ExitCode, wanted: u8, what: &str) {
    assert_eq!(format!("{is:?}"), format!("{:?}", ExitCode::from(wanted)), "{what}");
}

#[test]
fn every_shipped_policy_is_sound_and_its_probes_pass_and_reach_every_class() {
    let mut tried = 0;
    for entry in std::fs::read_dir(root().join("deploy/policies")).expect("the policies") {
        let file = entry.expect("an entry").path();
        if file.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let file = file.display().to_string();
        let (report, code) = json(&["check", &file, "--json"]);
        assert_code(code, 0, &report.to_string());
        assert_eq!((&report["errors"], &report["warnings"]), (&0.into(), &0.into()), "{report:#}");
        let (text, code) = typed(&["test", &file]);
        assert_code(code, 0, &text);
        let (report, _) = json(&["test", &file, "--json"]);
        assert!(report["passed"].as_u64() >= Some(4), "{file} has too few probes");
        assert_eq!(report["classes_uncovered"], Value::Array(vec![]), "{text}");
        tried += 1;
    }
    assert!(tried >= 5, "{tried} policies");
}

#[test]
fn check_says_what_is_wrong_with_file_line_column_code_and_mend() {
    let demo = std::fs::read_to_string(shipped("demo.toml")).expect("demo");
    let check = |text: &str, wanted: u8, says: &[&str]| {
        let (_folder, file) = written("p.toml", text);
        let (printed, code) = typed(&["check", &file]);
        assert_code(code, wanted, &printed);
        for part in says {
            assert!(printed.contains(part), "`{part}` is missing in\n{printed}");
        }
        let (report, _) = json(&["check", &file, "--json"]);
        assert_eq!(report["errors"].as_u64() > Some(0), wanted == 1);
    };
    check(&demo, 0, &["0 errors, 0 warnings"]);
    check(
        &demo.replace("second_usd = 0.004", "second_used = 0.004"),
        1,
        &[
            "p.toml:",
            "error[CW0004 field_unknown]: [[class]] has no field `second_used`",
            "mend: did you mean `second_usd`?",
        ],
    );
    check(
        &demo.replace("expect_tier = \"device\"", "expect_tier = \"cloud-fast\""),
        1,
        &[
            "error[CW0027 probe_failed]: the probe `an easy question stays on the device` fails",
            "expected tier cloud-fast, found tier device",
        ],
    );
    check("schema = ", 1, &["error[CW0001 syntax]"]);
}

#[test]
fn test_shows_a_failing_probe_as_a_difference_with_its_decision() {
    let demo = std::fs::read_to_string(shipped("demo.toml")).expect("demo");
    let (_folder, file) =
        written("p.toml", &demo.replace("expect_tier = \"cloud-economy\"", "expect_not_kind = \"cloud\""));
    let (printed, code) = typed(&["test", &file]);
    assert_code(code, 1, &printed);
    for part in ["FAIL  and to the cheap one", "- not kind cloud\n      + kind cloud", "cloud-economy wins"] {
        assert!(printed.contains(part), "`{part}` is missing in\n{printed}");
    }
    assert!(
        printed.contains("4 passed, 1 failed") && printed.contains("classes covered: 4 of 4"),
        "{printed}"
    );
}

#[test]
fn explain_says_who_wins_why_the_others_do_not_and_what_would_change_it() {
    let (report, code) =
        json(&["explain", "What is the capital of France?", "--privacy", "local_only", "--json"]);
    assert_code(code, 0, &report.to_string());
    assert_eq!((&report["class"], &report["place"]), (&"private".into(), &"device".into()));
    assert!(report["removals"].as_array().is_some_and(|all| all.iter().any(|one| one["code"] == "privacy")));
    let facts = ["--fact", "requirement=[0.5, 3.0]", "--fact", "output_tokens_p50=20", "--fact", "turns=2"];
    let mut words = vec!["explain", "Why is the sky blue?", "--as", "acme", "--region", "IN", "--json"];
    words.extend(facts);
    let (report, _) = json(&words);
    let given = &report["decision"]["trail"]["facts"];
    assert_eq!(
        (&given["tenant"], &given["region"], &given["turns"]),
        (&"acme".into(), &"IN".into(), &2.into())
    );
    assert!(report["flips"].as_array().is_some_and(|flips| !flips.is_empty()), "{report:#}");
    let (_, code) = typed(&["explain", &shipped("demo.toml"), "Hello", "--only", "nowhere"]);
    assert_code(code, 1, "no place remains");
}

#[test]
fn explain_takes_the_places_that_it_is_given() {
    let place = ::policy::Candidate::new("lab/1", "cloud-fast", ::policy::Kind::Cloud);
    let (_folder, file) = written("places.json", &serde_json::to_string(&[place]).expect("a list"));
    let (report, code) = json(&["explain", "Hello", "--candidates", &file, "--json"]);
    assert_code(code, 0, &report.to_string());
    assert_eq!(report["place"], "lab/1");
}

#[test]
fn diff_says_what_differs_and_ends_with_it() {
    let demo = std::fs::read_to_string(shipped("demo.toml")).expect("demo");
    let (_folder, file) =
        written("p.toml", &demo.replace("wrong_answer_usd = 2.0", "wrong_answer_usd = 3.0"));
    let (printed, code) = typed(&["diff", &shipped("demo.toml"), &file]);
    assert_code(code, 1, &printed);
    assert_eq!(printed, "~ class medical: wrong_answer_usd: 2.0 -> 3.0\n");
    let (printed, code) = typed(&["diff", &file, &file]);
    assert_eq!((printed.as_str(), format!("{code:?}")), ("both say the same\n", format!("{SUCCESS:?}")));
}

#[test]
fn fmt_brings_a_file_into_its_form_once() {
    let (_folder, file) = written("p.toml", "  schema='causeway.policy/v1' # an edition\n");
    assert_code(typed(&["fmt", "--check", &file]).1, 1, "not in its form");
    assert_code(typed(&["fmt", &file]).1, 0, "written");
    assert_eq!(std::fs::read_to_string(&file).expect("it"), "schema = 'causeway.policy/v1' # an edition\n");
    assert_code(typed(&["fmt", "--check", &file]).1, 0, "in its form");
}

#[test]
fn a_sealed_policy_is_read_until_it_says_something_else() {
    let demo = std::fs::read_to_string(shipped("demo.toml")).expect("demo");
    let (_folder, file) = written("p.toml", &demo);
    assert_code(typed(&["seal", "--check", &file]).1, 1, "not sealed");
    let (printed, code) = typed(&["seal", &file]);
    assert_code(code, 0, &printed);
    assert_code(typed(&["seal", "--check", &file]).1, 0, "sealed");
    assert_code(typed(&["fmt", &file]).1, 0, "its form");
    assert_code(typed(&["seal", "--check", &file]).1, 0, "sealed in any form");
    assert_code(typed(&["check", &file]).1, 0, "as good as before");
    let text = std::fs::read_to_string(&file).expect("it");
    std::fs::write(&file, text.replace("wrong_answer_usd = 2.0", "wrong_answer_usd = 0.0")).expect("written");
    let (printed, code) = typed(&["check", &file]);
    assert_code(code, 1, &printed);
    let said = ["error[CW0029 checksum_wrong]", "mend: restore the file", "read: docs/policy.md#cw0029"];
    assert!(said.iter().all(|part| printed.contains(part)), "{printed}");
    let (report, _) = json(&["seal", &file, "--json"]);
    assert_eq!((&report["written"], &report["changed"][0]), (&true.into(), &file.as_str().into()));
    assert_code(typed(&["check", &file]).1, 0, "sealed anew");
}

#[test]
fn fmt_leaves_alone_what_is_too_long_to_be_a_policy() {
    let text = "a = 1\n".repeat(::policy::RULES_BYTES_MAX / 6 + 2);
    let (_folder, file) = written("p.toml", &text);
    let Ok(arguments) = Arguments::try_parse_from(["causeway", "policy", "fmt", &file]) else {
        panic!("fmt")
    };
    let Command::Policy(command) = arguments.command else { panic!("not a policy command") };
    let deploy = Deploy::find(Some(root().join("deploy"))).expect("the deploy folder");
    assert!(super::run(&deploy, command, &mut Vec::new()).is_err());
    assert_eq!(std::fs::read_to_string(&file).expect("it"), text);
}

#[test]
fn schema_is_the_shipped_one() {
    let shipped = std::fs::read_to_string(shipped("causeway.policy.v1.schema.json")).expect("the schema");
    assert_eq!(typed(&["schema"]).0, shipped, "write it with `causeway policy schema`");
}

#[test]
fn a_log_is_read_to_its_end_whatever_is_broken_in_it() {
    let rules = super::read::sound_rules(Path::new(&shipped("demo.toml"))).expect("demo");
    let whole: Vec<String> = sample::lines(&rules, 1, 0.0).take(3).map(|line| line.to_json()).collect();
    let mut bytes = format!("{}\nnonsense\n\n{}\n", whole[0], whole[1]).into_bytes();
    bytes.extend([0xff, 0xfe, b'\n']);
    bytes.extend(std::iter::repeat_n(b'x', ::policy::LINE_BYTES_MAX + 10));
    bytes.push(b'\n');
    bytes.extend(whole[2].as_bytes());
    bytes.push(b'\n');
    bytes.extend(&whole[0].as_bytes()[..40]);
    let mut log = Log::new(bytes.as_slice(), 100);
    let mut read = 0;
    while log.next().expect("memory can be read").is_some() {
        read += 1;
    }
    assert_eq!(read, 3);
    let named: Vec<u64> = log.broken.named.iter().map(|(line, _)| *line).collect();
    assert_eq!((log.broken.count, named), (4, vec![2, 5, 6, 8]));
    let mut first = Log::new(bytes.as_slice(), 1);
    assert!(first.next().expect("one").is_some() && first.next().expect("none").is_none());
}
