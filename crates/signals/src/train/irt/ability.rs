//! What one model can do: logistic regression on requirements, by Newton's method with a normal prior.

use serde::{Deserialize, Serialize};

use crate::train::learn::logistic;

const NEWTON_STEPS: usize = 30;
/// How many outcomes the prior is worth along each dimension.
const PRIOR: f64 = 2.0;

/// A model's abilities and how easy it finds what requires nothing particular.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ability {
    /// Log-odds gained for each unit of requirement.
    pub ability: Vec<f64>,
    /// Log-odds of being right where the requirement is zero.
    pub ease: f64,
}

impl Ability {
    /// A model of which nothing is known.
    pub fn unknown(dimensions: usize) -> Self {
        Self { ability: vec![0.0; dimensions], ease: 0.0 }
    }

    /// The mean of several models: what to expect of a new one.
    pub fn typical<'a>(models: impl Iterator<Item = &'a Self>) -> Self {
        let models: Vec<&Self> = models.collect();
        let count = models.len().max(1) as f64;
        let dimensions = models.iter().map(|model| model.ability.len()).max().unwrap_or_default();
        let mean = |of: &dyn Fn(&Self) -> f64| models.iter().map(|model| of(model)).sum::<f64>() / count;
        Self {
            ability: (0..dimensions)
                .map(|at| mean(&|model| model.ability.get(at).copied().unwrap_or_default()))
                .collect(),
            ease: mean(&|model| model.ease),
        }
    }

    /// Probability of being right on what requires this.
    pub fn right(&self, requires: &[f64]) -> f64 {
        logistic(self.logit(requires))
    }

    fn logit(&self, requires: &[f64]) -> f64 {
        self.ability.iter().zip(requires).fold(self.ease, |sum, (a, r)| sum + a * r)
    }

    /// The ability that explains these (requirement, share right) best, drawn to `prior` where they say little.
    pub fn fit(rows: &[(Vec<f64>, f64)], prior: &Self) -> Self {
        let mut found = prior.clone();
        let size = prior.ability.len() + 1;
        for _ in 0..NEWTON_STEPS {
            let mut slope: Vec<f64> =
                found.numbers().iter().zip(prior.numbers()).map(|(a, b)| a - b).collect();
            let mut bend = vec![vec![0.0; size]; size];
            for (at, row) in bend.iter_mut().enumerate() {
                // The ease is known least before the first outcome.
                let weight = if at + 1 == size { 1.0 } else { PRIOR };
                row[at] = weight;
                slope[at] *= weight;
            }
            for (requires, right) in rows {
                let p = found.right(requires);
                let measures: Vec<f64> = requires.iter().copied().chain([1.0]).collect();
                for ((slope, row), measure) in slope.iter_mut().zip(&mut bend).zip(&measures) {
                    *slope += (p - right) * measure;
                    for (bend, other) in row.iter_mut().zip(&measures) {
                        *bend += p * (1.0 - p) * measure * other;
                    }
                }
            }
            let step = solved(bend, slope);
            for (at, step) in step.into_iter().enumerate() {
                let number = found.ability.get_mut(at).unwrap_or(&mut found.ease);
                *number -= step.clamp(-2.0, 2.0);
            }
        }
        found
    }

    fn numbers(&self) -> Vec<f64> {
        self.ability.iter().copied().chain([self.ease]).collect()
    }
}

/// Gauss's elimination; the prior keeps every pivot above zero.
fn solved(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Vec<f64> {
    let n = b.len();
    for k in 0..n {
        for i in k + 1..n {
            let factor = a[i][k] / a[k][k];
            let (above, below) = a.split_at_mut(i);
            for (x, y) in below[0][k..].iter_mut().zip(&above[k][k..]) {
                *x -= factor * y;
            }
            b[i] -= factor * b[k];
        }
    }
    for k in (0..n).rev() {
        let known: f64 = (k + 1..n).map(|j| a[k][j] * b[j]).sum();
        b[k] = (b[k] - known) / a[k][k];
    }
    b
}
