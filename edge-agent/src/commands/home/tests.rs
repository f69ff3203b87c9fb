//! What a home's file may say, and where its faults are found.

use super::Home;

fn check(text: &str, expect: &str) {
    let fault =
        Home::parse("home.toml", text).map(|_| "read".to_owned()).unwrap_or_else(|fault| fault.to_string());
    assert!(fault.starts_with(expect), "{text}\n{fault}\n{expect}");
}

#[test]
fn a_fault_is_shown_with_its_file_line_and_column() {
    let lamp = "[[entities]]\nid = \"lamp\"\nname = \"lamp\"\nkind = \"light\"\nabilities = [\"on_off\"]\n";
    let with = |line: &str| format!("{lamp}{line}\n");
    check("", "read");
    check(lamp, "read");
    check("language = \"xx\"", "home.toml:1:12: language `xx` has no commands yet; known: en");
    check("\nroom = \"attic\"", "home.toml:2:8: no room has the id `attic`");
    check("room = \"\"\n[[rooms]", "home.toml:2:9: ");
    check("lanugage = \"en\"", "home.toml:1:1: unknown field `lanugage`");
    check(&with("rooms = 1"), "home.toml:6:1: unknown field `rooms`");
    check(&with("room = \"kitchen\""), "home.toml:6:8: no room has the id `kitchen`");
    check(
        &with("room = \"kitchn\"\n[[rooms]]\nid = \"kitchen\"\nname = \"kitchen\""),
        "home.toml:6:8: no room has the id `kitchn`; did you mean `kitchen`?",
    );
    check(&with("aliases = [\"\"]"), "home.toml:6:11: the name `` cannot be spoken");
    check(&with("aliases = [\"a (b)\"]"), "home.toml:6:11: the name `a (b)` cannot be spoken");
    check(&with("temperature_max_celsius = nan"), "home.toml:6:27: temperatures from 5 to NaN °C of `lamp`");
    check(&with("temperature_min_celsius = 30"), "home.toml:6:27: ");
    check(&format!("{lamp}{lamp}"), "home.toml:7:6: the id `lamp` was given before");
    check(&lamp.replace("light", "lantern"), "home.toml:4:8: unknown variant `lantern`");
    check(&lamp.replace("\"on_off\"", ""), "home.toml:5:13: `lamp` has no abilities");
    check(&lamp.replace("\"on_off\"", "\"shine\""), "home.toml:5:14: unknown variant `shine`");
    check(&lamp.replace("id = \"lamp\"", "id = \"\""), "home.toml:2:6: an id has 1 to 64 bytes");
    check(&format!("called = [\"{}\"]", "a".repeat(65)), "home.toml:1:10: a name has at most 64 bytes");
}

#[test]
fn a_home_is_bounded() {
    let rooms: String = (0..129).map(|id| format!("[[rooms]]\nid = \"{id}\"\nname = \"room\"\n")).collect();
    check(&rooms, "home.toml:1:1: 129 rooms are more than the 128 that a home may have");
}
