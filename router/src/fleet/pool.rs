//! What all workers have on average, kept up by each as it changes: a request must not ask ten thousand for it.

use parking_lot::Mutex;

use super::predict::{Pool, Predictor, Rates};
use super::tardiness::Tardiness;

/// Sums over the workers that were heard of.
#[derive(Debug, Default)]
pub(super) struct Pools {
    sums: Mutex<(Share, Pool)>,
    pub(super) tardiness: Tardiness,
}

/// What one worker adds, or all of them together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Share {
    workers: f64,
    others: f64,
    queued_tokens: f64,
    timed: f64,
    prompt_token: f64,
    output_token: f64,
    /// Observations that its parameters rest on.
    lessons: u64,
}

// === impl Share ===

impl Share {
    /// A worker as it is now. One whose last report is too `old` says nothing of how loaded the others may be: the average
    /// would outlive what it was made of.
    pub(super) fn of(predictor: &Predictor, old: bool) -> Self {
        let (others, queued_tokens) = if old { (0.0, 0.0) } else { predictor.known() };
        let rates = predictor.rates();
        let of = |rate: fn(Rates) -> f64| rates.map_or(0.0, rate);
        Self {
            workers: f64::from(u8::from(!old)),
            others,
            queued_tokens,
            timed: of(|_| 1.0),
            prompt_token: of(|rates| rates.prompt_token),
            output_token: of(|rates| rates.output_token),
            lessons: u64::from(predictor.lessons()),
        }
    }

    /// The same with one part changed.
    fn with(&self, was: &Self, is: &Self) -> Self {
        let sum = |of: fn(&Self) -> f64| (of(self) + of(is) - of(was)).max(0.0);
        Self {
            workers: sum(|one| one.workers),
            others: sum(|one| one.others),
            queued_tokens: sum(|one| one.queued_tokens),
            timed: sum(|one| one.timed),
            prompt_token: sum(|one| one.prompt_token),
            output_token: sum(|one| one.output_token),
            // Sums in integers wrap and come back.
            lessons: self.lessons.wrapping_add(is.lessons).wrapping_sub(was.lessons),
        }
    }

    fn mean(&self) -> Pool {
        let over = |sum: f64, count: f64| if count >= 0.5 { sum / count } else { 0.0 };
        Pool {
            rates: (self.timed >= 0.5).then(|| Rates {
                prompt_token: over(self.prompt_token, self.timed),
                output_token: over(self.output_token, self.timed),
            }),
            others: over(self.others, self.workers),
            queued_tokens: over(self.queued_tokens, self.workers),
        }
    }
}

// === impl Pools ===

impl Pools {
    /// A worker that was so is now otherwise.
    pub(super) fn replace(&self, was: &Share, is: &Share) {
        let mut sums = self.sums.lock();
        sums.0 = sums.0.with(was, is);
        sums.1 = sums.0.mean();
    }

    /// The average worker.
    pub(super) fn mean(&self) -> Pool {
        self.sums.lock().1
    }

    /// Observations that all parameters rest on.
    pub(super) fn lessons(&self) -> u64 {
        self.sums.lock().0.lessons
    }
}
