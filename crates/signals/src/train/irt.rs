//! Multidimensional item response theory (Reckase, 2009) with requirements that are predicted from the text.
//!
//! A text requires a vector, a model has a vector of abilities, and
//! `p(right) = sigmoid(ability · requirement + ease)`. Requirements are linear in what can be seen of the text, found by
//! ridge regression on the directions in which models differ; abilities are found by logistic regression on
//! requirements of texts that were not learned from. A model is added by fitting its own few numbers.

use serde::{Deserialize, Serialize};

use super::{FOLD_COUNT, TEXTS_MIN, mix};
use crate::error::Error;

mod directions;
mod features;
mod ridge;
mod ability;
#[cfg(test)]
mod tests;

pub use ability::Ability;

use directions::Directions;
use features::Design;

/// Most dimensions of a requirement.
pub const DIMENSIONS_MAX: usize = 8;

/// Pulls towards zero that may be tried, and the one tried first: the more noise in the outcomes, the more of it.
const PULLS: [f64; 7] = [0.1, 0.3, 1.0, 3.0, 8.0, 24.0, 72.0];
const PULL_FIRST: usize = 4;

/// Outcomes of several models on several texts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Different texts.
    pub texts: Vec<String>,
    /// Names of the models.
    pub models: Vec<String>,
    /// For each text and model the share of right answers in [0, 1], or `None` where it was not asked: texts × models.
    pub scores: Vec<Option<f64>>,
}

/// What was predicted for texts by models of requirement and ability that have not seen them.
#[derive(Clone, Debug, PartialEq)]
pub struct OutOfFold {
    /// Probability of each model being right: texts × models.
    pub right: Vec<f64>,
    /// The fold of each text.
    pub folds: Vec<usize>,
}

/// Requirements and abilities learned from a whole table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fitted {
    /// What predicts requirements.
    pub requirement: Requirement,
    /// Each model's name with what it can do.
    pub abilities: Vec<(String, Ability)>,
}

/// Predicts what a text requires. Weights of hashed features, all dimensions side by side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Requirement {
    dimensions: usize,
    scaling: features::Scaling,
    weights: Vec<f32>,
    /// Multiplies each dimension, so that it varies by one over the texts learned from; 0: it says nothing.
    scale: Vec<f64>,
}

// === impl Table ===

impl Table {
    /// The score of `model` on `text`.
    pub fn score(&self, text: usize, model: usize) -> Option<f64> {
        self.scores.get(text * self.models.len() + model).copied().flatten()
    }

    /// The same texts and scores of these models only.
    pub fn of_models(&self, models: &[usize]) -> Self {
        let scores = (0..self.texts.len())
            .flat_map(|text| models.iter().map(move |model| self.score(text, *model)))
            .collect();
        let names = models.iter().filter_map(|model| self.models.get(*model).cloned()).collect();
        Self { texts: self.texts.clone(), models: names, scores }
    }

    /// The fold of each text. It hangs on the text and the seed alone.
    pub fn folds(&self, seed: u64) -> Vec<usize> {
        let fold = |text: &String| {
            let digest = blake3::hash(text.as_bytes());
            let (first, _) = digest.as_bytes().split_first_chunk().unwrap_or((&[0; 8], &[]));
            (mix(u64::from_le_bytes(*first) ^ seed) % FOLD_COUNT as u64) as usize
        };
        self.texts.iter().map(fold).collect()
    }

    fn checked(&self) -> Result<(), Error> {
        if self.texts.len() < TEXTS_MIN || self.models.is_empty() {
            let given = self.scores.iter().flatten().count();
            return Err(Error::TooFewOutcomes { given, texts: self.texts.len(), min: TEXTS_MIN });
        }
        Ok(())
    }
}

/// Predicts every text from the other folds. Nothing of a fold enters what predicts it: neither features' weights, nor
/// directions, nor abilities, nor the choice of the pull.
pub fn out_of_fold(table: &Table, seed: u64) -> Result<OutOfFold, Error> {
    table.checked()?;
    let folds = table.folds(seed);
    let design = Design::new(&table.texts);
    let mut right = vec![0.0; table.texts.len() * table.models.len()];
    for fold in 0..FOLD_COUNT {
        let (own, others): (Vec<usize>, Vec<usize>) = (0..folds.len()).partition(|text| folds[*text] == fold);
        let learned = learn(table, &design, &others, &folds);
        for text in own {
            let requires = learned.solution.predict(&design, text);
            for (model, ability) in learned.abilities.iter().enumerate() {
                right[text * table.models.len() + model] = ability.right(&requires);
            }
        }
    }
    Ok(OutOfFold { right, folds })
}

/// Learns from the whole table.
pub fn fit(table: &Table, seed: u64) -> Result<Fitted, Error> {
    table.checked()?;
    let design = Design::new(&table.texts);
    let all: Vec<usize> = (0..table.texts.len()).collect();
    let learned = learn(table, &design, &all, &table.folds(seed));
    let dimensions = learned.solution.dimensions;
    let (scaling, weights, scale) = learned.solution.into_parts();
    let requirement = Requirement { dimensions, scaling, weights, scale };
    Ok(Fitted { requirement, abilities: table.models.iter().cloned().zip(learned.abilities).collect() })
}

impl Fitted {
    /// What a model can do, from outcomes on texts whose requirements are already understood. The other models and the
    /// requirements stay as they are.
    pub fn ability(&self, outcomes: &[(&str, f64)]) -> Ability {
        let rows: Vec<(Vec<f64>, f64)> =
            outcomes.iter().map(|(text, right)| (self.requirement.of(text), *right)).collect();
        Ability::fit(&rows, &Ability::typical(self.abilities.iter().map(|(_, ability)| ability)))
    }
}

impl Requirement {
    /// What this text requires.
    pub fn of(&self, text: &str) -> Vec<f64> {
        let row = self.scaling.row(text);
        (0..self.dimensions)
            .map(|dimension| {
                let sum = row.iter().fold(0.0, |sum, (bucket, value)| {
                    let at = *bucket as usize * self.dimensions + dimension;
                    sum + f64::from(*value) * f64::from(self.weights.get(at).copied().unwrap_or_default())
                });
                sum * self.scale.get(dimension).copied().unwrap_or_default()
            })
            .collect()
    }
}

/// What was learned from some of the texts.
struct Learned {
    solution: ridge::Solution,
    abilities: Vec<Ability>,
}

/// Requirements from `texts`, and abilities from requirements that each fold's texts get from the other folds.
fn learn(table: &Table, design: &Design, texts: &[usize], folds: &[usize]) -> Learned {
    let directions = Directions::of(table, texts);
    let targets = directions.targets(table, texts);
    let tried = tried(|pull| crosswise(design, texts, &targets, folds, pull));
    let (pulls, inner) = best_of(&tried, targets.dimensions);
    let solution = ridge::solve(design, texts, &targets, &pulls).scaled_by(&inner, &targets);
    let abilities = (0..table.models.len())
        .map(|model| {
            let rows: Vec<(Vec<f64>, f64)> = texts
                .iter()
                .zip(&inner)
                .filter_map(|(text, requires)| {
                    table.score(*text, model).map(|right| (solution.scaled(requires), right))
                })
                .collect();
            Ability::fit(&rows, &Ability::unknown(solution.dimensions))
        })
        .collect();
    Learned { solution, abilities }
}

/// Pulls that were tried within the learned-from texts: from the first, downhill as long as it helps.
fn tried(attempt: impl Fn(f64) -> Crosswise) -> Vec<Crosswise> {
    let first = attempt(PULLS[PULL_FIRST]);
    let mut best = first.error();
    let mut all = vec![first];
    for step in [-1, 1] {
        let mut at = PULL_FIRST;
        while let Some(next) = at.checked_add_signed(step).filter(|next| *next < PULLS.len()) {
            all.push(attempt(PULLS[next]));
            let error = all.last().map_or(f64::INFINITY, Crosswise::error);
            if error >= best {
                break;
            }
            (at, best) = (next, error);
        }
    }
    all
}

/// For each dimension the pull that predicted it best, and what it predicted.
fn best_of(tried: &[Crosswise], dimensions: usize) -> (Vec<f64>, Vec<Vec<f64>>) {
    let best: Vec<&Crosswise> = (0..dimensions)
        .filter_map(|dimension| {
            tried.iter().min_by(|a, b| a.errors[dimension].total_cmp(&b.errors[dimension]))
        })
        .collect();
    let texts = tried.first().map_or(0, |one| one.requires.len());
    let requires = (0..texts)
        .map(|text| best.iter().enumerate().map(|(dimension, one)| one.requires[text][dimension]).collect())
        .collect();
    (best.iter().map(|one| one.pull).collect(), requires)
}

/// Requirements of texts by what the other folds taught, before they are scaled.
struct Crosswise {
    pull: f64,
    requires: Vec<Vec<f64>>,
    /// Squared misses of each dimension.
    errors: Vec<f64>,
}

impl Crosswise {
    fn error(&self) -> f64 {
        self.errors.iter().sum()
    }
}

fn crosswise(
    design: &Design,
    texts: &[usize],
    targets: &ridge::Targets,
    folds: &[usize],
    pull: f64,
) -> Crosswise {
    let mut requires = vec![vec![0.0; targets.dimensions]; texts.len()];
    for fold in 0..FOLD_COUNT {
        let (own, others): (Vec<usize>, Vec<usize>) =
            (0..texts.len()).partition(|at| folds[texts[*at]] == fold);
        if own.is_empty() || others.is_empty() {
            continue;
        }
        let rows: Vec<usize> = others.iter().map(|at| texts[*at]).collect();
        let solution = ridge::solve(design, &rows, &targets.of(&others), &vec![pull; targets.dimensions]);
        for at in own {
            requires[at] = solution.predict(design, texts[at]);
        }
    }
    let mut errors = vec![0.0; targets.dimensions];
    for (at, predicted) in requires.iter().enumerate() {
        for ((error, p), t) in errors.iter_mut().zip(predicted).zip(targets.row(at)) {
            *error += (p - t) * (p - t);
        }
    }
    Crosswise { pull, requires, errors }
}
