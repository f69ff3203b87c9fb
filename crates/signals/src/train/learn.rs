//! The learner: five linear models at once by stochastic gradients with per-weight steps (AdaGrad).

use super::{Label, Prediction, Sample, mix};
use crate::difficulty::{DIFFICULTY, DifficultyModel, HEAD_COUNT, LENGTH_P50, LENGTH_P90, MODEL_COUNT};
use crate::ngrams::DENSE_COUNT;
use crate::train::calibrate::Calibration;

/// Buckets of hashed n-grams: the file stays below 200 KB.
const BUCKET_COUNT: usize = 1 << 14;
const EPOCH_COUNT: usize = 6;
/// Length of the steps for probabilities and for lengths. Short steps and a strong pull suit a few thousand outcomes of
/// free text: with steps of 0.15 the ranking of held-out multiple-choice questions falls from .71 to .67.
const RIGHT_RATE: f32 = 0.04;
const LENGTH_RATE: f32 = 0.3;
/// Pull towards zero, per step.
const DECAY: f32 = 3e-3;
/// What the sums of squares begin with: it keeps the first steps short.
const RIGHT_SQUARES_START: f32 = 1.0;
const LENGTH_SQUARES_START: f32 = 1e-2;

/// Weights of all heads for one feature, and the sums of their squared gradients.
#[derive(Clone, Copy)]
struct Weight {
    value: [f32; HEAD_COUNT],
    squares: [f32; HEAD_COUNT],
}

/// A model in the making, in full precision.
pub(super) struct Learner {
    grams: Vec<Weight>,
    dense: [Weight; DENSE_COUNT],
    bias: Weight,
}

/// Learns from these labels.
pub(super) fn learn(samples: &[Sample], labels: &[Label], seed: u64) -> Learner {
    let mut learner = Learner::new(labels);
    let mut order: Vec<usize> = (0..labels.len()).collect();
    let mut state = seed;
    for _ in 0..EPOCH_COUNT {
        // Fisher and Yates.
        for last in (1..order.len()).rev() {
            state = mix(state);
            order.swap(last, (state % (last as u64 + 1)) as usize);
        }
        for index in &order {
            let label = &labels[*index];
            learner.step(&samples[label.sample], label);
        }
    }
    learner
}

// === impl Learner ===

impl Learner {
    /// Begins with what is true of all texts together.
    fn new(labels: &[Label]) -> Self {
        let mut bias = Weight::ZERO;
        for model in 0..MODEL_COUNT {
            let (right, all) = labels
                .iter()
                .filter(|label| label.model == model)
                .fold((0, 0), |(right, all), label| (right + u32::from(label.right), all + 1));
            let odds = (f64::from(right) + 1.0) / (f64::from(all - right) + 1.0);
            bias.value[model] = libm::log(odds) as f32;
        }
        let mut tokens: Vec<u32> =
            labels.iter().map(|label| label.output_tokens).filter(|tokens| *tokens > 0).collect();
        tokens.sort_unstable();
        for (head, share, unknown) in [(LENGTH_P50, 0.5, 32), (LENGTH_P90, 0.9, 128)] {
            let at = (tokens.len() as f64 * share) as usize;
            bias.value[head] = log_tokens(tokens.get(at).copied().unwrap_or(unknown)) as f32;
        }
        Self { grams: vec![Weight::ZERO; BUCKET_COUNT], dense: [Weight::ZERO; DENSE_COUNT], bias }
    }

    /// What it says of a text.
    pub(super) fn predict(&self, sample: &Sample) -> Prediction {
        let heads = self.heads(sample);
        Prediction {
            logits: std::array::from_fn(|model| heads[model] - heads[DIFFICULTY]),
            log_tokens: [heads[LENGTH_P50], heads[LENGTH_P90].max(heads[LENGTH_P50])],
        }
    }

    /// With every model's log-odds stretched and shifted, and the lengths shifted, as the calibration says.
    pub(super) fn calibrated(mut self, calibration: &Calibration) -> Self {
        let stretch = |weight: &mut Weight, shifts: bool| {
            for (model, calibration) in calibration.models.iter().enumerate() {
                let shared = weight.value[DIFFICULTY];
                let shift = if shifts { calibration.shift as f32 } else { 0.0 };
                let own = weight.value[model] - shared;
                weight.value[model] = own * calibration.stretch as f32 + shift + shared;
            }
        };
        for weight in self.grams.iter_mut().chain(&mut self.dense) {
            stretch(weight, false);
        }
        stretch(&mut self.bias, true);
        self.bias.value[LENGTH_P50] += calibration.lengths[0] as f32;
        self.bias.value[LENGTH_P90] += calibration.lengths[1] as f32;
        self
    }

    /// The model as it ships: weights of n-grams as whole numbers.
    pub(super) fn quantised(&self) -> DifficultyModel {
        let most =
            |head: usize| self.grams.iter().fold(0.0_f32, |most, weight| most.max(weight.value[head].abs()));
        let scales: [f32; HEAD_COUNT] = std::array::from_fn(|head| most(head) / f32::from(i16::MAX));
        let whole = |weight: &Weight| {
            std::array::from_fn(|head| match scales[head] {
                0.0 => 0,
                // The quotient lies within the range by the choice of the scale, and the cast saturates.
                scale => libm::roundf(weight.value[head] / scale) as i16,
            })
        };
        DifficultyModel {
            version: String::new(),
            taught_by: [[0; 32]; MODEL_COUNT],
            weights: self.grams.iter().map(whole).collect(),
            scales,
            dense: std::array::from_fn(|head| std::array::from_fn(|measure| self.dense[measure].value[head])),
            biases: self.bias.value,
        }
        .sealed()
    }

    fn heads(&self, sample: &Sample) -> [f64; HEAD_COUNT] {
        let mut grams = [0.0_f32; HEAD_COUNT];
        for hash in &sample.hashes {
            for (sum, value) in grams.iter_mut().zip(self.grams[bucket(*hash)].value) {
                *sum += value;
            }
        }
        std::array::from_fn(|head| {
            let measures = self.dense.iter().zip(sample.dense);
            let dense = measures.fold(0.0, |sum, (weight, measure)| sum + weight.value[head] * measure);
            f64::from(self.bias.value[head] + dense + grams[head] * sample.norm)
        })
    }

    fn step(&mut self, sample: &Sample, label: &Label) {
        let slopes = slopes(&self.heads(sample), label);
        for hash in &sample.hashes {
            self.grams[bucket(*hash)].step(&slopes, sample.norm);
        }
        for (weight, measure) in self.dense.iter_mut().zip(sample.dense) {
            if measure != 0.0 {
                weight.step(&slopes, measure);
            }
        }
        self.bias.step(&slopes, 1.0);
    }
}

// === impl Weight ===

impl Weight {
    const ZERO: Self = {
        let mut squares = [RIGHT_SQUARES_START; HEAD_COUNT];
        squares[LENGTH_P50] = LENGTH_SQUARES_START;
        squares[LENGTH_P90] = LENGTH_SQUARES_START;
        Self { value: [0.0; HEAD_COUNT], squares }
    };

    fn step(&mut self, slopes: &[f32; HEAD_COUNT], measure: f32) {
        for (head, slope) in slopes.iter().enumerate().filter(|(_, slope)| **slope != 0.0) {
            let rate = if head <= DIFFICULTY { RIGHT_RATE } else { LENGTH_RATE };
            let gradient = slope * measure;
            self.squares[head] += gradient * gradient;
            let step = rate / libm::sqrtf(self.squares[head]);
            self.value[head] -= step * (gradient + DECAY * self.value[head]);
        }
    }
}

/// The slope of the loss along each head: log loss for being right, pinball loss for the two quantiles of the length.
fn slopes(heads: &[f64; HEAD_COUNT], label: &Label) -> [f32; HEAD_COUNT] {
    let mut slopes = [0.0; HEAD_COUNT];
    let error = logistic(heads[label.model] - heads[DIFFICULTY]) - f64::from(u8::from(label.right));
    slopes[label.model] = error as f32;
    slopes[DIFFICULTY] = -error as f32;
    if label.output_tokens > 0 {
        let is = log_tokens(label.output_tokens);
        for (head, share) in [(LENGTH_P50, 0.5), (LENGTH_P90, 0.9)] {
            slopes[head] = if heads[head] > is { 1.0 - share } else { -share };
        }
    }
    slopes
}

pub(super) fn logistic(logit: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-logit))
}

pub(super) fn log_tokens(tokens: u32) -> f64 {
    libm::log1p(f64::from(tokens))
}

fn bucket(hash: u32) -> usize {
    hash as usize & (BUCKET_COUNT - 1)
}
