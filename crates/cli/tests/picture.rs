//! The picture of the tour in the README is of the tour that there is.

use std::fs;
use std::path::Path;

use cli::{Stop, stops};

/// How the picture names the places that a stop can ask for.
fn is_shown(place: &str, line: &str) -> bool {
    match place {
        "" => true,
        "command" => line.starts_with("command ·"),
        "device" => line.starts_with("device model ·"),
        tier => line.contains(&format!("(tier {tier}) ·")),
    }
}

#[test]
fn the_picture_shows_the_questions_and_places_of_the_tour() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let stops: Vec<Stop> = stops(&root.join("deploy/tour.toml")).expect("the tour reads");
    let readme = fs::read_to_string(root.join("README.md")).expect("a README");
    let (_, rest) = readme.split_once("<!-- tour -->").expect("where it begins");
    let (picture, _) = rest.split_once("<!-- /tour -->").expect("where it ends");
    let mut shown = 0;
    for line in picture.lines() {
        let Some((number, asked)) = line.split_once(". ") else { continue };
        let Ok(number) = number.parse::<usize>() else { continue };
        let stop = &stops[number - 1];
        assert_eq!(asked, format!("{}{}", stop.question.text, stop.manner()), "stop {number}");
        let (_, after) = picture.split_once(line).expect("it is there");
        let (_, answered) = after.split_once("\n   ✓ ").expect("a right answer");
        let answered = answered.lines().next().unwrap_or_default();
        assert!(is_shown(&stop.place, answered), "stop {number} asks for {}: {answered}", stop.place);
        shown += 1;
    }
    assert_eq!(shown, 4, "of {} stops", stops.len());
    assert!(picture.contains(&format!("{0} of {0} right", stops.len())));
}
