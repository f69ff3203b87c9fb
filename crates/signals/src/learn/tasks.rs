//! What the linear models are learned from and how: one recipe each.

use std::collections::BTreeSet;

use super::linear::{Options, Sample, learn};
use super::{Labelled, written};
use crate::container::Kind;
use crate::error::Error;
use crate::grams::Plain;
use crate::language;
use crate::lexicon::Lexicon;
use crate::topic::{self, Hints};
use crate::words::Words;

const LANGUAGE: Options = Options { buckets: 1 << 12, epochs: 8, rate: 0.3, decay: 1e-5, seed: 0 };
const SAFETY: Options = Options { buckets: 1 << 14, epochs: 8, rate: 0.2, decay: 1e-5, seed: 0 };
const CONTENT: Options = Options { buckets: 1 << 13, epochs: 12, rate: 0.2, decay: 1e-5, seed: 0 };

/// Sentences drawn of every written template.
const DRAWS: usize = 60;
/// How often a phrase of the lexicon counts.
const PHRASE_WEIGHT: u16 = 8;
/// Common words of a language that make one text to learn from.
const COMMON_WORDS: usize = 5;

/// Learns to tell languages apart; labels are tags such as `pt-BR`. Languages that their script tells need no learning
/// and are passed over.
pub fn fit_language(texts: &[Labelled], seed: u64) -> Result<Vec<u8>, Error> {
    let common = common_words();
    let told: Vec<&Labelled> =
        texts.iter().chain(&common).filter(|text| language::is_told(&text.label)).collect();
    let featured = |text: &str, each: &mut dyn FnMut(u32)| language::features(text, each);
    fit(Kind::Language, &told, Options { seed, ..LANGUAGE }, featured)
}

/// Learns to tell subjects apart; labels are the names of topics, or `none`.
pub fn fit_safety(texts: &[Labelled], seed: u64) -> Result<Vec<u8>, Error> {
    let lexicon = Lexicon::shipped();
    let featured = |text: &str, each: &mut dyn FnMut(u32)| {
        let hints = Hints::of(text, &Words::of(text), &lexicon);
        topic::features(&Plain::of(text, topic::CHARS_MAX), &hints, each);
    };
    let mut own = written(include_str!("../../train/safety.txt"), DRAWS);
    own.extend(lexicon.strong_phrases().map(|(phrase, topic)| Labelled {
        text: phrase.to_owned(),
        label: topic.name().to_owned(),
        weight: PHRASE_WEIGHT,
    }));
    fit(Kind::Safety, &texts.iter().chain(&own).collect::<Vec<_>>(), Options { seed, ..SAFETY }, featured)
}

/// Learns to tell private content; labels are the names of kinds, or `none`.
pub fn fit_content(texts: &[Labelled], seed: u64) -> Result<Vec<u8>, Error> {
    let featured = |text: &str, mut each: &mut dyn FnMut(u32)| {
        topic::words(&Plain::of(text, topic::CHARS_MAX), &mut each);
    };
    let own = written(include_str!("../../train/content.txt"), DRAWS);
    fit(Kind::Content, &texts.iter().chain(&own).collect::<Vec<_>>(), Options { seed, ..CONTENT }, featured)
}

/// Texts made of the words that every sentence of a language has.
fn common_words() -> Vec<Labelled> {
    let mut texts = Vec::new();
    let lines = include_str!("../../train/languages.txt").lines().filter(|line| !line.starts_with('#'));
    for (label, list) in lines.filter_map(|line| line.split_once(": ")) {
        let words: Vec<&str> = list.split_whitespace().collect();
        for stride in [1, 7] {
            let order: Vec<&str> = (0..words.len()).map(|at| words[at * stride % words.len()]).collect();
            texts.extend(order.chunks(COMMON_WORDS).map(|words| Labelled {
                text: words.join(" "),
                label: label.to_owned(),
                weight: 1,
            }));
        }
    }
    texts
}

fn fit(
    kind: Kind,
    texts: &[&Labelled],
    options: Options,
    featured: impl Fn(&str, &mut dyn FnMut(u32)),
) -> Result<Vec<u8>, Error> {
    let names: BTreeSet<&str> = texts.iter().map(|text| text.label.as_str()).collect();
    if names.len() < 2 {
        return Err(Error::ModelField { model: kind.name(), field: "classes" });
    }
    let classes: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let sample = |text: &&Labelled| {
        let mut features = Vec::new();
        featured(&text.text, &mut |feature| features.push(feature));
        let class = names.iter().position(|name| *name == text.label).unwrap_or_default();
        Sample { features, class, weight: f32::from(text.weight) }
    };
    let samples: Vec<Sample> = texts.iter().map(sample).collect();
    Ok(learn(&samples, classes, options).to_bytes(kind))
}
