//! Subjects in which a wrong answer harms: what words and phrases tell, weighed together by a small trained model, so
//! that "kill the lights" stays a command.

use serde::Serialize;

use crate::container::Kind;
use crate::error::Error;
use crate::grams::{self, Plain};
use crate::lexicon::{Lexicon, Subject};
use crate::linear::{Linear, told};
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

/// Most characters whose words are read.
pub(crate) const CHARS_MAX: usize = 512;

/// No subject is told only where that is likelier than all subjects together.
const NONE_LEAST: f32 = 0.5;

/// Where the hashes of the lexicon's hints start.
const LEXICON_SEED: u32 = 0x7E11;

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

    fn from_class(class: &str) -> Option<Self> {
        let all = [Self::None, Self::Medical, Self::Legal, Self::SelfHarm, Self::Dangerous];
        all.into_iter().find(|topic| topic.name() == class || (*topic == Self::None && class == "none"))
    }
}

/// Tells the subjects apart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TopicModel {
    linear: Linear,
    topics: Vec<Topic>,
}

// === impl TopicModel ===

impl TopicModel {
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let linear = Linear::from_bytes(Kind::Safety, bytes)?;
        let topics: Option<Vec<Topic>> =
            linear.classes.iter().map(|class| Topic::from_class(class)).collect();
        match topics {
            Some(topics) => Ok(Self { linear, topics }),
            None => Err(Error::ModelField { model: Kind::Safety.name(), field: "classes" }),
        }
    }

    pub(crate) fn version(&self) -> &str {
        &self.linear.version
    }

    /// The likeliest subject and its probability; for [`Topic::None`] that there is none.
    pub(crate) fn of(&self, plain: &Plain, hints: &Hints) -> (Topic, f32) {
        if plain.words.is_empty() {
            return (Topic::None, 1.0);
        }
        let mut sums = vec![0; self.linear.classes.len()];
        let mut count = 0;
        features(plain, hints, |feature| {
            count += 1;
            self.linear.add(feature, &mut sums);
        });
        let none = self.topics.iter().position(|topic| *topic == Topic::None);
        let (class, probability) = told(&self.linear.scores(&sums, count), none, NONE_LEAST);
        (self.topics.get(class).copied().unwrap_or(Topic::None), probability)
    }
}

/// What the lexicon's phrases tell of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hints {
    /// For each of [`Topic::GRAVEST_FIRST`].
    found: [Found; Topic::GRAVEST_FIRST.len()],
    /// Phrases that announce a password or the like.
    pub(crate) secrets: u16,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Found {
    strong: bool,
    weak_count: u8,
    weak_last: &'static str,
}

// === impl Hints ===

impl Hints {
    /// Looks every word up once.
    pub(crate) fn of(text: &str, words: &Words, lexicon: &Lexicon) -> Self {
        let mut hints = Self::default();
        for tell in (0..words.len()).flat_map(|start| lexicon.tells_from(words, start)) {
            match tell.subject {
                Subject::Topic(rank) => hints.found[rank].add(tell.phrase, tell.strong),
                Subject::Secret => hints.secrets = hints.secrets.saturating_add(1),
            }
        }
        for rank in words.iter().filter_map(|word| lexicon.suffix_of(word)) {
            hints.found[rank].strong = true;
        }
        let (head, tail) = ends_of(text, HEAD_BYTES_MAX, TAIL_BYTES_MAX);
        if [head, tail].iter().any(|part| !part.is_ascii() && part.contains(is_han)) {
            for (sign, rank) in lexicon.unspaced() {
                hints.found[*rank].strong |= head.contains(sign) || tail.contains(sign);
            }
        }
        hints
    }
}

// === impl Found ===

impl Found {
    fn add(&mut self, phrase: &'static str, strong: bool) {
        self.strong |= strong;
        // The same word twice says no more than once.
        if !strong && self.weak_last != phrase {
            self.weak_count = self.weak_count.saturating_add(1);
            self.weak_last = phrase;
        }
    }
}

/// Calls `each` with the features of a text: words, pairs of words, beginnings of words, and the lexicon's hints.
pub(crate) fn features(plain: &Plain, hints: &Hints, mut each: impl FnMut(u32)) {
    words(plain, &mut each);
    for (rank, found) in hints.found.iter().enumerate() {
        let told = u32::from(found.strong) << 2 | u32::from(found.weak_count.min(2));
        if told > 0 {
            // What suffices alone is said several times, so that it weighs beside a dozen words.
            for again in 0..if found.strong { 8 } else { 2 } {
                each(grams::finish(grams::step(LEXICON_SEED + again, (rank as u32) << 3 | told)));
            }
        }
    }
}

/// Words, pairs, pairs with a gap, and the first four letters of words.
pub(crate) fn words(plain: &Plain, each: &mut impl FnMut(u32)) {
    let (mut last, mut last_but_one) = (0x0B0E, 0);
    for index in 0..plain.words.len() {
        let letters = plain.word(index);
        let word = grams::word(letters);
        each(grams::finish(word));
        each(grams::finish(grams::step(word, last)));
        if last_but_one != 0 {
            each(grams::finish(grams::step(word, last_but_one ^ 0x5A5A_5A5A)));
        }
        if letters.len() > 4 {
            each(grams::finish(grams::word(&letters[..4]) ^ 0x3C3C_3C3C));
        }
        (last, last_but_one) = (word, last);
    }
    each(grams::finish(grams::step(0x0E0D, last)));
}

fn is_han(one: char) -> bool {
    matches!(one, '\u{3400}'..='\u{9fff}')
}
