//! What is decided, why, and which laws every decision keeps.

use crate::{Candidate, Facts, Kind, Latency, Load, Rules};

mod decisions;
mod reasons;
mod laws;
mod golden;
#[cfg(feature = "wire")]
mod wire;

/// Every policy that ships, by its file's name.
pub(crate) fn shipped() -> Vec<(String, String)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/policies");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&folder).expect("the shipped policies") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            found.push((name, std::fs::read_to_string(&path).expect("a policy")));
        }
    }
    found.sort();
    assert!(found.len() >= 2, "{} holds too few policies", folder.display());
    found
}

/// The policy of the demo.
fn demo() -> Rules {
    Rules::parse("demo.toml", include_str!("../../../deploy/policies/demo.toml"))
        .unwrap_or_else(|error| panic!("{error}"))
}

/// A policy with one class and the tiers of these tests.
fn rules(class: &str) -> Rules {
    let text = format!(
        r#"
        schema = "causeway.policy/v1"
        [[tier]]
        name = "command"
        kind = "command"
        input_usd_per_million_tokens = 0
        output_usd_per_million_tokens = 0
        [[tier]]
        name = "small"
        kind = "device"
        input_usd_per_million_tokens = 1
        output_usd_per_million_tokens = 2
        abilities = [1, 0]
        [[tier]]
        name = "large"
        kind = "cloud"
        input_usd_per_million_tokens = 10
        cached_input_usd_per_million_tokens = 1
        output_usd_per_million_tokens = 30
        abilities = [0, 1]
        context_tokens_max = 1000
        regions = ["eu"]
        [[class]]
        name = "only"
        {class}
        "#
    );
    Rules::parse("test.toml", &text).unwrap_or_else(|error| panic!("{error}"))
}

/// Worths of an ordinary class.
const WORTH: &str = "second_usd = 0.001\nwrong_answer_usd = 0.01";

fn facts() -> Facts {
    Facts {
        prompt_tokens: 100,
        output_tokens_p50: 50.0,
        output_tokens_p90: 50.0,
        requirement: [0.0, 2.0].into(),
        ..Facts::default()
    }
}

/// A place that is idle and whose speed is known.
fn place(name: &str, tier: &str, kind: Kind) -> Candidate {
    Candidate {
        latency: Some(Latency {
            queue_seconds: 0.0,
            network_seconds: 0.02,
            prefill_seconds_per_token: 1e-4,
            seconds_per_output_token: 4e-3,
        }),
        load: Some(Load::default()),
        ..Candidate::new(name, tier, kind)
    }
}

fn small() -> Candidate {
    place("device", "small", Kind::Device)
}

fn large() -> Candidate {
    place("large/1", "large", Kind::Cloud)
}

#[test]
fn nothing_in_this_crate_has_a_clock_or_does_input_or_output() {
    let mut folders = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut read = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.ends_with("tests") {
                folders.push(path);
            } else if path.is_file() && !path.ends_with("tests.rs") {
                let text = std::fs::read_to_string(&path).expect("text");
                for word in
                    ["std::time", "std::fs", "std::net", "std::io", "std::env", "std::thread", "tokio"]
                {
                    let named =
                        text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(word));
                    assert!(!named, "{} names {word}", path.display());
                }
                read += 1;
            }
        }
    }
    assert!(read > 20, "{read} files");
}
