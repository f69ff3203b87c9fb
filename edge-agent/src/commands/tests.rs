//! What is a command in the demo home and what is not, word for word, and against real sentences.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::{Grammar, Home};

mod answers;
mod corpora;
mod strangers;

fn demo() -> Home {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/homes/demo.toml");
    Home::parse(file, &std::fs::read_to_string(file).unwrap()).unwrap()
}

fn demo_grammar() -> &'static Grammar {
    static GRAMMAR: LazyLock<Grammar> = LazyLock::new(|| Grammar::build(&demo()));
    &GRAMMAR
}

/// `verb entity entity {arguments}`, or `-` when it is no command.
fn heard(grammar: &Grammar, text: &str) -> String {
    match grammar.hear(text) {
        None => "-".to_owned(),
        Some(found) => {
            format!("{} {} {}", found.verb.name(), found.entity_ids.join(" "), found.argument.json())
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_heard_without_a_panic(text in any::<String>()) {
        demo_grammar().hear(&text);
    }

    #[test]
    fn any_order_of_the_grammars_own_words_is_heard_without_a_panic(
        words in prop::collection::vec(prop::sample::select(WORDS), 1..40),
    ) {
        demo_grammar().hear(&words.join(" "));
    }
}

const WORDS: &[&str] = &[
    "turn", "on", "off", "the", "all", "of", "in", "kitchen", "lamp", "lights", "light", "set", "to", "a",
    "an", "half", "and", "hundred", "forty", "five", "point", "40", "%", "°", "21.5", "99999.99", "degrees",
    "timer", "for", "hours", "minute", "please", "could", "you", "hey", "causeway", "?", "living", "room",
    "every", "volume", "up", "down", "by",
];

#[test]
fn a_command_is_heard_in_well_under_a_millisecond() {
    let grammar = demo_grammar();
    let longest = "hey causeway could you please turn off all of the lights in the living room right now please thank you";
    let clock = std::time::Instant::now();
    for _ in 0..100 {
        assert!(grammar.hear(longest).is_some());
    }
    // Tests run unoptimised and beside others: the bound is wide.
    assert!(clock.elapsed() < std::time::Duration::from_millis(100 * 20), "{:?} for 100", clock.elapsed());
}
