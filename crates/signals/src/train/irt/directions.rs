//! The directions in which models differ from text to text: the leading eigenvectors of their scores' covariance.

use super::ridge::Targets;
use super::{DIMENSIONS_MAX, Table};

/// Sweeps of Jacobi's method; it converges quadratically, and ten are plenty for a hundred models.
const SWEEPS: usize = 12;

/// What the models have in common and where they part, over some texts.
pub(super) struct Directions {
    means: Vec<f64>,
    /// Models × dimensions.
    vectors: Vec<Vec<f64>>,
    dimensions: usize,
}

impl Directions {
    pub(super) fn of(table: &Table, texts: &[usize]) -> Self {
        let count = table.models.len();
        let means: Vec<f64> = (0..count)
            .map(|model| {
                let known: Vec<f64> = texts.iter().filter_map(|text| table.score(*text, model)).collect();
                if known.is_empty() { 0.5 } else { known.iter().sum::<f64>() / known.len() as f64 }
            })
            .collect();
        let mut covariance = vec![vec![0.0; count]; count];
        for text in texts {
            let rest: Vec<f64> = (0..count)
                .map(|model| table.score(*text, model).map_or(0.0, |score| score - means[model]))
                .collect();
            for (a, row) in covariance.iter_mut().enumerate() {
                for (b, sum) in row.iter_mut().enumerate() {
                    *sum += rest[a] * rest[b];
                }
            }
        }
        let (values, vectors) = eigen(covariance);
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by(|a, b| values[*b].total_cmp(&values[*a]));
        order.truncate(DIMENSIONS_MAX);
        let vectors = (0..count).map(|model| order.iter().map(|k| vectors[model][*k]).collect()).collect();
        Self { means, vectors, dimensions: order.len() }
    }

    /// Where each text lies along the directions. A model that was not asked counts as its mean.
    pub(super) fn targets(&self, table: &Table, texts: &[usize]) -> Targets {
        let mut values = Vec::with_capacity(texts.len() * self.dimensions);
        for text in texts {
            for dimension in 0..self.dimensions {
                let along = |model: usize| {
                    let rest = table.score(*text, model).map_or(0.0, |score| score - self.means[model]);
                    rest * self.vectors[model][dimension]
                };
                values.push((0..self.means.len()).map(along).sum());
            }
        }
        Targets { dimensions: self.dimensions, values }
    }
}

/// Eigenvalues and eigenvectors (in columns) of a symmetric matrix by Jacobi's rotations (Golub and Van Loan, 8.5).
fn eigen(mut a: Vec<Vec<f64>>) -> (Vec<f64>, Vec<Vec<f64>>) {
    let n = a.len();
    let mut v: Vec<Vec<f64>> =
        (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    for _ in 0..SWEEPS {
        for p in 0..n {
            for q in p + 1..n {
                if a[p][q].abs() > f64::MIN_POSITIVE {
                    rotate(&mut a, &mut v, p, q);
                }
            }
        }
    }
    ((0..n).map(|i| a[i][i]).collect(), v)
}

fn rotate(a: &mut [Vec<f64>], v: &mut [Vec<f64>], p: usize, q: usize) {
    let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
    let sign = if theta < 0.0 { -1.0 } else { 1.0 };
    let t = sign / (theta.abs() + libm::sqrt(theta * theta + 1.0));
    let c = 1.0 / libm::sqrt(t * t + 1.0);
    let s = t * c;
    for row in a.iter_mut().chain(v.iter_mut()) {
        let (x, y) = (row[p], row[q]);
        row[p] = c * x - s * y;
        row[q] = s * x + c * y;
    }
    // Here and above `p` comes before `q`.
    let (before, after) = a.split_at_mut(q);
    for (x, y) in before[p].iter_mut().zip(&mut after[0]) {
        (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
    }
}
