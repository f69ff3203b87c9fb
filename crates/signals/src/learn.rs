//! Learns the models of languages, subjects, content and personal data from labelled texts, the same bytes each time.

use std::ops::Range;

use crate::train::mix;

mod linear;
mod tagger;
mod tasks;

pub use tagger::fit_tagger;
pub use tasks::{fit_content, fit_language, fit_safety};

/// Parts into which texts are split to be told by a model that has not seen them.
pub const FOLD_COUNT: usize = 5;

/// A text and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labelled {
    /// The text.
    pub text: String,
    /// Its class by name.
    pub label: String,
    /// How often it counts.
    pub weight: u16,
}

/// A text and the spans in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotated {
    /// The text.
    pub text: String,
    /// Type and bytes of each span.
    pub spans: Vec<(String, Range<usize>)>,
}

/// The part that a text belongs to: it hangs on the text alone.
pub fn fold_of(text: &str, seed: u64) -> usize {
    let digest = blake3::hash(text.as_bytes());
    let (first, _) = digest.as_bytes().split_first_chunk().unwrap_or((&[0; 8], &[]));
    (mix(u64::from_le_bytes(*first) ^ seed) % FOLD_COUNT as u64) as usize
}

/// Puts the order of `count` things at random (Fisher and Yates).
pub(crate) fn shuffle(order: &mut [usize], state: &mut u64) {
    for last in (1..order.len()).rev() {
        *state = mix(*state);
        order.swap(last, (*state % (last as u64 + 1)) as usize);
    }
}

/// Sentences of a list of templates, at most `each` different draws of every line. A line is `label: template`, and in
/// the template one of the alternatives in brackets is drawn.
pub(crate) fn written(list: &str, each: usize) -> Vec<Labelled> {
    let mut sentences = Vec::new();
    for (number, line) in list.lines().enumerate() {
        let Some((label, template)) = line.split_once(": ").filter(|_| !line.starts_with('#')) else {
            continue;
        };
        let mut seen = std::collections::BTreeSet::new();
        for draw in 0..each {
            let text = drawn(template, (number * each + draw) as u64);
            if seen.insert(text.clone()) {
                sentences.push(Labelled { text, label: label.to_owned(), weight: 1 });
            }
        }
    }
    sentences
}

fn drawn(template: &str, seed: u64) -> String {
    let mut text = String::with_capacity(template.len());
    let mut state = seed;
    for (part, piece) in template.split(['(', ')']).enumerate() {
        if part % 2 == 0 {
            text.push_str(piece);
        } else {
            state = mix(state);
            let choices: Vec<&str> = piece.split('|').collect();
            text.push_str(choices[(state % choices.len() as u64) as usize]);
        }
    }
    text
}
