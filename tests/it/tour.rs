//! The tour's answers are worked out, not written down: in no source file, and in no training text.

use std::fs;

use causeway_tests::root;
use cli::{Expected, stops};
use skills::Split;

/// Training items looked through: those that the demo models were trained on.
const TRAINING_ITEMS: usize = 600_000;

fn answers() -> Vec<(String, String)> {
    let stops = stops(&root().join("deploy/tour.toml")).expect("the tour reads");
    let exercises = stops.into_iter().filter_map(|stop| match stop.expected {
        Expected::Exercise(item) => Some((item.prompt, item.answer)),
        Expected::Action { .. } => None,
    });
    exercises.collect()
}

#[test]
fn no_source_file_holds_an_answer() {
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
                for (_, answer) in answers() {
                    let literal = format!("\"{answer}\"");
                    assert!(!text.contains(&literal), "{} holds {literal}", path.display());
                }
            }
        }
    }
}

#[test]
fn no_training_item_holds_a_question_with_its_answer() {
    let answers = answers();
    assert!(!answers.is_empty());
    for item in skills::items(Split::Train, 1).take(TRAINING_ITEMS) {
        for (prompt, answer) in &answers {
            assert!(item.prompt != *prompt, "trained on: {prompt}");
            let distinctive = answer.contains(' ') || answer.contains('{');
            assert!(!(distinctive && item.answer == *answer), "trained on this answer: {answer}");
        }
    }
}
