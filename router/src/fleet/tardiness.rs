//! How much later than predicted first tokens come: when one is so late that another worker may be quicker.

use std::time::Duration;

use parking_lot::Mutex;

/// First tokens that are remembered.
const REMEMBERED: usize = 128;
/// Fewer say nothing of the latest.
const REMEMBERED_MIN: usize = 20;
/// One in twenty is later.
const LATE: f64 = 0.95;
/// How late is late where too little was seen, times what was predicted.
const LATE_UNKNOWN: f64 = 2.0;
/// What was seen is not later than this, times what was predicted: an outlier is not to switch hedges off.
const LATE_MAX: f64 = 10.0;

/// Seen over predicted, of the last first tokens of all workers.
#[derive(Debug, Default)]
pub(super) struct Tardiness {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    ratios: Vec<f64>,
    next: usize,
    late: Option<f64>,
}

// === impl Tardiness ===

impl Tardiness {
    /// A first token came after so many seconds.
    pub(super) fn came(&self, seconds: f64, predicted: f64) {
        let ratio = seconds / predicted;
        if !ratio.is_finite() {
            return;
        }
        let mut state = self.state.lock();
        let at = state.next;
        match state.ratios.get_mut(at) {
            Some(oldest) => *oldest = ratio,
            None => state.ratios.push(ratio),
        }
        state.next = (at + 1) % REMEMBERED;
        state.late = None;
    }

    /// After how long a first token that is expected after `predicted` is late.
    pub(super) fn late_after(&self, predicted: Duration) -> Duration {
        let mut state = self.state.lock();
        let late = state.late.unwrap_or_else(|| quantile(&state.ratios));
        state.late = Some(late);
        predicted.mul_f64(late)
    }
}

/// The ratio that one in twenty is above, never below what was predicted.
fn quantile(ratios: &[f64]) -> f64 {
    if ratios.len() < REMEMBERED_MIN {
        return LATE_UNKNOWN;
    }
    let mut sorted = ratios.to_vec();
    let at = ((sorted.len() - 1) as f64 * LATE).round() as usize;
    let (_, late, _) = sorted.select_nth_unstable_by(at, f64::total_cmp);
    late.clamp(1.0, LATE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_is_what_one_in_twenty_is_above() {
        let tardiness = Tardiness::default();
        let late = |tardiness: &Tardiness| tardiness.late_after(Duration::from_secs(1)).as_secs_f64();
        assert!((late(&tardiness) - LATE_UNKNOWN).abs() < 1e-9, "before anything was seen");
        for index in 0..1000 {
            tardiness.came(1.0 + f64::from(index % 100) / 100.0, 1.0);
        }
        assert!((1.8..2.0).contains(&late(&tardiness)), "{}", late(&tardiness));
        for _ in 0..REMEMBERED {
            tardiness.came(0.1, 1.0);
        }
        assert!((late(&tardiness) - 1.0).abs() < 1e-9, "what comes sooner than predicted is not late");
        for _ in 0..REMEMBERED {
            tardiness.came(500.0, 1.0);
        }
        assert!((late(&tardiness) - LATE_MAX).abs() < 1e-9);
        tardiness.came(1.0, 0.0);
    }
}
