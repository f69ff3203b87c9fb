//! A line through what was seen: recursive least squares with forgetting, on relative residuals, with Huber's clipping
//! (Ljung, System Identification, 1999; Huber, 1964). Parameters are held to where they can be true.

/// What each observation takes from the weight of those before it: about the last five hundred count.
const DOUBT: f64 = 0.002;
/// Residuals above this many usual ones count as that many.
const CLIP_USUAL: f64 = 2.5;
/// Residuals that are usual at first, and bounds of what is usual later, as a share of what was expected.
const USUAL: (f64, f64, f64) = (0.5, 0.02, 1.0);
/// Weight of the newest residual in what is usual.
const USUAL_WEIGHT: f64 = 0.08;
/// Above this share residuals say that the worker has changed: then what was learned weighs less.
const CHANGED_USUAL: f64 = 0.4;
/// How much less, for each such observation.
const CHANGED_DOUBT: f64 = 0.1;
/// Residuals count as no less sure than this, or a worker that has changed would be learned the more slowly.
const NOISE_MAX: f64 = 0.3;
/// Above this share all that was believed is wrong alike, as of a worker that states another's rates: then all of it moves
/// at once, by this factor at most.
const LOST_USUAL: f64 = 0.6;
const LOST_FACTOR: f64 = 2.0;
/// No parameter grows beyond this multiple of its scale.
const PARAMETER_MAX: f64 = 1e4;
/// No time is shorter, seconds.
const SECONDS_MIN: f64 = 1e-6;

/// `N` parameters that are never negative, each in the scale that its feature gives it.
#[derive(Clone, Debug)]
pub(super) struct Fit<const N: usize> {
    parameters: [f64; N],
    covariance: [[f64; N]; N],
    variance: [f64; N],
    usual: f64,
    lessons: u32,
}

// === impl Fit ===

impl<const N: usize> Fit<N> {
    /// What is believed before anything was seen: each parameter's mean and standard deviation.
    pub(super) fn new(prior: [(f64, f64); N]) -> Self {
        let mut covariance = [[0.0; N]; N];
        for (index, (row, (_, deviation))) in covariance.iter_mut().zip(prior).enumerate() {
            row[index] = deviation * deviation;
        }
        let variance = prior.map(|(_, deviation)| deviation * deviation);
        Self { parameters: prior.map(|(mean, _)| mean), covariance, variance, usual: USUAL.0, lessons: 0 }
    }

    /// Seconds that these features take.
    pub(super) fn seconds(&self, features: &[f64; N]) -> f64 {
        dot(&self.parameters, features)
    }

    /// One parameter.
    pub(super) fn parameter(&self, index: usize) -> f64 {
        self.parameters.get(index).copied().unwrap_or_default()
    }

    /// How many observations it rests on.
    pub(super) fn lessons(&self) -> u32 {
        self.lessons
    }

    /// These features took so many seconds.
    pub(super) fn observe(&mut self, features: &[f64; N], seconds: f64) {
        if !(seconds.is_finite() && seconds >= 0.0)
            || features.iter().any(|one| !one.is_finite() || *one < 0.0)
        {
            return;
        }
        let expected = self.seconds(features).max(SECONDS_MIN);
        let row = features.map(|feature| feature / expected);
        let residual = (seconds - expected) / expected;
        let clip = CLIP_USUAL * self.usual;
        let moved = self.covariance.map(|line| dot(&line, &row));
        let noise = self.usual.min(NOISE_MAX).powi(2);
        let gain = moved.map(|one| one / (noise + dot(&row, &moved)));
        let all = if self.usual > LOST_USUAL { 1.0 + residual } else { 1.0 };
        let all = all.clamp(LOST_FACTOR.recip(), LOST_FACTOR);
        let next: [f64; N] = std::array::from_fn(|index| {
            let moved = self.parameters[index] + gain[index] * residual.clamp(-clip, clip);
            (moved * all).clamp(0.0, PARAMETER_MAX)
        });
        if next.iter().chain(&gain).any(|one| !one.is_finite()) {
            return;
        }
        self.parameters = next;
        self.lessons = self.lessons.saturating_add(1);
        self.usual += (residual.abs().min(USUAL.2) - self.usual) * USUAL_WEIGHT;
        self.usual = self.usual.clamp(USUAL.1, USUAL.2);
        self.spread(&gain, &moved);
    }

    /// What is left to learn after an observation, a little of which is always what it was before the first: in
    /// directions that nothing excites it then neither vanishes nor grows without end.
    fn spread(&mut self, gain: &[f64; N], moved: &[f64; N]) {
        let doubt = if self.usual > CHANGED_USUAL { CHANGED_DOUBT } else { DOUBT };
        for (index, (line, gain)) in self.covariance.iter_mut().zip(gain).enumerate() {
            for (one, moved) in line.iter_mut().zip(moved) {
                *one = (*one - gain * moved) * (1.0 - doubt);
            }
            line[index] += self.variance[index] * doubt;
        }
        // Rounding must not make it lopsided: then it would not stay positive.
        for index in 0..N {
            for other in 0..index {
                let mean = f64::midpoint(self.covariance[index][other], self.covariance[other][index]);
                self.covariance[index][other] = mean;
                self.covariance[other][index] = mean;
            }
        }
    }
}

fn dot<const N: usize>(a: &[f64; N], b: &[f64; N]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
