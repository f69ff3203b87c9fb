//! How far probabilities can be believed: calibration error, Brier score, and the reliability diagram's points.

use ::signals::train::irt::OutOfFold;
use serde_json::{Value, json};

use super::outcomes::Outcomes;

/// Bins of equal mass.
const BINS: usize = 15;

/// A bin of predictions: how many, their mean, the mean outcome.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bin {
    pub(super) count: usize,
    pub(super) predicted: f64,
    pub(super) observed: f64,
}

/// Bins of equal mass over (predicted, observed).
pub(super) fn bins(pairs: &[(f64, f64)]) -> Vec<Bin> {
    let mut sorted = pairs.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let count = BINS.min(sorted.len().max(1));
    (0..count)
        .map(|bin| &sorted[bin * sorted.len() / count..(bin + 1) * sorted.len() / count])
        .filter(|part| !part.is_empty())
        .map(|part| {
            let mean = |of: fn(&(f64, f64)) -> f64| part.iter().map(of).sum::<f64>() / part.len() as f64;
            Bin { count: part.len(), predicted: mean(|pair| pair.0), observed: mean(|pair| pair.1) }
        })
        .collect()
}

/// Root mean square calibration error over bins of equal mass, less what chance adds to it (Kumar, Liang and Ma, 2019).
pub(super) fn debiased_ece(pairs: &[(f64, f64)]) -> f64 {
    let all = pairs.len().max(1) as f64;
    let square: f64 = bins(pairs)
        .iter()
        .map(|bin| {
            let gap = bin.predicted - bin.observed;
            let chance = bin.observed * (1.0 - bin.observed) / (bin.count.max(2) - 1) as f64;
            bin.count as f64 / all * (gap * gap - chance)
        })
        .sum();
    square.max(0.0).sqrt()
}

/// Mean absolute calibration error over bins of equal mass, as it stands.
pub(super) fn plain_ece(pairs: &[(f64, f64)]) -> f64 {
    let all = pairs.len().max(1) as f64;
    bins(pairs).iter().map(|bin| bin.count as f64 / all * (bin.predicted - bin.observed).abs()).sum()
}

/// Mean squared error, and what always saying the mean would have.
pub(super) fn brier(pairs: &[(f64, f64)]) -> (f64, f64) {
    let count = pairs.len().max(1) as f64;
    let mean = pairs.iter().map(|pair| pair.1).sum::<f64>() / count;
    let error = |of: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(|p| of(p) * of(p)).sum::<f64>() / count;
    (error(&|pair| pair.0 - pair.1), error(&|pair| mean - pair.1))
}

/// The figures of one set of predictions.
pub(super) fn figures(pairs: &[(f64, f64)]) -> Value {
    let (brier, base) = brier(pairs);
    json!({
        "outcomes": pairs.len(),
        "ece": debiased_ece(pairs),
        "ece_plain": plain_ece(pairs),
        "brier": brier,
        "brier_skill": if base > 0.0 { 1.0 - brier / base } else { 0.0 },
    })
}

/// Predictions of one model with what came of them.
pub(super) fn of_model(outcomes: &Outcomes, predicted: &OutOfFold, model: usize) -> Vec<(f64, f64)> {
    let table = &outcomes.table;
    (0..table.texts.len())
        .filter_map(|text| {
            Some((predicted.right[text * table.models.len() + model], table.score(text, model)?))
        })
        .collect()
}

/// The figures of every model by its name.
pub(super) fn by_model(outcomes: &Outcomes, predicted: &OutOfFold) -> Value {
    let of = |model: usize| {
        let mut figures = figures(&of_model(outcomes, predicted, model));
        figures["accuracy"] = outcomes.mean(model).into();
        (outcomes.table.models[model].clone(), figures)
    };
    Value::Object((0..outcomes.table.models.len()).map(of).collect())
}
