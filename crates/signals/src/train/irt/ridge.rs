//! Ridge regression on sparse features by conjugate gradients in the dual (Saunders, Gammerman and Vovk, 1998).

use super::features::{BUCKET_COUNT, Design, Scaling};

const STEPS_MAX: usize = 60;
/// The residual, relative to the target, at which the solution is good enough for noisy outcomes.
const RESIDUAL: f64 = 1e-3;

/// What is to be predicted: rows × dimensions.
#[derive(Clone, Debug, Default)]
pub(super) struct Targets {
    pub(super) dimensions: usize,
    pub(super) values: Vec<f64>,
}

impl Targets {
    pub(super) fn row(&self, at: usize) -> &[f64] {
        &self.values[at * self.dimensions..(at + 1) * self.dimensions]
    }

    /// The rows at these places.
    pub(super) fn of(&self, rows: &[usize]) -> Self {
        let values = rows.iter().flat_map(|at| self.row(*at).iter().copied()).collect();
        Self { dimensions: self.dimensions, values }
    }
}

/// A linear prediction, held in the primal.
pub(super) struct Solution {
    pub(super) dimensions: usize,
    pub(super) scaling: Scaling,
    pub(super) scale: Vec<f64>,
    weights: Vec<f32>,
}

/// Minimises `‖X w − y‖² + pull ‖w‖²` for every dimension of the targets with its pull, features weighed by what these
/// rows show.
pub(super) fn solve(design: &Design, rows: &[usize], targets: &Targets, pulls: &[f64]) -> Solution {
    let scaling = design.scaling(rows);
    let matrix: Vec<Vec<(u32, f32)>> = rows.iter().map(|row| design.row(*row, &scaling)).collect();
    let dimensions = targets.dimensions;
    let mut weights = vec![0.0_f32; BUCKET_COUNT * dimensions];
    for (dimension, pull) in pulls.iter().enumerate() {
        let wanted: Vec<f64> = (0..rows.len()).map(|at| targets.row(at)[dimension]).collect();
        let dual = conjugate(&matrix, &wanted, *pull);
        for (row, value) in matrix.iter().zip(dual) {
            for (bucket, feature) in row {
                weights[*bucket as usize * dimensions + dimension] += (value * f64::from(*feature)) as f32;
            }
        }
    }
    Solution { dimensions, scaling, scale: vec![1.0; dimensions], weights }
}

/// Solves `(X Xᵀ + pull) dual = wanted`.
fn conjugate(matrix: &[Vec<(u32, f32)>], wanted: &[f64], pull: f64) -> Vec<f64> {
    let mut dual = vec![0.0; wanted.len()];
    let mut residual = wanted.to_vec();
    let mut direction = residual.clone();
    let mut square = dot(&residual, &residual);
    let enough = square * RESIDUAL * RESIDUAL;
    let mut primal = vec![0.0_f64; BUCKET_COUNT];
    for _ in 0..STEPS_MAX {
        if square <= enough || square == 0.0 {
            break;
        }
        let image = times(matrix, &direction, pull, &mut primal);
        let step = square / dot(&direction, &image);
        for ((d, r), (p, i)) in dual.iter_mut().zip(&mut residual).zip(direction.iter().zip(&image)) {
            *d += step * p;
            *r -= step * i;
        }
        let next = dot(&residual, &residual);
        for (p, r) in direction.iter_mut().zip(&residual) {
            *p = r + next / square * *p;
        }
        square = next;
    }
    dual
}

fn times(matrix: &[Vec<(u32, f32)>], vector: &[f64], pull: f64, primal: &mut [f64]) -> Vec<f64> {
    primal.fill(0.0);
    for (row, value) in matrix.iter().zip(vector) {
        for (bucket, feature) in row {
            primal[*bucket as usize] += value * f64::from(*feature);
        }
    }
    let image = |row: &Vec<(u32, f32)>| {
        row.iter().fold(0.0, |sum, (bucket, feature)| sum + primal[*bucket as usize] * f64::from(*feature))
    };
    matrix.iter().zip(vector).map(|(row, value)| image(row) + pull * value).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + a * b)
}

impl Solution {
    /// What a text of the design requires, scaled.
    pub(super) fn predict(&self, design: &Design, text: usize) -> Vec<f64> {
        let mut sums = vec![0.0; self.dimensions];
        for (bucket, feature) in design.row(text, &self.scaling) {
            let at = bucket as usize * self.dimensions;
            for (sum, weight) in sums.iter_mut().zip(&self.weights[at..at + self.dimensions]) {
                *sum += f64::from(feature) * f64::from(*weight);
            }
        }
        self.scaled(&sums)
    }

    /// The prediction in units of its own spread.
    pub(super) fn scaled(&self, sums: &[f64]) -> Vec<f64> {
        sums.iter().zip(&self.scale).map(|(sum, scale)| sum * scale).collect()
    }

    /// With the spread that requirements have over these texts as the unit. A dimension that was not predicted at all is
    /// muted: its scale is 0.
    pub(super) fn scaled_by(mut self, requires: &[Vec<f64>], targets: &Targets) -> Self {
        for (dimension, scale) in self.scale.iter_mut().enumerate() {
            let sum: f64 = requires.iter().map(|row| row[dimension] * row[dimension]).sum();
            let along: f64 = requires
                .iter()
                .enumerate()
                .map(|(at, row)| row[dimension] * targets.row(at)[dimension])
                .sum();
            let root = libm::sqrt(sum / requires.len().max(1) as f64);
            *scale = if along > 0.0 && root > 1e-6 { 1.0 / root } else { 0.0 };
        }
        self
    }

    /// The weights of every bucket, with what they are weights of.
    pub(super) fn into_parts(self) -> (Scaling, Vec<f32>, Vec<f64>) {
        (self.scaling, self.weights, self.scale)
    }
}
