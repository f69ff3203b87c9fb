//! A weak and a strong model: which texts go up, against length, chance and hindsight.

use ::signals::train::irt::OutOfFold;
use anyhow::{Result, bail};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::Chance;
use super::curve::{Curve, Point, Worth};
use super::outcomes::Outcomes;
use super::sureness;

/// Shares sent up at which the accuracy is told.
const SHARES: [f64; 5] = [0.1, 0.25, 0.5, 0.75, 0.9];

/// The texts that both models answered.
pub(super) struct Pair {
    weak: String,
    strong: String,
    texts: usize,
    pub(super) routed: Curve,
    pub(super) length: Curve,
    pub(super) oracle: Curve,
    /// Predictions of both models with what came of them.
    pub(super) sureness: Vec<(f64, f64)>,
    ends: (f64, f64),
}

impl Pair {
    pub(super) fn of(outcomes: &Outcomes, predicted: &OutOfFold, weak: usize, strong: usize) -> Result<Self> {
        let table = &outcomes.table;
        let models = table.models.len();
        let (mut routed, mut length, mut oracle) = (Vec::new(), Vec::new(), Vec::new());
        let mut sureness = Vec::new();
        for (text, words) in table.texts.iter().enumerate() {
            let (Some(w), Some(s)) = (table.score(text, weak), table.score(text, strong)) else { continue };
            let right = &predicted.right[text * models..(text + 1) * models];
            let point = |urge: f64| Point { urge, weak: w, strong: s };
            routed.push(point(right[strong] - right[weak]));
            length.push(point(words.chars().count() as f64));
            oracle.push(point(s - w));
            sureness.extend([(right[weak], w), (right[strong], s)]);
        }
        if routed.is_empty() {
            bail!("no text was answered by both `{}` and `{}`", table.models[weak], table.models[strong]);
        }
        let count = routed.len() as f64;
        let mean = |of: fn(&Point) -> f64| routed.iter().map(of).sum::<f64>() / count;
        Ok(Self {
            weak: table.models[weak].clone(),
            strong: table.models[strong].clone(),
            texts: routed.len(),
            ends: (mean(|point| point.weak), mean(|point| point.strong)),
            routed: Curve::new(routed),
            length: Curve::new(length),
            oracle: Curve::new(oracle),
            sureness,
        })
    }

    /// All figures, with intervals for what routing is worth.
    pub(super) fn report(&self, chance: Chance) -> Value {
        let (routed, length, oracle) = (self.routed.worth(), self.length.worth(), self.oracle.worth());
        let apgr = |worth: Option<Worth>| worth.map(|worth| worth.apgr);
        let ratio = match (apgr(routed), apgr(oracle)) {
            (Some(routed), Some(oracle)) if oracle > 0.0 => Some(routed / oracle),
            _ => None,
        };
        let (interval, cpt50, cpt80) = self.intervals(chance);
        let sure = sureness::figures(&self.sureness);
        let at = |share: &f64| json!({ "share": share, "accuracy": self.routed.score_at(*share) });
        json!({
            "weak": self.weak,
            "strong": self.strong,
            "texts": self.texts,
            "apgr": apgr(routed),
            "apgr_interval": interval,
            "apgr_of_oracle": ratio,
            "cpt50": routed.map(|worth| worth.cpt50),
            "cpt50_interval": cpt50,
            "cpt80": routed.map(|worth| worth.cpt80),
            "cpt80_interval": cpt80,
            "ece": sure["ece"],
            "ece_plain": sure["ece_plain"],
            "brier": sure["brier"],
            "brier_skill": sure["brier_skill"],
            "accuracy_at": SHARES.iter().map(at).collect::<Vec<_>>(),
            "baselines": {
                "always_weak": { "accuracy": self.ends.0 },
                "always_strong": { "accuracy": self.ends.1 },
                "random": { "apgr": 0.5, "cpt50": 0.5, "cpt80": 0.8 },
                "length": length.map(shown),
                "oracle": oracle.map(shown),
            },
        })
    }

    /// The middle 95 % of APGR, CPT(50) and CPT(80) over resampled texts.
    fn intervals(&self, chance: Chance) -> ([f64; 2], [f64; 2], [f64; 2]) {
        let mut rng = ChaCha8Rng::seed_from_u64(chance.seed);
        let mut drawn: Vec<Worth> = Vec::with_capacity(chance.resamples as usize);
        let mut times = vec![0_u32; self.texts];
        for _ in 0..chance.resamples {
            times.fill(0);
            for _ in 0..self.texts {
                times[rng.random_range(0..self.texts)] += 1;
            }
            drawn.extend(self.routed.worth_of(&times));
        }
        let middle = |of: fn(&Worth) -> f64| {
            let mut values: Vec<f64> = drawn.iter().map(of).collect();
            middle(&mut values)
        };
        (middle(|worth| worth.apgr), middle(|worth| worth.cpt50), middle(|worth| worth.cpt80))
    }
}

/// The ends of the middle 95 %.
pub(super) fn middle(values: &mut [f64]) -> [f64; 2] {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let index = (values.len() as f64 * share) as usize;
        values.get(index.min(values.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
    };
    [at(0.025), at(0.975)]
}

fn shown(worth: Worth) -> Value {
    json!({ "apgr": worth.apgr, "cpt50": worth.cpt50, "cpt80": worth.cpt80 })
}
