//! A linear model over hashed features: whole-number weights whose sums are exact, whatever the order.

use crate::container::{self, Kind, Writer};
use crate::error::Error;
use crate::wide::wide;

/// Most classes and buckets that are read.
const CLASSES_MAX: usize = 256;
const BUCKETS_MAX: usize = 1 << 16;

/// Weights of all classes side by side for each bucket.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Linear {
    pub(crate) version: String,
    pub(crate) classes: Vec<String>,
    pub(crate) scales: Vec<f32>,
    pub(crate) biases: Vec<f32>,
    pub(crate) weights: Vec<i8>,
    /// Buckets less one; their number is a power of two.
    pub(crate) mask: u32,
}

// === impl Linear ===

impl Linear {
    /// Reads what [`Linear::to_bytes`] wrote.
    pub(crate) fn from_bytes(kind: Kind, bytes: &[u8]) -> Result<Self, Error> {
        let (mut reader, version) = container::open(kind, bytes)?;
        let classes = reader.names("classes", CLASSES_MAX)?;
        let buckets = reader.count("buckets", BUCKETS_MAX)?;
        if !buckets.is_power_of_two() || classes.is_empty() {
            return reader.refuse("buckets");
        }
        let scales = reader.floats("scales", classes.len())?;
        let biases = reader.floats("biases", classes.len())?;
        let weights = reader.small("weights", classes.len() * buckets)?;
        reader.finish()?;
        Ok(Self { version, classes, scales, biases, weights, mask: (buckets - 1) as u32 })
    }

    /// The model as a file.
    pub(crate) fn to_bytes(&self, kind: Kind) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.names(&self.classes);
        writer.count(self.mask as usize + 1);
        writer.floats(&self.scales);
        writer.floats(&self.biases);
        writer.small(&self.weights);
        writer.seal(kind)
    }

    /// Adds one feature to the sums, which are as many as the classes. A text has at most some thousand features, so
    /// that their sum fits with room to spare.
    pub(crate) fn add(&self, feature: u32, sums: &mut [i32]) {
        let start = (feature & self.mask) as usize * self.classes.len();
        for (sum, weight) in sums.iter_mut().zip(&self.weights[start..]) {
            *sum += i32::from(*weight);
        }
    }

    /// The sums of many features.
    pub(crate) fn sums(&self, features: &[u32]) -> Vec<i32> {
        let mut sums = vec![0; self.classes.len()];
        add_all(features, (&self.weights, self.mask), &mut sums);
        sums
    }

    /// The scores that sums of `count` features come to.
    pub(crate) fn scores(&self, sums: &[i32], count: u32) -> Vec<f32> {
        let norm = norm(count);
        let scaled = sums.iter().zip(&self.scales).zip(&self.biases);
        scaled.map(|((sum, scale), bias)| *sum as f32 * scale * norm + bias).collect()
    }
}

wide! {
    /// Adds the weights of these features, side by side for all classes.
    fn add_all(features: &[u32], weights: (&[i8], u32), sums: &mut [i32]) -> () {
        let (weights, mask) = weights;
        for feature in features {
            let start = (feature & mask) as usize * sums.len();
            let own = &weights[start..start + sums.len()];
            sums.iter_mut().zip(own).for_each(|(sum, weight)| *sum += i32::from(*weight));
        }
    }
}

/// What each feature counts, so that the features of every text together have length one.
pub(crate) fn norm(count: u32) -> f32 {
    if count == 0 { 0.0 } else { 1.0 / libm::sqrtf(count as f32) }
}

/// The index of the greatest score, and its share among the exponentials of all.
pub(crate) fn winner(scores: &[f32]) -> (usize, f32) {
    let mut best = 0;
    for (index, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = index;
        }
    }
    let Some(top) = scores.get(best) else { return (0, 0.0) };
    let sum = scores.iter().fold(0.0_f32, |sum, score| sum + libm::expf(score - top));
    (best, 1.0 / sum)
}

/// The class to be told of classes of which one means that there is nothing to tell: that is told only where its
/// probability is above `least`. Gives the class and its probability.
pub(crate) fn told(scores: &[f32], nothing: Option<usize>, least: f32) -> (usize, f32) {
    let (likeliest, probability) = winner(scores);
    if Some(likeliest) != nothing || probability > least {
        return (likeliest, probability);
    }
    let mut others = (0..scores.len()).filter(|class| *class != likeliest);
    let Some(mut second) = others.next() else { return (likeliest, probability) };
    for class in others {
        if scores[class] > scores[second] {
            second = class;
        }
    }
    (second, probability * libm::expf(scores[second] - scores[likeliest]))
}
