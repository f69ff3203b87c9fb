//! How many real sentences that ask for something else are taken for commands of the demo home.

use std::{io::Read, path::Path};

use flate2::read::GzDecoder;

use super::demo_grammar;

/// Rows of a file of the shared data, or nothing where the data is not there.
fn rows(name: &str) -> Option<Vec<serde_json::Value>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/intents").join(name);
    if !file.exists() {
        eprintln!("skipped: {name} is not there");
        return None;
    }
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(file).unwrap()).read_to_string(&mut text).unwrap();
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn taken_for_commands(
    rows: &[serde_json::Value],
    home: impl Fn(&serde_json::Value) -> bool,
) -> (usize, Vec<String>) {
    let grammar = demo_grammar();
    let others: Vec<&str> =
        rows.iter().filter(|row| !home(row)).filter_map(|row| row["text"].as_str()).collect();
    let taken =
        others.iter().filter(|text| grammar.hear(text).is_some()).map(|text| (*text).to_owned()).collect();
    (others.len(), taken)
}

fn check(name: &str, rate_max: f64, home: impl Fn(&serde_json::Value) -> bool) {
    let Some(rows) = rows(name) else { return };
    let (count, taken) = taken_for_commands(&rows, home);
    let rate = taken.len() as f64 / count as f64;
    eprintln!(
        "{name}: {} of {count} sentences that ask for something else ({:.3} %): {taken:?}",
        taken.len(),
        rate * 100.0
    );
    assert!(rate <= rate_max, "{rate} > {rate_max}");
}

/// Every seventh sentence of CLINC150's validation split that asks for something else, which is here wherever this is.
#[test]
fn sentences_about_other_things_are_left_alone() {
    let grammar = demo_grammar();
    let others = include_str!("others.txt").lines();
    assert!(others.clone().count() > 400);
    let taken: Vec<&str> = others.filter(|text| grammar.hear(text).is_some()).collect();
    assert_eq!(taken, Vec::<&str>::new());
}

#[test]
fn clinc_sentences_about_other_things_are_left_alone() {
    const HOME: [&str; 5] = ["smart_home", "timer", "play_music", "change_volume", "next_song"];
    for file in ["clinc150_val.jsonl.gz", "clinc150_train.jsonl.gz", "clinc150_oos_val.jsonl.gz"] {
        check(file, 0.0005, |row| row["intent"].as_str().is_some_and(|intent| HOME.contains(&intent)));
    }
}

#[test]
fn hwu_sentences_about_other_things_are_left_alone() {
    const HOME: [&str; 4] = ["iot", "audio", "music", "play"];
    check("hwu64_fold1_train.jsonl.gz", 0.0005, |row| {
        row["scenario"].as_str().is_some_and(|scenario| HOME.contains(&scenario))
    });
}
