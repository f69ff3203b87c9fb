//! How far a difference may be chance: the paired bootstrap over items (Koehn 2004).

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

/// Resamples drawn; the interval's ends move by less than a tenth of its width from here on.
const RESAMPLES: usize = 2000;

/// A mean difference with its 95 % interval, in fractions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Difference {
    pub(super) mean: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// How much more often `left` is right than `right`, item by item.
pub(super) fn paired(left: &[bool], right: &[bool], seed: u64) -> Difference {
    let differences: Vec<i32> = left.iter().zip(right).map(|(l, r)| i32::from(*l) - i32::from(*r)).collect();
    let count = differences.len();
    if count == 0 {
        return Difference { mean: 0.0, low: 0.0, high: 0.0 };
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut resample = || {
        let sum: i32 = (0..count).map(|_| differences[rng.random_range(0..count)]).sum();
        f64::from(sum) / count as f64
    };
    let mut means: Vec<f64> = (0..RESAMPLES).map(|_| resample()).collect();
    means.sort_by(f64::total_cmp);
    let mean = f64::from(differences.iter().sum::<i32>()) / count as f64;
    Difference { mean, low: means[RESAMPLES / 40], high: means[RESAMPLES - 1 - RESAMPLES / 40] }
}

#[cfg(test)]
mod tests;
