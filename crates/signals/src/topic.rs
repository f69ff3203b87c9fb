//! Subjects in which a wrong answer harms, by words and phrases with borders, so that "kill the lights" stays a command.

use serde::Serialize;

use crate::lexicon::{Lexicon, Subject, Tell};
use crate::words::{HEAD_BYTES_MAX, TAIL_BYTES_MAX, Words, ends_of};

/// A subject in which a wrong answer harms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// No such subject was seen.
    None,
    /// Health, symptoms, medicines.
    Medical,
    /// Law and contracts.
    Legal,
    /// Harm to oneself.
    SelfHarm,
    /// Acts that endanger others.
    Dangerous,
}

// === impl Topic ===

impl Topic {
    /// The subjects in the order in which they prevail where a text tells of several.
    pub(crate) const GRAVEST_FIRST: [Self; 4] = [Self::SelfHarm, Self::Dangerous, Self::Medical, Self::Legal];

    /// Its stable name; empty for [`Topic::None`].
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Medical => "medical",
            Self::Legal => "legal",
            Self::SelfHarm => "self_harm",
            Self::Dangerous => "dangerous",
        }
    }
}

/// What the words of a text tell.
pub(crate) struct Told {
    /// The gravest subject.
    pub(crate) topic: Topic,
    /// Phrases that announce a password or the like.
    pub(crate) secrets: u16,
}

/// Looks every word up once.
pub(crate) fn of(text: &str, words: &Words, lexicon: &Lexicon) -> Told {
    let mut found = [Found::default(); Topic::GRAVEST_FIRST.len()];
    let mut secrets = 0_u16;
    for tell in (0..words.len()).flat_map(|start| lexicon.tells_from(words, start)) {
        match tell.subject {
            Subject::Topic(rank) => found[rank].add(tell),
            Subject::Secret => secrets = secrets.saturating_add(1),
        }
    }
    for rank in words.iter().filter_map(|word| lexicon.suffix_of(word)) {
        found[rank].strong = true;
    }
    let (head, tail) = ends_of(text, HEAD_BYTES_MAX, TAIL_BYTES_MAX);
    if [head, tail].iter().any(|part| part.contains(is_han)) {
        for (sign, rank) in lexicon.unspaced() {
            found[*rank].strong |= head.contains(sign) || tail.contains(sign);
        }
    }
    let told = |(_, found): &(&Topic, Found)| found.strong || found.weak_count >= 2;
    let topic = Topic::GRAVEST_FIRST.iter().zip(found).find(told).map_or(Topic::None, |(topic, _)| *topic);
    Told { topic, secrets }
}

#[derive(Clone, Copy, Default)]
struct Found {
    strong: bool,
    weak_count: u8,
    weak_last: &'static str,
}

// === impl Found ===

impl Found {
    fn add(&mut self, tell: &Tell) {
        self.strong |= tell.strong;
        // The same word twice says no more than once.
        if !tell.strong && self.weak_last != tell.phrase {
            self.weak_count = self.weak_count.saturating_add(1);
            self.weak_last = tell.phrase;
        }
    }
}

fn is_han(one: char) -> bool {
    matches!(one, '\u{3400}'..='\u{9fff}')
}
