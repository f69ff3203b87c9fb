//! What a policy would have cost, taken and got right, with intervals: seen where it was seen, expected elsewhere, and
//! weighed by propensity where chance had a part.

use super::row::{Figures, Row, Which};
use crate::policy::draw::Draw;

/// The figures, in the order in which they are printed.
pub(super) const FIGURES: [(&str, Get); 3] = [
    ("usd", |figures| figures.usd),
    ("seconds", |figures| figures.seconds),
    ("right", |figures| figures.right),
];

/// One of the figures.
pub(super) type Get = fn(&Figures) -> f64;

/// All estimates.
pub(super) struct Estimates {
    /// How each request's figure was made.
    pub(super) method: Method,
    /// In the order of [`FIGURES`].
    pub(super) figures: Vec<Compared>,
    pub(super) before: Known,
    pub(super) after: Known,
}

/// How a figure of a request that was not seen is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// What is expected of it, by the numbers of the policy.
    Expected,
    /// The same, mended by what was seen, weighed by one over the propensity (doubly robust).
    Weighed,
}

/// A figure under both policies: means over all requests.
pub(super) struct Compared {
    pub(super) name: &'static str,
    pub(super) before: Interval,
    pub(super) after: Interval,
    /// After less before, request by request.
    pub(super) change: Interval,
    /// Means of what is expected only.
    pub(super) expected_before: f64,
    pub(super) expected_after: f64,
    /// Means of what was seen only, weighed by one over the propensity (self-normalised); `None`: nothing was.
    pub(super) seen_before: Option<f64>,
    pub(super) seen_after: Option<f64>,
}

/// A mean with the middle 95 % of its resampled values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Interval {
    pub(super) mean: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// What is known of a policy from the log.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known {
    /// Requests that went where this policy sends them, with an outcome.
    pub(super) seen: u64,
    /// Requests that went where this policy sends them.
    pub(super) overlap: u64,
    /// How many equally weighed requests those seen are worth.
    pub(super) effective: f64,
    /// Requests without a place.
    pub(super) placeless: u64,
}

// === impl Estimates ===

impl Estimates {
    /// Estimates from rows, which must not be empty.
    pub(super) fn of(rows: &[Row], resamples: u32, seed: u64) -> Self {
        let by_chance = rows.iter().any(|row| row.propensity.is_some_and(|one| one < 1.0));
        let method = if by_chance { Method::Weighed } else { Method::Expected };
        let figures =
            FIGURES.iter().map(|(name, get)| compared(rows, name, *get, (method, resamples, seed))).collect();
        Self { method, figures, before: known(rows, Which::Before), after: known(rows, Which::After) }
    }
}

fn compared(rows: &[Row], name: &'static str, get: Get, how: (Method, u32, u64)) -> Compared {
    let (method, resamples, seed) = how;
    let pairs: Vec<(f64, f64)> = rows
        .iter()
        .map(|row| (figure(row, Which::Before, get, method), figure(row, Which::After, get, method)))
        .collect();
    let mut draw = Draw::new(seed);
    let (mut befores, mut afters, mut changes) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..resamples {
        let (mut before, mut after, mut change) = (0.0, 0.0, 0.0);
        for _ in 0..pairs.len() {
            let (was, is) = pairs[draw.below(pairs.len())];
            before += was;
            after += is;
            // Summed by itself, so that a policy that changes nothing changes exactly nothing.
            change += is - was;
        }
        let len = pairs.len() as f64;
        befores.push(before / len);
        afters.push(after / len);
        changes.push(change / len);
    }
    let mean = |of: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / pairs.len() as f64;
    let expected =
        |which| rows.iter().map(|row| get(&row.side(which).expected)).sum::<f64>() / rows.len() as f64;
    Compared {
        name,
        before: interval(mean(&|pair| pair.0), befores),
        after: interval(mean(&|pair| pair.1), afters),
        change: interval(mean(&|pair| pair.1 - pair.0), changes),
        expected_before: expected(Which::Before),
        expected_after: expected(Which::After),
        seen_before: seen(rows, Which::Before, get),
        seen_after: seen(rows, Which::After, get),
    }
}

/// The figure of a request on one side.
fn figure(row: &Row, which: Which, get: Get, method: Method) -> f64 {
    let expected = get(&row.side(which).expected);
    let Some(seen) = seen_figure(row, get) else { return expected };
    if !row.seen_on(which) {
        return expected;
    }
    match method {
        Method::Expected => seen,
        Method::Weighed => expected + (seen - expected) * row.weight(which),
    }
}

/// What was seen of a figure; `None`: nobody saw it.
fn seen_figure(row: &Row, get: Get) -> Option<f64> {
    let outcome = row.outcome?;
    // Whether it was right is known of fewer answers than the rest.
    let right = outcome.right.map_or(f64::NAN, f64::from);
    let figure = get(&Figures { usd: outcome.usd, seconds: outcome.seconds, right });
    figure.is_finite().then_some(figure)
}

fn seen(rows: &[Row], which: Which, get: Get) -> Option<f64> {
    let (mut sum, mut weights) = (0.0, 0.0);
    for row in rows.iter().filter(|row| row.seen_on(which)) {
        let Some(figure) = seen_figure(row, get) else { continue };
        let weight = row.weight(which);
        sum += weight * figure;
        weights += weight;
    }
    (weights > 0.0).then(|| sum / weights)
}

fn known(rows: &[Row], which: Which) -> Known {
    let mut known = Known::default();
    let (mut sum, mut squares) = (0.0, 0.0);
    for row in rows {
        known.placeless += u64::from(row.side(which).place.is_none());
        if !row.seen_on(which) {
            continue;
        }
        known.overlap += 1;
        if row.outcome.is_some() {
            known.seen += 1;
            let weight = row.weight(which);
            sum += weight;
            squares += weight * weight;
        }
    }
    known.effective = if squares > 0.0 { sum * sum / squares } else { 0.0 };
    known
}

fn interval(mean: f64, mut resampled: Vec<f64>) -> Interval {
    resampled.sort_by(f64::total_cmp);
    let last = resampled.len().saturating_sub(1) as f64;
    let at = |share: f64| resampled.get((share * last).round() as usize).copied().unwrap_or(mean);
    Interval { mean, low: at(0.025), high: at(0.975) }
}
