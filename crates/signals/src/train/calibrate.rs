//! Makes log-odds into probabilities (Platt, 1999) and lengths into quantiles, by what was seen out of fold.

use super::learn::{log_tokens, logistic};
use super::{FOLD_COUNT, Label, Prediction, Sample};
use crate::difficulty::MODEL_COUNT;

/// What is done to predictions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Calibration {
    pub(super) models: [Line; MODEL_COUNT],
    /// Added to the logarithm of the median and of the 90th percentile.
    pub(super) lengths: [f64; 2],
}

/// `stretch × log-odds + shift`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line {
    pub(super) stretch: f64,
    pub(super) shift: f64,
}

/// Pull towards leaving the log-odds as they are, in outcomes.
const RIDGE: f64 = 2.0;
const NEWTON_STEPS: usize = 25;

/// The best calibration on these labels.
pub(super) fn of(
    labels: &[Label],
    predictions: &[Prediction],
    counts: impl Fn(&Label) -> bool,
) -> Calibration {
    let labels = || labels.iter().filter(|label| counts(label));
    let models = std::array::from_fn(|model| {
        let own = labels().filter(|label| label.model == model);
        let pair =
            |label: &Label| (predictions[label.sample].logits[model], f64::from(u8::from(label.right)));
        line(&own.map(pair).collect::<Vec<_>>())
    });
    let misses = |quantile: usize, share: f64| {
        let known = labels().filter(|label| label.output_tokens > 0);
        let miss =
            |label: &Label| log_tokens(label.output_tokens) - predictions[label.sample].log_tokens[quantile];
        let mut misses: Vec<f64> = known.map(miss).collect();
        misses.sort_unstable_by(f64::total_cmp);
        misses.get((misses.len() as f64 * share) as usize).copied().unwrap_or_default()
    };
    Calibration { models, lengths: [misses(0, 0.5), misses(1, 0.9)] }
}

/// Predictions calibrated by what was learned from the other folds.
pub(super) fn crosswise(samples: &[Sample], labels: &[Label], predictions: &[Prediction]) -> Vec<Prediction> {
    let folds: [Calibration; FOLD_COUNT] =
        std::array::from_fn(|fold| of(labels, predictions, |label| samples[label.sample].fold != fold));
    samples.iter().zip(predictions).map(|(sample, prediction)| folds[sample.fold].apply(prediction)).collect()
}

// === impl Calibration ===

impl Calibration {
    fn apply(&self, prediction: &Prediction) -> Prediction {
        Prediction {
            logits: std::array::from_fn(|model| self.models[model].of(prediction.logits[model])),
            log_tokens: std::array::from_fn(|quantile| {
                prediction.log_tokens[quantile] + self.lengths[quantile]
            }),
        }
    }
}

// === impl Line ===

impl Line {
    fn of(&self, logit: f64) -> f64 {
        self.stretch * logit + self.shift
    }
}

/// Newton's method on the penalised log loss, which is convex in the two numbers.
fn line(pairs: &[(f64, f64)]) -> Line {
    let mut line = Line { stretch: 1.0, shift: 0.0 };
    for _ in 0..NEWTON_STEPS {
        let mut slope = [RIDGE * (line.stretch - 1.0), RIDGE * line.shift];
        let mut bend = [RIDGE, 0.0, RIDGE];
        for (logit, right) in pairs {
            let p = logistic(line.of(*logit));
            let (error, weight) = (p - right, p * (1.0 - p));
            slope = [slope[0] + error * logit, slope[1] + error];
            bend = [bend[0] + weight * logit * logit, bend[1] + weight * logit, bend[2] + weight];
        }
        // The ridge keeps the determinant above zero.
        let determinant = bend[0] * bend[2] - bend[1] * bend[1];
        let stretch = (bend[2] * slope[0] - bend[1] * slope[1]) / determinant;
        let shift = (bend[0] * slope[1] - bend[1] * slope[0]) / determinant;
        line.stretch = (line.stretch - stretch.clamp(-1.0, 1.0)).clamp(0.01, 10.0);
        line.shift -= shift.clamp(-2.0, 2.0);
    }
    line
}
