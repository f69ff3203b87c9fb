//! Translate: phrases between English and five languages, composed from a closed lexicon by a few patterns.
//!
//! A phrase is drawn as a meaning, and each language says the meaning by its own grammar; the meaning's
//! English words decide its split, so a phrase of the test is new in every language.

mod phrase;
mod lexicon;
mod english;
mod spanish;
mod french;
mod german;
mod hindi;
mod chinese;

use crate::{
    frame::{Dice, Draw, fill},
    split::Key,
};
use phrase::Phrase;

/// A language other than English.
#[derive(Clone, Copy)]
struct Language {
    /// Its name, as the one choice of a frame's part.
    name: &'static [&'static str],
    says: fn(&Phrase) -> String,
}

const LANGUAGES: [Language; 5] = [
    Language { name: &["Spanish"], says: spanish::say },
    Language { name: &["French"], says: french::say },
    Language { name: &["German"], says: german::say },
    Language { name: &["Hindi"], says: hindi::say },
    Language { name: &["Chinese"], says: chinese::say },
];

const LEADS: [&str; 20] = [
    "Translate to {l}: {s}",
    "{l}: {s}",
    "In {l}: {s}",
    "Put this into {l}: {s}",
    "Say in {l}: {s}",
    "Turn into {l}: {s}",
    "Write in {l}: {s}",
    "{s} Translate to {l}.",
    "{s} Say it in {l}.",
    "{l}, please: {s}",
    "How is this in {l}? {s}",
    "{s} In {l}?",
    "Give the {l} for: {s}",
    "Into {l}: {s}",
    "{s} And in {l}?",
    "Say this in {l}: {s}",
    "I need this in {l}: {s}",
    "{l} for this: {s}",
    "To {l}: {s}",
    "{s} Now in {l}.",
];
const OPENERS: [&str; 4] = ["", "Hi. ", "Next: ", "Please. "];

pub(super) fn write(draw: &mut Draw<'_>) -> (String, String) {
    let phrase = draw.combination(drawn);
    let language = LANGUAGES[draw.dice.below(LANGUAGES.len())];
    let (english, other) = (english::say(&phrase), (language.says)(&phrase));
    let to_english = draw.dice.percent(45);
    // The target language is part of the frame, so the lead of a test need not be new in every language.
    let (target, given, answer): (&[&'static str], _, _) =
        if to_english { (&["English"], other, english) } else { (language.name, english, other) };
    let [opener, lead, target] = draw.frame([&OPENERS, &LEADS, target]);
    (fill(&[opener, lead].concat(), &[("l", target), ("s", &given)]), answer)
}

/// A meaning, keyed by its English.
fn drawn(dice: &mut Dice) -> (Key, Phrase) {
    let phrase = Phrase::drawn(dice);
    (Key::new("phrase").text(&english::say(&phrase)), phrase)
}

#[cfg(test)]
mod tests;
