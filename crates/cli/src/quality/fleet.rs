//! Many models: the most often right for the money, against the best single one and against hindsight.

use ::signals::train::irt::OutOfFold;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::Chance;
use super::outcomes::Outcomes;
use super::pair::middle;

/// What a point of probability may be worth in units of price: from nothing to everything.
const STEPS: i32 = 60;

/// A text with the scores of every model.
struct Asked<'a> {
    right: &'a [f64],
    scores: Vec<f64>,
    fold: usize,
}

/// What a choice of models came to, text by text.
struct Came {
    score: Vec<f64>,
    price: Vec<f64>,
}

impl Came {
    fn mean(values: &[f64]) -> f64 {
        values.iter().sum::<f64>() / values.len().max(1) as f64
    }
}

/// The figures over texts that every model answered.
pub(super) fn report(outcomes: &Outcomes, predicted: &OutOfFold, chance: Chance) -> Value {
    let table = &outcomes.table;
    let models = table.models.len();
    let priced = outcomes.prices.iter().all(Option::is_some);
    let prices: Vec<f64> = outcomes.prices.iter().map(|price| price.unwrap_or(1.0)).collect();
    let asked: Vec<Asked<'_>> = (0..table.texts.len())
        .filter_map(|text| {
            let scores: Option<Vec<f64>> = (0..models).map(|model| table.score(text, model)).collect();
            let right = &predicted.right[text * models..(text + 1) * models];
            Some(Asked { right, scores: scores?, fold: predicted.folds[text] })
        })
        .collect();
    if asked.is_empty() {
        return Value::Null;
    }
    let single = |model: usize| Came::mean(&asked.iter().map(|one| one.scores[model]).collect::<Vec<_>>());
    let best = (0..models).max_by(|a, b| single(*a).total_cmp(&single(*b))).unwrap_or_default();
    let routed = routed(&asked, &prices, best);
    let hindsight = came(&asked, &prices, |one| pick(&one.scores, &prices, 1e-9));
    let curve: Vec<Value> = (0..=STEPS)
        .step_by(5)
        .map(|step| came(&asked, &prices, |one| pick(one.right, &prices, worth(step, &prices))))
        .map(|came| json!({ "price": Came::mean(&came.price), "score": Came::mean(&came.score) }))
        .collect();
    let gain = way(&routed.score, &asked, best, &hindsight.score, None);
    let mut rng = ChaCha8Rng::seed_from_u64(chance.seed);
    let mut gains: Vec<f64> = (0..chance.resamples)
        .map(|_| {
            let drawn: Vec<usize> = (0..asked.len()).map(|_| rng.random_range(0..asked.len())).collect();
            way(&routed.score, &asked, best, &hindsight.score, Some(&drawn))
        })
        .collect();
    json!({
        "texts": asked.len(),
        "priced": priced,
        "best_single": { "model": table.models[best], "score": single(best), "price": prices[best] },
        "routed": { "score": Came::mean(&routed.score), "price": Came::mean(&routed.price) },
        "oracle": { "score": Came::mean(&hindsight.score), "price": Came::mean(&hindsight.price) },
        "way_to_oracle": gain,
        "way_to_oracle_interval": middle(&mut gains),
        "curve": curve,
    })
}

/// Chooses for every fold what a probability is worth by the other folds: the best score that costs no more than the
/// best single model does.
fn routed(asked: &[Asked<'_>], prices: &[f64], best: usize) -> Came {
    let mut worths = Vec::new();
    for fold in 0..=asked.iter().map(|one| one.fold).max().unwrap_or_default() {
        let others: Vec<&Asked<'_>> = asked.iter().filter(|one| one.fold != fold).collect();
        let tried = (0..=STEPS).map(|step| {
            let weight = worth(step, prices);
            let (mut score, mut price) = (0.0, 0.0);
            for one in &others {
                let model = pick(one.right, prices, weight);
                score += one.scores[model];
                price += prices[model];
            }
            (weight, score, price)
        });
        let limit = prices[best] * others.len() as f64;
        let affordable = tried.filter(|(_, _, price)| *price <= limit);
        worths.push(affordable.max_by(|a, b| a.1.total_cmp(&b.1)).map_or(f64::INFINITY, |one| one.0));
    }
    came(asked, prices, |one| pick(one.right, prices, worths[one.fold]))
}

/// What a unit of price counts, in probability: from a ten-thousandth to ten, on a scale of equal ratios.
fn worth(step: i32, prices: &[f64]) -> f64 {
    let most = prices.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    10_f64.powf(-4.0 + 5.0 * f64::from(step) / f64::from(STEPS)) / most
}

/// The model with the most chance of being right less what its price counts; the cheaper of equals.
fn pick(right: &[f64], prices: &[f64], weight: f64) -> usize {
    let value = |model: &usize| right[*model] - weight.min(f64::MAX) * prices[*model];
    (0..right.len()).rev().max_by(|a, b| value(a).total_cmp(&value(b))).unwrap_or_default()
}

fn came(asked: &[Asked<'_>], prices: &[f64], pick: impl Fn(&Asked<'_>) -> usize) -> Came {
    let models: Vec<usize> = asked.iter().map(pick).collect();
    Came {
        score: asked.iter().zip(&models).map(|(one, model)| one.scores[*model]).collect(),
        price: models.iter().map(|model| prices[*model]).collect(),
    }
}

/// The share of the way from the best single model to hindsight, over these texts.
fn way(routed: &[f64], asked: &[Asked<'_>], best: usize, hindsight: &[f64], drawn: Option<&[usize]>) -> f64 {
    let (mut gained, mut possible) = (0.0, 0.0);
    let mut add = |at: usize| {
        let single = asked[at].scores[best];
        gained += routed[at] - single;
        possible += hindsight[at] - single;
    };
    match drawn {
        Some(drawn) => drawn.iter().copied().for_each(&mut add),
        None => (0..asked.len()).for_each(&mut add),
    }
    if possible > 0.0 { gained / possible } else { 0.0 }
}
