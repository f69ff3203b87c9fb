//! What a request wants, or that it is none of what is known: a small convolutional network over words, whose weights
//! were taught by a far larger one. Its sums are of whole numbers, so that every target gives the same bits.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::container::{self, Kind};
use crate::error::Error;
use crate::grams::{self, Plain};
use crate::linear::winner;

mod network;

use network::{Layer, Table, fitted, in_steps};

/// Lists of intents that one network tells.
const TAXONOMIES_MAX: usize = 4;
const CLASSES_MAX: usize = 512;
const WIDTH_MAX: usize = 512;
const ROWS_MAX: usize = 1 << 16;

/// Most characters and words that are read.
const CHARS_MAX: usize = 240;
const WORDS_MAX: usize = 24;

/// Pieces of a word that the list does not hold.
const PIECES_MAX: usize = 12;

/// What a request wants by one list of intents.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Intent {
    /// The likeliest intent, whether or not the request is in scope.
    #[serde(serialize_with = "as_str")]
    pub name: Arc<str>,
    /// How probable it is among the intents of its list.
    pub probability: f32,
    /// Whether the request is any of them: the energy reaches the list's threshold.
    pub in_scope: bool,
    /// Logarithm of the sum of the exponentials of all scores less the threshold: below zero out of scope.
    pub energy: f32,
}

fn as_str<S: Serializer>(name: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name)
}

/// A list of intents.
#[derive(Clone, Debug, PartialEq)]
struct Taxonomy {
    name: String,
    classes: Vec<Arc<str>>,
    threshold: f32,
}

/// The network.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct IntentModel {
    pub(crate) version: String,
    taxonomies: Vec<Taxonomy>,
    words: Table,
    /// Hashes of the words in order; the row of `words` is the same.
    keys: Vec<u32>,
    pieces: Table,
    /// What stands before the first and after the last word, in steps of the words' unit.
    edges: Vec<i16>,
    convolution: Layer,
    /// What several filters tell together; it may have no outputs.
    middle: Layer,
    output: Layer,
}

// === impl IntentModel ===

impl IntentModel {
    /// Reads what the trainer wrote.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let (mut reader, version) = container::open(Kind::Intent, bytes)?;
        let names = reader.names("taxonomies", TAXONOMIES_MAX)?;
        let thresholds = reader.floats("thresholds", names.len())?;
        let mut taxonomies = Vec::with_capacity(names.len());
        for (name, threshold) in names.into_iter().zip(thresholds) {
            let classes = reader.names("classes", CLASSES_MAX)?;
            if classes.is_empty() {
                return reader.refuse("classes");
            }
            let classes = classes.iter().map(|class| Arc::from(class.as_str())).collect();
            taxonomies.push(Taxonomy { name, classes, threshold });
        }
        let width = reader.count("width", WIDTH_MAX)?;
        let hidden = reader.count("hidden", WIDTH_MAX)?;
        let between = reader.count("middle", WIDTH_MAX)?;
        let count = reader.count("words", ROWS_MAX)?;
        let keys = reader.whole("words", count)?;
        let words = Table::read(&mut reader, count, width)?;
        let count = reader.count("pieces", ROWS_MAX)?;
        let pieces = Table::read(&mut reader, count, width)?;
        let edges = in_steps(&reader.floats("edges", 2 * width)?, words.unit());
        let convolution = Layer::read(&mut reader, 3 * width, hidden)?;
        let middle = Layer::read(&mut reader, 2 * hidden, between)?;
        let classes = taxonomies.iter().map(|taxonomy| taxonomy.classes.len()).sum();
        let output = Layer::read(&mut reader, 2 * hidden + between, classes)?;
        let sorted = keys.windows(2).all(|pair| pair[0] < pair[1]);
        if !sorted || count == 0 || width == 0 || hidden == 0 || taxonomies.len() < 2 || words.unit() <= 0.0 {
            return reader.refuse("words");
        }
        reader.finish()?;
        Ok(Self { version, taxonomies, words, keys, pieces, edges, convolution, middle, output })
    }

    /// Names of the lists and of their intents.
    pub(crate) fn taxonomies(&self) -> impl Iterator<Item = (&str, &[Arc<str>])> {
        self.taxonomies.iter().map(|taxonomy| (taxonomy.name.as_str(), taxonomy.classes.as_slice()))
    }

    /// What a text wants, by the first two lists.
    pub(crate) fn of(&self, text: &str) -> [Intent; 2] {
        let scores = self.scores(text);
        let mut from = 0;
        let mut next = |index: usize| {
            let taxonomy = &self.taxonomies[index];
            let own = &scores[from..from + taxonomy.classes.len()];
            from += taxonomy.classes.len();
            taxonomy.told(own)
        };
        [next(0), next(1)]
    }

    fn scores(&self, text: &str) -> Vec<f32> {
        let plain = Plain::of(text, CHARS_MAX);
        let count = plain.words.len().min(WORDS_MAX);
        if count == 0 {
            // Nothing was said that could speak for any.
            return vec![0.0; self.output.outputs()];
        }
        let width = self.words.width();
        // One more row before the first word and after the last.
        let mut input = vec![0_i16; (count + 2) * width];
        input[..width].copy_from_slice(&self.edges[..width]);
        input[(count + 1) * width..].copy_from_slice(&self.edges[width..]);
        for index in 0..count {
            self.embed(plain.word(index), &mut input[(index + 1) * width..(index + 2) * width]);
        }
        let mut told = self.convolution.pooled((&input, self.words.unit()), width);
        let scale = 1.0 / libm::sqrtf(count as f32);
        told[self.convolution.outputs()..].iter_mut().for_each(|sum| *sum *= scale);
        let (steps, unit) = fitted(&told);
        told.extend(self.middle.apply((&steps, unit)).into_iter().map(|value| value.max(0.0)));
        let (steps, unit) = fitted(&told);
        self.output.apply((&steps, unit))
    }

    /// The vector of a word; of one that the list does not hold, the mean of its pieces'.
    fn embed(&self, word: &[char], to: &mut [i16]) {
        let key = grams::finish(grams::word(word));
        if let Ok(row) = self.keys.binary_search(&key) {
            self.words.copy(row, to);
            return;
        }
        let mut marked = Vec::with_capacity(word.len() + 2);
        marked.push('<');
        marked.extend_from_slice(word);
        marked.push('>');
        let mut rows = [0_usize; PIECES_MAX];
        let mut count = 0;
        for length in [3, 4] {
            for start in 0..(marked.len() + 1).saturating_sub(length).max(1) {
                if let Some(row) = rows.get_mut(count) {
                    let piece = &marked[start..(start + length).min(marked.len())];
                    *row = grams::finish(grams::piece(piece)) as usize % self.pieces.rows();
                    count += 1;
                }
            }
        }
        self.pieces.mean(&rows[..count], self.words.unit(), to);
    }
}

// === impl Taxonomy ===

impl Taxonomy {
    fn told(&self, scores: &[f32]) -> Intent {
        let (best, probability) = winner(scores);
        let energy = scores[best] - libm::logf(probability) - self.threshold;
        Intent { name: Arc::clone(&self.classes[best]), probability, in_scope: energy >= 0.0, energy }
    }
}
