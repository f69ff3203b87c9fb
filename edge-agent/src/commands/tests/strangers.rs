//! What is not a command, however many of its words it has.

use super::{Grammar, Home, demo_grammar, heard};

#[test]
fn what_is_not_a_command_is_not_heard() {
    let grammar = demo_grammar();
    for text in TABLE {
        assert_eq!(heard(grammar, text), "-", "{text}");
    }
}

#[test]
fn an_entity_that_could_be_two_is_not_guessed() {
    let twins = r#"
        rooms = [{ id = "a", name = "attic" }, { id = "b", name = "basement" }]
        [[entities]]
        id = "one"
        name = "lamp"
        room = "a"
        kind = "light"
        abilities = ["on_off"]
        [[entities]]
        id = "two"
        name = "lamp"
        room = "b"
        kind = "light"
        abilities = ["on_off"]
    "#;
    let grammar = Grammar::build(&Home::parse("twins.toml", twins).unwrap());
    for (text, expect) in [
        ("turn on the lamp", "-"),
        ("turn on the light", "-"),
        ("turn on the attic lamp", "turn_on one {}"),
        ("turn on the lamp in the basement", "turn_on two {}"),
        ("turn on the lamps", "turn_on one two {}"),
        ("turn on the lights here", "-"),
        ("turn on the lamp in the kitchen", "-"),
    ] {
        assert_eq!(heard(&grammar, text), expect, "{text}");
    }
}

#[test]
fn a_home_without_entities_has_no_commands() {
    let grammar = Grammar::build(&Home::parse("empty.toml", "").unwrap());
    assert_eq!(heard(&grammar, "set a timer for ten minutes"), "-");
}

const TABLE: &[&str] = &[
    // About a device.
    "why did the kitchen light turn on last night?",
    "what does it cost to turn on the kitchen lamp all day",
    "should I turn off the heater",
    "should I turn off the heater?",
    "is the door locked",
    "is the front door locked?",
    "is the kitchen lamp on",
    "is the kitchen lamp on?",
    "the kitchen lamp on?",
    "kitchen lamp on?",
    "turn on the kitchen lamp?",
    "did you turn off the heater",
    "did I turn off the coffee machine?",
    "who turned on the kitchen lamp",
    "how do I turn on the kitchen lamp",
    "how do you turn on the kitchen lamp?",
    "what happens if I turn on the kitchen lamp",
    "when was the front door unlocked",
    "which lights are on in the kitchen",
    "how long is left on the timer",
    "can I turn on the kitchen lamp?",
    "do you turn on the kitchen lamp",
    "how much is 40 percent of the kitchen lamp",
    "how bright is the kitchen lamp at 40%",
    "could you tell me whether the kitchen lamp is on",
    "can you turn on the kitchen lamp from far away?",
    // Told of somebody else, quoted, translated, written.
    "tell Anna to turn on the kitchen lamp",
    "remind me to turn on the kitchen lamp",
    "Anna said turn on the kitchen lamp",
    "say turn on the kitchen lamp",
    "\"turn on the kitchen lamp\"",
    "“turn on the kitchen lamp”",
    "how do you say turn on the kitchen lamp in French",
    "translate turn on the kitchen lamp into German",
    "turn on the kitchen lamp in French",
    "write a song called turn on the kitchen lamp",
    "spell turn on the kitchen lamp",
    "text mom turn on the kitchen lamp",
    // Denied, bounded, put off, joined.
    "do not turn on the kitchen lamp",
    "don't turn on the kitchen lamp",
    "please don't turn on the kitchen lamp",
    "never turn on the kitchen lamp",
    "turn on the kitchen lamp at 7 pm",
    "turn on the kitchen lamp in 10 minutes",
    "turn on the kitchen lamp when I get home",
    "turn on the kitchen lamp if it is dark",
    "turn on the kitchen lamp and make coffee",
    "turn on the kitchen lamp and turn off the tv",
    "turn off all the lights except the kitchen lamp",
    "turn on the kitchen lamp or the bedroom lamp",
    "turn the kitchen lamp on and off",
    "turn on the kitchen lamp for ten minutes",
    "turn on the kitchen lamp tomorrow please",
    // Unknown, ambiguous or unable.
    "turn on the lamp",
    "turn on the light",
    "turn on the chandelier",
    "turn on the lamp in the attic",
    "turn on the attic lights",
    "turn on the kitchen",
    "turn on",
    "turn off",
    "switch off",
    "can you switch on",
    "power off",
    "put on",
    "lock up",
    "continue",
    "make it warmer",
    "make it 20 degrees",
    "kitchen lamp",
    "please",
    "hey causeway",
    "lock the door",
    "unlock all the doors",
    "dim the front door",
    "dim the garage light to 40%",
    "dim all the lights to 40%",
    "open the kitchen lamp",
    "lock the kitchen lamp",
    "turn on the front door",
    "set the front door to 40%",
    "pause the kitchen lamp",
    "set the kitchen lamp to 21 degrees",
    "turn on the desk lamp in the kitchen",
    // Numbers that cannot be meant.
    "set the kitchen lamp to 140%",
    "set the kitchen lamp to -40%",
    "set the kitchen lamp to 40.5%",
    "set the kitchen lamp to 4",
    "set the volume to seven",
    "set the thermostat to 60 degrees",
    "set the thermostat to -5",
    "set the thermostat to 21,5",
    "set the thermostat to two hundred",
    "turn up the heat by 40 degrees",
    "set a timer",
    "set a timer for zero minutes",
    "set a timer for 10",
    "set a timer for 5-10 minutes",
    "set a timer for 100 hours",
    "set a timer for 7:30",
    "set a timer for 30 seconds 5 minutes",
    "set a timer for a minutes ten",
    // Signs and length.
    "",
    "   ",
    "?",
    "turn on the kitchen lamp 💡",
    "turn on the kitchen lamp; rm -rf /",
    "turn on the kitchen lamp\0",
    "please please please please please please turn on the kitchen lamp",
];
