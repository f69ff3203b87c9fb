use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::row::{By, Line, Measured, Part, Row};
use super::rows::ROWS;
use super::suite::{self, Heard, Suite};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every test that a row names, with the row's id.
fn tests() -> impl Iterator<Item = (&'static str, Suite, &'static str)> {
    let named = |row: &'static Row| {
        row.parts.iter().filter_map(|part| match part.by {
            By::Test(suite, name) => Some((row.id, suite, name)),
            By::Own(_) => None,
        })
    };
    ROWS.iter().flat_map(named)
}

/// The file in which a test stands.
fn file(suite: Suite, name: &str) -> PathBuf {
    let (modules, _) = name.rsplit_once("::").expect("a test stands in a module");
    root().join(suite.folder()).join(modules.replace("::", "/")).with_extension("rs")
}

#[test]
fn every_row_is_measured_or_says_why_not() {
    let counted = |letter: char, numbers: &[u32]| -> Vec<String> {
        numbers.iter().map(|number| format!("{letter}{number}")).collect()
    };
    let all = [
        counted('A', &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
        counted('B', &[1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13]),
        counted('C', &[1, 2, 3, 4]),
        counted('D', &[1, 2, 3, 4, 5, 6, 7, 8]),
        counted('E', &[1, 2, 3, 4]),
    ];
    assert_eq!(ROWS.iter().map(|row| row.id).collect::<Vec<_>>(), all.concat());
    for row in &ROWS {
        assert!(!row.parts.is_empty() || !row.missing.is_empty(), "{}", row.id);
    }
}

#[test]
fn the_tests_that_rows_name_are_there_and_tell_of_them() {
    for (id, suite, name) in tests() {
        let file = file(suite, name);
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let (_, short) = name.rsplit_once("::").expect("a test stands in a module");
        assert!(text.contains(&format!("fn {short}()")), "{id}: no test {short} in {}", file.display());
        assert!(text.contains(&format!("\"{id}\",")), "{} tells nothing of {id}", file.display());
    }
}

#[test]
fn nothing_is_told_of_rows_that_do_not_ask() {
    let asked: BTreeSet<(PathBuf, &str)> = tests().map(|(id, suite, name)| (file(suite, name), id)).collect();
    let folders = [Suite::Policy, Suite::Mesh, Suite::Agent, Suite::Router, Suite::Processes];
    let mut told = 0;
    let mut folders: Vec<PathBuf> = folders.iter().map(|suite| root().join(suite.folder())).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() {
                folders.push(entry);
                continue;
            }
            let text = fs::read_to_string(&entry).unwrap_or_default();
            // The name of the row stands in the line of the macro or in the next.
            for (_, rest) in text.match_indices("score!(").map(|(at, found)| text.split_at(at + found.len()))
            {
                let id = rest.split('"').nth(1).expect("a row's id");
                assert!(asked.contains(&(entry.clone(), id)), "{} tells of {id}", entry.display());
                told += 1;
            }
        }
    }
    assert!(told >= 30, "{told}");
}

/// What a test runner prints that runs one test after the other.
const SAID: &str = r#"
running 3 tests
test flow::a ... scorecard: {"id":"A1","measured":"93 %","pass":true}
ok
test flow::b ... a line of its own
scorecard: {"id":"A1","measured":"2 of 3","pass":true}
scorecard: {"id":"A3","measured":"4 of 4","pass":true}

thread 'flow::b' panicked at router/tests/road/flow.rs:1:1:
FAILED
test flow::c - should panic ... ok

failures:

failures:
    flow::b

test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s
"#;

#[test]
fn what_tests_tell_counts_where_they_pass() {
    let heard: Heard =
        suite::read(SAID).into_iter().map(|(name, tested)| ((Suite::Router, name), tested)).collect();
    let check = |name: &str, id: &str, text: &str, pass: bool| {
        let measured = suite::measured(&heard, (Suite::Router, name), id);
        assert_eq!(measured, Measured { text: text.to_owned(), pass }, "{name}");
    };
    check("flow::a", "A1", "93 %", true);
    check("flow::a", "A2", "nothing was told", false);
    check("flow::b", "A1", "2 of 3; flow::b fails", false);
    check("flow::b", "A3", "4 of 4; flow::b fails", false);
    check("flow::d", "A1", "flow::d was not run", false);
}

#[test]
fn a_row_passes_where_all_of_it_was_measured_and_passes() {
    static WHOLE: Row = Row::new("A1", "a test", "a target", &[Part::test(Suite::Router, "a::b")]);
    static SHORT: Row = Row::new("A2", "a test", "a target", &[]).without("half of it");
    let measured = |pass| Measured { text: "3 of 4".to_owned(), pass };
    let check = |row, parts: Vec<Measured>, left_out: Vec<&'static str>, text: &str, pass: bool| {
        let line = Line { row, parts, left_out };
        assert_eq!((line.text().as_str(), line.passes()), (text, pass));
    };
    check(&WHOLE, vec![measured(true)], vec![], "3 of 4", true);
    check(&WHOLE, vec![measured(true), measured(false)], vec![], "3 of 4; 3 of 4", false);
    check(&WHOLE, vec![], vec!["--full does"], "not measured: --full does", false);
    let rest = "3 of 4; the rest is not measured: --full does";
    check(&WHOLE, vec![measured(true)], vec!["--full does"; 2], rest, false);
    check(&SHORT, vec![measured(true)], vec![], "3 of 4; the rest is not measured: half of it", false);
    check(&SHORT, vec![], vec![], "not measured: half of it", false);
}
