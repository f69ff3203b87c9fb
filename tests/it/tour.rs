//! The tour's answers are worked out, not written down: in no source file, and in no training text.

use std::fs;

use causeway_tests::root;
use cli::{Expected, stops};
use skills::Split;

/// How many of these the demo models were trained on, as `full.sh` says.
fn trained_on(what: &str) -> usize {
    let script = fs::read_to_string(root().join("deploy/models/train/full.sh")).expect("the script");
    let line =
        script.lines().find(|line| line.starts_with("write ") && line.contains(what)).expect("its line");
    line.split("--items ")
        .nth(1)
        .and_then(|count| count.split_whitespace().next()?.parse().ok())
        .expect("a count")
}

fn answers() -> Vec<(String, String)> {
    let stops = stops(&root().join("deploy/tour.toml")).expect("the tour reads");
    let exercises = stops.into_iter().filter_map(|stop| match stop.expected {
        Expected::Exercise(item) => Some((item.prompt, item.answer)),
        Expected::Action { .. } => None,
    });
    exercises.collect()
}

/// How an answer may stand in a source file: by itself where nothing else looks like it, otherwise in quotes.
fn written(answer: &str) -> Vec<String> {
    let escaped = answer.escape_default().to_string();
    let for_json = serde_json::Value::from(answer).to_string();
    let forms = [answer, &escaped, for_json.trim_matches('"')];
    forms
        .iter()
        .flat_map(|form| if is_distinctive(form) { vec![(*form).to_owned()] } else { quoted(form) })
        .collect()
}

fn quoted(form: &str) -> Vec<String> {
    vec![format!("\"{form}\""), format!("'{form}'")]
}

/// Whether a text is so long that it stands nowhere by chance.
fn is_distinctive(text: &str) -> bool {
    text.chars().count() >= 12
}

#[test]
fn no_source_file_holds_an_answer() {
    let literals: Vec<String> = answers().iter().flat_map(|(_, answer)| written(answer)).collect();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("readable").flatten() {
            let path = entry.path();
            let name = entry.file_name();
            if path.is_dir() {
                if name != "target" && name != ".git" && name != "work" && name != ".venv" {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|kind| kind == "rs" || kind == "toml" || kind == "py") {
                let text = fs::read_to_string(&path).unwrap_or_default();
                for literal in &literals {
                    assert!(!text.contains(literal), "{} holds {literal}", path.display());
                }
            }
        }
    }
}

#[test]
fn no_training_item_holds_a_question_with_its_answer() {
    let answers = answers();
    assert!(!answers.is_empty());
    for item in skills::items(Split::Train, 1).take(trained_on("--split train")) {
        for (prompt, answer) in &answers {
            assert!(item.prompt != *prompt, "trained on: {prompt}");
            let shown = is_distinctive(answer) && item.answer.contains(answer.as_str());
            assert!(!shown, "trained on this answer: {answer}");
        }
    }
}

#[test]
fn no_drill_holds_a_question_or_an_answer() {
    let answers = answers();
    for drill in skills::drills(1).take(trained_on("--drills")) {
        for turn in &drill.turns {
            let told: String =
                turn.answer.iter().flat_map(|(given, learnt)| [given.as_str(), learnt]).collect();
            for (prompt, answer) in &answers {
                assert!(turn.prompt != *prompt, "drilled: {prompt}");
                assert!(!(is_distinctive(answer) && told.contains(answer.as_str())), "drilled: {answer}");
            }
        }
    }
}
