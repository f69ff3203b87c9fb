//! What phrases stand for.

use super::{Step, spell};
use crate::commands::language::Language;

fn spelled(phrase: &str) -> Vec<String> {
    let step = |step: &Step| match step {
        Step::Word(word) => word.clone(),
        Step::Slot(slot) => format!("{slot:?}"),
    };
    let mut all: Vec<String> =
        spell(phrase).iter().map(|steps| steps.iter().map(step).collect::<Vec<_>>().join(" ")).collect();
    all.sort();
    all
}

#[test]
fn phrases_stand_for_every_way_to_say_them() {
    for (phrase, expect) in [
        ("turn on", &["turn on"][..]),
        ("(turn|switch) on", &["switch on", "turn on"]),
        ("[the] lamp", &["lamp", "the lamp"]),
        ("set {target} to {level}", &["set Target to Level"]),
        ("[a [bit|little]] up", &["a bit up", "a little up", "a up", "up"]),
        ("a|b c", &["a", "b c"]),
        ("", &[""]),
    ] {
        assert_eq!(spelled(phrase), expect, "{phrase}");
    }
}

#[test]
fn every_phrase_of_every_language_is_well_formed() {
    for language in Language::ALL {
        let rows = language.rows.iter().map(|row| language.full(row.phrase));
        let frames = language.leads.iter().chain(language.tails).map(|(phrase, _)| (*phrase).to_owned());
        let references = language.references.iter().map(|(phrase, _)| (*phrase).to_owned());
        for phrase in rows.chain(frames).chain(references) {
            let open = phrase.matches(['(', '[', '{']).count();
            assert_eq!(open, phrase.matches([')', ']', '}']).count(), "{phrase}");
            for steps in spell(&phrase) {
                assert!(!steps.is_empty(), "{phrase} may be nothing");
                let slots = steps.iter().filter(|step| matches!(step, Step::Slot(_))).count();
                let words = spelled(&phrase).concat();
                assert!(!words.contains(['<', '>', '{', '}', '|', '(', ')', '[', ']']), "{phrase}");
                assert!(slots <= 4, "{phrase}");
            }
        }
    }
}
