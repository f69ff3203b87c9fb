//! Learns the tagger by the averaged structured perceptron (Collins, 2002).

use std::collections::BTreeSet;

use super::{Annotated, shuffle};
use crate::container::Kind;
use crate::error::Error;
use crate::tagger::{Context, TOKENS_MAX, Tagger, best_path, tokens_of};

const EPOCH_COUNT: usize = 12;
/// Features that are kept: those that weigh most.
const FEATURES_KEPT: usize = 8_000;
/// How far a wrong sequence has to stay behind at each of its marks.
const MARGIN: i32 = 4;
/// The learned weights that are cut off at the greatest whole number: one in this many.
const CUT: usize = 20_000;

struct Sample {
    /// Features of each token, as indices.
    rows: Vec<Vec<u32>>,
    gold: Vec<usize>,
}

/// Weights with the sums that make their averages.
struct Averaged {
    now: Vec<i32>,
    sum: Vec<i64>,
}

// === impl Averaged ===

impl Averaged {
    fn new(length: usize) -> Self {
        Self { now: vec![0; length], sum: vec![0; length] }
    }

    /// `left`: steps still to come, for each of which this change counts.
    fn change(&mut self, at: usize, by: i32, left: i64) {
        self.now[at] += by;
        self.sum[at] += i64::from(by) * left;
    }
}

/// Learns from annotated texts. Returns the model as a file.
pub fn fit_tagger(texts: &[Annotated], seed: u64) -> Result<Vec<u8>, Error> {
    let types: BTreeSet<&str> =
        texts.iter().flat_map(|text| &text.spans).map(|(kind, _)| kind.as_str()).collect();
    let types: Vec<String> = types.into_iter().map(str::to_owned).collect();
    if types.is_empty() {
        return Err(Error::ModelField { model: Kind::Tagger.name(), field: "types" });
    }
    let marks = 1 + 2 * types.len();
    let mut samples: Vec<Sample> = texts.iter().map(|text| sample(text, &types)).collect();
    let keys = indexed(&mut samples);
    let mut weights = Averaged::new(keys.len() * marks);
    let mut moves = Averaged::new((marks + 1) * marks);
    let mut order: Vec<usize> = (0..samples.len()).collect();
    let mut state = seed;
    let mut left = (EPOCH_COUNT * samples.len()) as i64;
    for _ in 0..EPOCH_COUNT {
        shuffle(&mut order, &mut state);
        for index in &order {
            step(&samples[*index], &mut weights, &mut moves, left);
            left -= 1;
        }
    }
    Ok(quantised(types, &keys, &weights, &moves).to_bytes())
}

fn step(sample: &Sample, weights: &mut Averaged, moves: &mut Averaged, left: i64) {
    let marks = moves.now.len().isqrt();
    let mut scores = vec![0_i32; sample.rows.len() * marks];
    for ((row, own), gold) in scores.chunks_exact_mut(marks).zip(&sample.rows).zip(&sample.gold) {
        for bucket in own {
            for (sum, weight) in row.iter_mut().zip(&weights.now[*bucket as usize * marks..]) {
                *sum += weight;
            }
        }
        // A wrong mark has to lose by a margin.
        for (mark, sum) in row.iter_mut().enumerate() {
            *sum += if mark == *gold { 0 } else { MARGIN };
        }
    }
    let path = best_path(&scores, &moves.now, marks);
    let (mut gold_before, mut before) = (marks, marks);
    for ((own, gold), mark) in sample.rows.iter().zip(&sample.gold).zip(&path) {
        if gold != mark {
            for bucket in own {
                weights.change(*bucket as usize * marks + gold, 1, left);
                weights.change(*bucket as usize * marks + mark, -1, left);
            }
        }
        if gold != mark || gold_before != before {
            moves.change(gold_before * marks + gold, 1, left);
            moves.change(before * marks + mark, -1, left);
        }
        (gold_before, before) = (*gold, *mark);
    }
}

fn sample(text: &Annotated, types: &[String]) -> Sample {
    let tokens = tokens_of(&text.text, TOKENS_MAX);
    let mut gold = vec![0; tokens.len()];
    for (kind, range) in &text.spans {
        let Some(kind) = types.iter().position(|known| known == kind) else { continue };
        let mut began = false;
        for (token, mark) in tokens.iter().zip(&mut gold) {
            if token.start >= range.start && token.start < range.end {
                *mark = 1 + 2 * kind + usize::from(began);
                began = true;
            }
        }
    }
    let context = Context::of(&text.text, &tokens);
    let rows = (0..tokens.len()).map(|index| context.features(index).as_slice().to_vec());
    Sample { rows: rows.collect(), gold }
}

/// Puts the index of every feature in its place, and gives the features; those seen once teach nothing and go.
fn indexed(samples: &mut [Sample]) -> Vec<u32> {
    let mut all: Vec<u32> = samples.iter().flat_map(|sample| sample.rows.iter().flatten().copied()).collect();
    all.sort_unstable();
    let keys: Vec<u32> =
        all.chunk_by(|one, other| one == other).filter(|run| run.len() > 1).map(|run| run[0]).collect();
    for row in samples.iter_mut().flat_map(|sample| &mut sample.rows) {
        let index = |feature: &u32| keys.binary_search(feature).ok().map(|index| index as u32);
        *row = row.iter().filter_map(index).collect();
    }
    keys
}

/// Averages as small whole numbers with one scale for all, so that sums along a path stay exact, of the features that
/// weigh most.
fn quantised(types: Vec<String>, keys: &[u32], weights: &Averaged, moves: &Averaged) -> Tagger {
    let marks = 1 + 2 * types.len();
    let mut order: Vec<(i64, usize)> = weights
        .sum
        .chunks_exact(marks)
        .enumerate()
        .map(|(index, row)| (-row.iter().map(|sum| sum.abs()).sum::<i64>(), index))
        .collect();
    order.sort_unstable();
    let mut kept: Vec<usize> =
        order.iter().take(FEATURES_KEPT).filter(|(size, _)| *size < 0).map(|(_, index)| *index).collect();
    kept.sort_unstable();
    let mut sizes: Vec<i64> = weights.sum.iter().map(|sum| sum.abs()).collect();
    sizes.sort_unstable();
    let most = sizes[sizes.len() - 1 - sizes.len() / CUT].max(1) as f64;
    let scale = f64::from(i8::MAX) / most;
    // The casts saturate at the ends of the range.
    let whole = |sum: &i64| libm::round(*sum as f64 * scale);
    let rows = kept.iter().flat_map(|index| &weights.sum[index * marks..(index + 1) * marks]);
    let weights = rows.map(|sum| whole(sum) as i8).collect();
    let moves = moves.sum.iter().map(|sum| whole(sum).clamp(-1e6, 1e6) as i32).collect();
    Tagger::new(types, kept.iter().map(|index| keys[*index]).collect(), weights, moves)
}
