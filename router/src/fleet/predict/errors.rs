//! How far predictions were off: the quantiles of the last relative errors.

/// Errors that are kept.
const KEPT: usize = 128;
/// What is off by more is off by this.
const ERROR_MAX: f64 = 100.0;

/// The last relative errors.
#[derive(Clone, Debug)]
pub(super) struct Errors {
    last: Vec<f32>,
    next: usize,
}

// === impl Errors ===

impl Errors {
    /// None yet.
    pub(super) const fn new() -> Self {
        Self { last: Vec::new(), next: 0 }
    }

    /// Keeps one and says what it is; `None`: there is nothing to compare.
    pub(super) fn observe(&mut self, predicted: f64, seconds: f64) -> Option<f64> {
        let error = ((predicted - seconds) / seconds).abs();
        if !(seconds > 0.0 && error.is_finite()) {
            return None;
        }
        let error = error.min(ERROR_MAX);
        match self.last.get_mut(self.next) {
            Some(oldest) => *oldest = error as f32,
            None => self.last.push(error as f32),
        }
        self.next = (self.next + 1) % KEPT;
        Some(error)
    }

    /// Median and 95th percentile; `None`: nothing was predicted yet.
    pub(super) fn quantiles(&self) -> Option<[f64; 2]> {
        let mut sorted = self.last.clone();
        sorted.sort_unstable_by(f32::total_cmp);
        let at = |share: f64| {
            let index = (share * (sorted.len().saturating_sub(1)) as f64).round() as usize;
            sorted.get(index).copied().map(f64::from)
        };
        Some([at(0.5)?, at(0.95)?])
    }
}
