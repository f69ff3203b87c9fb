//! What the predictions are worth: ranking, calibration, and the lengths' coverage.

use serde::Serialize;

use super::learn::{log_tokens, logistic};
use super::{Label, Prediction, Sample};

/// Predictions of one model being right.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelReport {
    /// Outcomes of this model.
    pub outcomes: usize,
    /// Share of right answers.
    pub accuracy: Option<f64>,
    /// Probability that a right answer was given the higher prediction than a wrong one.
    pub auroc: Option<f64>,
    /// The same where the length of the prompt predicts, in its better direction.
    pub auroc_length: Option<f64>,
    /// Expected calibration error over ten bins of equal mass.
    pub ece: Option<f64>,
    /// Mean squared error of the probability.
    pub brier: Option<f64>,
    /// The same where the share of right answers is predicted throughout.
    pub brier_base: Option<f64>,
}

/// Sending questions to the cloud in the order of the predicted gain.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RoutingReport {
    /// Texts that both models answered.
    pub texts: usize,
    /// Average share of the gap between the models that is recovered, over all shares sent to the cloud.
    pub apgr: f64,
    /// The same where the longest prompts go first.
    pub apgr_length: f64,
}

/// Predictions of output lengths.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LengthReport {
    /// Outcomes whose length is known.
    pub outcomes: usize,
    /// Share of answers not longer than the predicted median; 0.5 is right.
    pub p50_coverage: Option<f64>,
    /// Share of answers not longer than the predicted 90th percentile; 0.9 is right.
    pub p90_coverage: Option<f64>,
    /// Median of the factor by which the predicted median misses.
    pub error_factor_p50: Option<f64>,
}

const BIN_COUNT: usize = 10;

/// Measures the predictions of one model.
pub(super) fn model(
    model: usize,
    samples: &[Sample],
    labels: &[Label],
    predictions: &[Prediction],
) -> ModelReport {
    let own = || labels.iter().filter(|label| label.model == model);
    let pairs: Vec<(f64, bool)> =
        own().map(|label| (logistic(predictions[label.sample].logits[model]), label.right)).collect();
    let lengths: Vec<(f64, bool)> =
        own().map(|label| (f64::from(samples[label.sample].chars), label.right)).collect();
    let accuracy = mean(pairs.iter().map(|(_, right)| f64::from(u8::from(*right))));
    ModelReport {
        outcomes: pairs.len(),
        accuracy,
        auroc: auroc(&pairs),
        auroc_length: auroc(&lengths).map(|auroc| auroc.max(1.0 - auroc)),
        ece: ece(&pairs),
        brier: mean(pairs.iter().map(|pair| squared_error(*pair))),
        brier_base: accuracy.map(|accuracy| accuracy * (1.0 - accuracy)),
    }
}

/// Measures the choice between device and cloud.
pub(super) fn routing(
    samples: &[Sample],
    labels: &[Label],
    predictions: &[Prediction],
) -> Option<RoutingReport> {
    let mut right: Vec<[Option<f64>; 2]> = vec![[None; 2]; samples.len()];
    for label in labels {
        right[label.sample][label.model] = Some(f64::from(u8::from(label.right)));
    }
    let both: Vec<(usize, f64, f64)> =
        right.iter().enumerate().filter_map(|(sample, right)| Some((sample, right[0]?, right[1]?))).collect();
    let gain = |sample: usize| {
        let [device, cloud] = predictions[sample].logits;
        logistic(cloud) - logistic(device)
    };
    Some(RoutingReport {
        texts: both.len(),
        apgr: apgr(&both, gain)?,
        apgr_length: apgr(&both, |sample| f64::from(samples[sample].chars))?,
    })
}

/// Measures the lengths.
pub(super) fn length(labels: &[Label], predictions: &[Prediction]) -> LengthReport {
    let known: Vec<(f64, [f64; 2])> = labels
        .iter()
        .filter(|label| label.output_tokens > 0)
        .map(|label| (log_tokens(label.output_tokens), predictions[label.sample].log_tokens))
        .collect();
    let covered = |quantile: usize| {
        mean(known.iter().map(|(is, predicted)| f64::from(u8::from(*is <= predicted[quantile]))))
    };
    let mut errors: Vec<f64> = known.iter().map(|(is, predicted)| (is - predicted[0]).abs()).collect();
    errors.sort_unstable_by(f64::total_cmp);
    LengthReport {
        outcomes: known.len(),
        p50_coverage: covered(0),
        p90_coverage: covered(1),
        error_factor_p50: errors.get(errors.len() / 2).map(|error| libm::exp(*error)),
    }
}

/// Mean over k of the recovered gap when the k texts with the highest score go to the cloud.
fn apgr(both: &[(usize, f64, f64)], score: impl Fn(usize) -> f64) -> Option<f64> {
    let gap: f64 = both.iter().map(|(_, device, cloud)| cloud - device).sum();
    if both.is_empty() || gap <= 0.0 {
        return None;
    }
    let mut ordered: Vec<(f64, usize, f64)> =
        both.iter().map(|(sample, device, cloud)| (score(*sample), *sample, cloud - device)).collect();
    ordered.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let (mut recovered, mut area) = (0.0, 0.0);
    for (_, _, gain) in &ordered {
        recovered += gain;
        area += recovered / gap;
    }
    Some(area / ordered.len() as f64)
}

/// The rank statistic of Mann and Whitney; ties share their ranks.
fn auroc(pairs: &[(f64, bool)]) -> Option<f64> {
    let mut ordered = pairs.to_vec();
    ordered.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let (mut rank_sum, mut right_count) = (0.0, 0.0);
    let mut start = 0;
    while start < ordered.len() {
        let tied = ordered[start..].iter().take_while(|pair| pair.0 == ordered[start].0).count().max(1);
        let rights = ordered[start..start + tied].iter().filter(|pair| pair.1).count() as f64;
        rank_sum += rights * (start as f64 + (tied as f64 + 1.0) / 2.0);
        right_count += rights;
        start += tied;
    }
    let wrong_count = ordered.len() as f64 - right_count;
    if right_count == 0.0 || wrong_count == 0.0 {
        return None;
    }
    Some((rank_sum - right_count * (right_count + 1.0) / 2.0) / (right_count * wrong_count))
}

fn ece(pairs: &[(f64, bool)]) -> Option<f64> {
    if pairs.is_empty() {
        return None;
    }
    let mut ordered = pairs.to_vec();
    ordered.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let gaps = (0..BIN_COUNT).map(|bin| {
        let (from, to) = (bin * ordered.len() / BIN_COUNT, (bin + 1) * ordered.len() / BIN_COUNT);
        let gap: f64 = ordered[from..to].iter().map(|(p, right)| p - f64::from(u8::from(*right))).sum();
        gap.abs()
    });
    Some(gaps.sum::<f64>() / ordered.len() as f64)
}

fn squared_error((p, right): (f64, bool)) -> f64 {
    let error = p - f64::from(u8::from(right));
    error * error
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}
