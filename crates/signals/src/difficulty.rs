//! How hard a text is for each model and how long its answer will be: five linear models over the same n-grams.

use crate::ngrams::{self, DENSE_COUNT};
use crate::shape::Shape;

/// Models whose success is predicted: 0 is the device's, 1 the cloud's.
pub const MODEL_COUNT: usize = 2;

/// The linear models: what is required of each model, the difficulty that they share, the length's two quantiles.
pub(crate) const HEAD_COUNT: usize = MODEL_COUNT + 3;
pub(crate) const DIFFICULTY: usize = MODEL_COUNT;
pub(crate) const LENGTH_P50: usize = MODEL_COUNT + 1;
pub(crate) const LENGTH_P90: usize = MODEL_COUNT + 2;

/// Most output tokens that are ever expected.
const OUTPUT_TOKENS_MAX: f64 = 32_768.0;

/// A trained model. Weights of n-grams are whole numbers with one scale per head: their sums are exact, whatever the
/// order, and the file is small.
#[derive(Clone, Debug, PartialEq)]
pub struct DifficultyModel {
    pub(crate) version: String,
    /// BLAKE3 of the weights of the models whose answers taught it; zeros: not known.
    pub(crate) taught_by: [[u8; 32]; MODEL_COUNT],
    /// Heads side by side for each bucket; the number of buckets is a power of two.
    pub(crate) weights: Vec<[i16; HEAD_COUNT]>,
    pub(crate) scales: [f32; HEAD_COUNT],
    pub(crate) dense: [[f32; DENSE_COUNT]; HEAD_COUNT],
    pub(crate) biases: [f32; HEAD_COUNT],
}

/// What the model says of a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// What it requires of each model: with the ability [1, 0] of the device's model and [0, 1] of the cloud's,
    /// `sigmoid(ability · requirement − difficulty)` is the probability that the model is right.
    pub requirement: [f32; MODEL_COUNT],
    /// What is subtracted for every model.
    pub difficulty: f32,
    /// Median of the output tokens.
    pub output_tokens_p50: f32,
    /// 90th percentile of the output tokens.
    pub output_tokens_p90: f32,
}

// === impl DifficultyModel ===

impl DifficultyModel {
    /// A model that has learned nothing: the device is right with .73, the cloud with .88, answers are short.
    pub fn neutral() -> Self {
        let (p50, p90) = (libm::logf(33.0), libm::logf(129.0));
        Self {
            version: String::new(),
            taught_by: [[0; 32]; MODEL_COUNT],
            weights: vec![[0; HEAD_COUNT]],
            scales: [0.0; HEAD_COUNT],
            dense: [[0.0; DENSE_COUNT]; HEAD_COUNT],
            biases: [1.0, 2.0, 0.0, p50, p90],
        }
        .sealed()
    }

    /// The edition: `difficulty-` and the beginning of the checksum.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// BLAKE3 of the weights of the device's and the cloud's model whose answers taught it, in hexadecimal; zeros: not
    /// known.
    pub fn taught_by(&self) -> [String; MODEL_COUNT] {
        self.taught_by.map(|hash| blake3::Hash::from(hash).to_hex().to_string())
    }

    /// Reads a text whose shape is known.
    pub(crate) fn estimate(&self, text: &str, shape: &Shape) -> Estimate {
        let heads = self.heads(text, shape);
        let tokens = |head: f64| libm::expm1(head.clamp(0.0, 20.0)).clamp(1.0, OUTPUT_TOKENS_MAX) as f32;
        let p50 = tokens(heads[LENGTH_P50]);
        Estimate {
            requirement: std::array::from_fn(|model| heads[model] as f32),
            difficulty: heads[DIFFICULTY] as f32,
            output_tokens_p50: p50,
            output_tokens_p90: tokens(heads[LENGTH_P90]).max(p50),
        }
    }

    fn heads(&self, text: &str, shape: &Shape) -> [f64; HEAD_COUNT] {
        let mask = self.weights.len() - 1;
        // A text has at most some ten thousand n-grams here, so that their sum fits with room to spare.
        let mut sums = [0_i32; HEAD_COUNT];
        let mut count = 0_u32;
        ngrams::each(text, |hash| {
            count += 1;
            for (sum, weight) in sums.iter_mut().zip(&self.weights[hash as usize & mask]) {
                *sum += i32::from(*weight);
            }
        });
        let norm = f64::from(norm(count));
        let dense = ngrams::dense(shape);
        std::array::from_fn(|head| {
            let measures = self.dense[head].iter().zip(dense);
            let sum = measures.fold(f64::from(self.biases[head]), |sum, (weight, measure)| {
                sum + f64::from(*weight) * f64::from(measure)
            });
            sum + f64::from(sums[head]) * f64::from(self.scales[head]) * norm
        })
    }
}

/// What each n-gram counts, so that the n-grams of every text together have length one.
pub(crate) fn norm(count: u32) -> f32 {
    if count == 0 { 0.0 } else { 1.0 / libm::sqrtf(count as f32) }
}
