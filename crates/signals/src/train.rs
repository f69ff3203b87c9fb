//! Learns the difficulty model from outcomes, and measures it on texts that it did not learn from.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::difficulty::{DifficultyModel, MODEL_COUNT};
use crate::error::Error;
use crate::{ngrams, shape};

mod learn;
mod calibrate;
mod measure;
pub mod irt;
#[cfg(test)]
mod tests;

pub use measure::{LengthReport, ModelReport, RoutingReport};

/// Least different texts that are learned from: five folds of them have ten each.
pub const TEXTS_MIN: usize = 50;

/// Parts into which the texts are split; each is predicted by a model that learned from the others.
pub const FOLD_COUNT: usize = 5;

/// What became of one question asked of one model.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The question.
    pub text: String,
    /// Which model answered: 0 the device's, 1 the cloud's.
    pub model: usize,
    /// Whether the answer was right.
    pub right: bool,
    /// Tokens of the answer; 0: not known.
    pub output_tokens: u32,
}

/// A model and how good it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    /// Learned from all outcomes.
    pub model: DifficultyModel,
    /// Measured out of fold.
    pub report: Report,
}

/// How good the predictions are on texts not learned from. Fractions throughout; absent where there is nothing to
/// measure, such as a model that is always right.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Edition of the model learned from all outcomes.
    pub version: String,
    /// Outcomes learned from.
    pub outcomes: usize,
    /// Different texts among them.
    pub texts: usize,
    /// The device's model, then the cloud's.
    pub models: [ModelReport; MODEL_COUNT],
    /// Choosing between the two, over texts that both answered.
    pub routing: Option<RoutingReport>,
    /// Output lengths.
    pub length: LengthReport,
}

// === impl Trained ===

impl Trained {
    /// Says whose answers taught it: BLAKE3 of the weights of the device's and of the cloud's model, in hexadecimal.
    pub fn taught_by(mut self, hashes: [&str; MODEL_COUNT]) -> Result<Self, Error> {
        for (place, given) in self.model.taught_by.iter_mut().zip(hashes) {
            let hash = blake3::Hash::from_hex(given);
            *place = *hash.map_err(|_| Error::ModelHash { given: given.to_owned() })?.as_bytes();
        }
        self.model = self.model.sealed();
        self.report.version = self.model.version().to_owned();
        Ok(self)
    }
}

/// A text as the learner sees it.
pub(crate) struct Sample {
    pub(crate) hashes: Vec<u32>,
    pub(crate) norm: f32,
    pub(crate) dense: [f32; ngrams::DENSE_COUNT],
    pub(crate) chars: u32,
    pub(crate) fold: usize,
}

/// An outcome as the learner sees it.
#[derive(Clone, Copy)]
pub(crate) struct Label {
    pub(crate) sample: usize,
    pub(crate) model: usize,
    pub(crate) right: bool,
    pub(crate) output_tokens: u32,
}

/// Learns from outcomes. The same outcomes in the same order with the same seed give the same bytes.
pub fn fit(outcomes: &[Outcome], seed: u64) -> Result<Trained, Error> {
    let (samples, labels) = prepare(outcomes, seed)?;
    let predictions = out_of_fold(&samples, &labels, seed);
    let calibration = calibrate::of(&labels, &predictions, |_| true);
    let model = learn::learn(&samples, &labels, seed).calibrated(&calibration).quantised();
    let calibrated = calibrate::crosswise(&samples, &labels, &predictions);
    let report = Report {
        version: model.version().to_owned(),
        outcomes: labels.len(),
        texts: samples.len(),
        models: std::array::from_fn(|one| measure::model(one, &samples, &labels, &calibrated)),
        routing: measure::routing(&samples, &labels, &calibrated),
        length: measure::length(&labels, &calibrated),
    };
    Ok(Trained { model, report })
}

/// What was predicted for an outcome.
#[derive(Clone, Copy, Default)]
pub(crate) struct Prediction {
    /// Log-odds of each model being right.
    pub(crate) logits: [f64; MODEL_COUNT],
    /// Logarithm of one plus the output tokens: median and 90th percentile.
    pub(crate) log_tokens: [f64; 2],
}

/// Predictions for every sample by a model that has not seen its text.
fn out_of_fold(samples: &[Sample], labels: &[Label], seed: u64) -> Vec<Prediction> {
    let mut predictions = vec![Prediction::default(); samples.len()];
    for fold in 0..FOLD_COUNT {
        let others: Vec<Label> =
            labels.iter().filter(|label| samples[label.sample].fold != fold).copied().collect();
        let learner = learn::learn(samples, &others, seed);
        let own = samples.iter().zip(&mut predictions).filter(|(sample, _)| sample.fold == fold);
        for (sample, prediction) in own {
            *prediction = learner.predict(sample);
        }
    }
    predictions
}

fn prepare(outcomes: &[Outcome], seed: u64) -> Result<(Vec<Sample>, Vec<Label>), Error> {
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut samples, mut labels) = (Vec::new(), Vec::with_capacity(outcomes.len()));
    for (index, outcome) in outcomes.iter().enumerate() {
        if outcome.model >= MODEL_COUNT {
            return Err(Error::ModelUnknown { index, model: outcome.model });
        }
        let sample = *known.entry(&outcome.text).or_insert_with(|| {
            samples.push(sample(&outcome.text, seed));
            samples.len() - 1
        });
        let Outcome { model, right, output_tokens, .. } = *outcome;
        labels.push(Label { sample, model, right, output_tokens });
    }
    if samples.len() < TEXTS_MIN {
        return Err(Error::TooFewOutcomes { given: outcomes.len(), texts: samples.len(), min: TEXTS_MIN });
    }
    Ok((samples, labels))
}

fn sample(text: &str, seed: u64) -> Sample {
    let mut hashes = Vec::new();
    ngrams::each(text, |hash| hashes.push(hash));
    let shape = shape::shape(text);
    // The fold hangs on the text alone, so that a text answered by two models is in one fold.
    let digest = blake3::hash(text.as_bytes());
    let (first, _) = digest.as_bytes().split_first_chunk().unwrap_or((&[0; 8], &[]));
    Sample {
        norm: crate::difficulty::norm(u32::try_from(hashes.len()).unwrap_or(u32::MAX)),
        hashes,
        dense: ngrams::dense(&shape),
        chars: shape.chars,
        fold: (mix(u64::from_le_bytes(*first) ^ seed) % FOLD_COUNT as u64) as usize,
    }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
pub(crate) fn mix(state: u64) -> u64 {
    let state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    state ^ (state >> 31)
}
