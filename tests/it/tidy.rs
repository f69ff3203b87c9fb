//! Holds the tree to ARCHITECTURE.md: allowed edges, who may name what, file heads and sizes, banned names.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const FOLDERS: [(&str, &str); 15] = [
    ("proto", "proto"),
    ("mesh", "crates/mesh"),
    ("hop", "crates/hop"),
    ("skills", "crates/skills"),
    ("score", "crates/score"),
    ("policy", "crates/policy"),
    ("signals", "crates/signals"),
    ("inference", "crates/inference"),
    ("router", "router"),
    ("cloud-worker", "cloud-worker"),
    ("edge-agent", "edge-agent"),
    ("cli", "crates/cli"),
    ("tests", "tests"),
    ("sim", "tests/sim"),
    ("fuzz", "fuzz"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rows of the table under a heading: first cell → the names in the second.
fn table(heading: &str) -> BTreeMap<String, Vec<String>> {
    let page = read(&root().join("ARCHITECTURE.md"));
    let (_, section) = page.split_once(heading).unwrap_or_else(|| panic!("no section {heading}"));
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows: BTreeMap<_, _> = section
        .lines()
        .filter(|line| line.starts_with("| "))
        .skip(1)
        .filter_map(|line| {
            let mut cells = line.trim_matches('|').split('|').map(str::trim);
            let key = cells.next()?.to_owned();
            let names = cells.next()?.split(',').map(str::trim).filter(|name| *name != "–");
            Some((key, names.map(str::to_owned).collect()))
        })
        .collect();
    assert!(!rows.is_empty(), "no rows under {heading}");
    rows
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name();
            if path.is_dir() && name != "gen" && name != "target" && name != "work" {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn crates_depend_on_what_the_page_allows() {
    let allowed = table("## Allowed edges");
    let in_tests = table("## Allowed in tests too");
    for (name, folder) in FOLDERS {
        let manifest = read(&root().join(folder).join("Cargo.toml"));
        let manifest: toml_edit::DocumentMut = manifest.parse().expect("a manifest");
        for (kind, among) in [("dependencies", &allowed), ("dev-dependencies", &in_tests)] {
            let dependencies = manifest.get(kind).and_then(toml_edit::Item::as_table);
            for (key, _) in dependencies.into_iter().flatten() {
                let inside = FOLDERS.iter().any(|(known, _)| *known == key);
                let may = |table: &BTreeMap<String, Vec<String>>| {
                    table.get(name).is_some_and(|may| may.iter().any(|may| may == key))
                };
                assert!(!inside || may(&allowed) || may(among), "{name} may not depend on {key} ({kind})");
            }
        }
    }
}

#[test]
fn every_crate_is_on_the_page() {
    let manifest = read(&root().join("Cargo.toml"));
    let manifest: toml_edit::DocumentMut = manifest.parse().expect("a manifest");
    let members = manifest["workspace"]["members"].as_array().expect("members");
    let mut members: Vec<&str> = members.iter().filter_map(toml_edit::Value::as_str).collect();
    members.sort_unstable();
    let mut known = FOLDERS.map(|(_, folder)| folder);
    known.sort_unstable();
    assert_eq!(members, known);
}

#[test]
fn names_stay_in_their_rooms() {
    for (word, rooms) in table("## Who may name what") {
        let rooms: Vec<PathBuf> = rooms
            .iter()
            .map(|room| {
                let folder =
                    FOLDERS.iter().find(|(name, _)| name == room).map_or(room.as_str(), |(_, folder)| folder);
                root().join(folder)
            })
            .collect();
        for (_, folder) in FOLDERS {
            for file in rust_files(&root().join(folder).join("src")) {
                if rooms.iter().any(|room| file.starts_with(room) || file == room.with_extension("rs")) {
                    continue;
                }
                let text = read(&file);
                let uses = text.lines().filter(|line| !line.trim_start().starts_with("//"));
                let named = uses.into_iter().any(|line| {
                    line.match_indices(&word).any(|(at, _)| line[at + word.len()..].starts_with("::"))
                });
                assert!(!named, "{} names {word}", file.display());
            }
        }
    }
}

#[test]
fn what_decides_has_no_clock_and_does_no_io() {
    for folder in ["crates/policy", "crates/signals"] {
        for file in rust_files(&root().join(folder).join("src")) {
            let shown = file.display().to_string();
            if shown.contains("tests") {
                continue;
            }
            let text = read(&file);
            for room in
                ["std::time::{Instant", "std::time::Instant", "SystemTime", "std::fs", "std::env", "std::net"]
            {
                assert!(!text.contains(room), "{shown} names {room}");
            }
        }
    }
}

#[test]
fn files_say_what_they_own_and_stay_short() {
    let mut wrong = Vec::new();
    for (_, folder) in FOLDERS {
        for file in rust_files(&root().join(folder)) {
            let text = read(&file);
            let lines = text.lines().count();
            let shown = file.strip_prefix(root()).expect("inside").display().to_string();
            // What a sibling `tests.rs` is about is what the file beside it is about.
            if !text.starts_with("//!") && !shown.contains("tests") {
                wrong.push(format!("{shown} does not open with a //! sentence"));
            }
            if lines > 400 && !shown.contains("tests") {
                wrong.push(format!("{shown} has {lines} lines; 400 is the bound"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_is_called_after_nothing() {
    let banned = ["utils", "util", "common", "helpers", "manager", "core", "misc"];
    for (_, folder) in FOLDERS {
        for file in rust_files(&root().join(folder)) {
            let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            assert!(!banned.contains(&stem), "{}: name it after what it owns", file.display());
        }
    }
}

#[test]
fn no_marks_of_unfinished_work() {
    let marks =
        [concat!("FIX", "ME"), concat!("XX", "X"), concat!("todo", "!("), concat!("unbounded_", "channel(")];
    for (_, folder) in FOLDERS {
        for file in rust_files(&root().join(folder)) {
            let text = read(&file);
            for mark in marks {
                assert!(!text.contains(mark), "{} contains {mark}", file.display());
            }
        }
    }
}
