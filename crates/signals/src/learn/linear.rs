//! Learns a linear model: multinomial logistic regression by stochastic gradients with per-weight steps (AdaGrad).

use super::shuffle;
use crate::linear::{Linear, norm};

/// A text as the learner sees it.
pub(super) struct Sample {
    pub(super) features: Vec<u32>,
    pub(super) class: usize,
    pub(super) weight: f32,
}

/// How it is learned.
#[derive(Clone, Copy)]
pub(super) struct Options {
    pub(super) buckets: usize,
    pub(super) epochs: usize,
    pub(super) rate: f32,
    /// Pull towards zero, per step.
    pub(super) decay: f32,
    pub(super) seed: u64,
}

struct Learner {
    classes: usize,
    values: Vec<f32>,
    squares: Vec<f32>,
    biases: Vec<f32>,
    bias_squares: Vec<f32>,
}

/// Learns, and makes the weights small whole numbers.
pub(super) fn learn(samples: &[Sample], classes: Vec<String>, options: Options) -> Linear {
    let count = classes.len();
    let mut learner = Learner {
        classes: count,
        values: vec![0.0; options.buckets * count],
        squares: vec![1e-2; options.buckets * count],
        biases: vec![0.0; count],
        bias_squares: vec![1.0; count],
    };
    let mask = (options.buckets - 1) as u32;
    let mut order: Vec<usize> = (0..samples.len()).collect();
    let mut state = options.seed;
    let mut scores = vec![0.0_f32; count];
    for _ in 0..options.epochs {
        shuffle(&mut order, &mut state);
        for index in &order {
            learner.step(&samples[*index], mask, &mut scores, &options);
        }
    }
    learner.quantised(classes, mask)
}

// === impl Learner ===

impl Learner {
    fn step(&mut self, sample: &Sample, mask: u32, scores: &mut [f32], options: &Options) {
        let scale = norm(sample.features.len() as u32);
        scores.copy_from_slice(&self.biases);
        for feature in &sample.features {
            let row = (feature & mask) as usize * self.classes;
            for (score, value) in scores.iter_mut().zip(&self.values[row..]) {
                *score += value * scale;
            }
        }
        let most = scores.iter().copied().fold(f32::MIN, f32::max);
        let mut sum = 0.0;
        for score in scores.iter_mut() {
            *score = libm::expf(*score - most);
            sum += *score;
        }
        for (class, score) in scores.iter_mut().enumerate() {
            let wanted = f32::from(u8::from(class == sample.class));
            *score = (*score / sum - wanted) * sample.weight;
        }
        let biases = self.biases.iter_mut().zip(&mut self.bias_squares);
        for ((bias, square), slope) in biases.zip(scores.iter()) {
            *square += slope * slope;
            *bias -= options.rate * slope / square.sqrt();
        }
        for feature in &sample.features {
            let row = (feature & mask) as usize * self.classes;
            let values = &mut self.values[row..row + self.classes];
            let squares = &mut self.squares[row..row + self.classes];
            for ((value, square), slope) in values.iter_mut().zip(squares).zip(scores.iter()) {
                let slope = slope * scale + options.decay * *value;
                *square += slope * slope;
                *value -= options.rate * slope / square.sqrt();
            }
        }
    }

    fn quantised(&self, classes: Vec<String>, mask: u32) -> Linear {
        let most = |class: usize| {
            let own = self.values.iter().skip(class).step_by(self.classes);
            own.fold(0.0_f32, |most, value| most.max(value.abs()))
        };
        let scales: Vec<f32> = (0..self.classes).map(|class| most(class) / f32::from(i8::MAX)).collect();
        let whole = |(at, value): (usize, &f32)| match scales[at % self.classes] {
            0.0 => 0,
            // The quotient lies within the range by the choice of the scale, and the cast saturates.
            scale => libm::roundf(value / scale) as i8,
        };
        let weights = self.values.iter().enumerate().map(whole).collect();
        Linear { version: String::new(), classes, scales, biases: self.biases.clone(), weights, mask }
    }
}
