//! Sums up what became of many questions: how often right, by skill, how soon, for how much.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use skills::Skill;

use crate::ask::Answer;

/// One question's result.
#[derive(Debug, Clone)]
pub(super) struct Result {
    pub(super) skill: Skill,
    pub(super) right: bool,
    pub(super) cloud: bool,
    pub(super) usd: f64,
    pub(super) first_token: Duration,
    pub(super) total: Duration,
}

/// All questions put to one configuration.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Summary {
    /// Share of answers that were right.
    pub(super) exact_match: f64,
    /// Share of questions answered by a worker.
    pub(super) cloud_share: f64,
    /// All answers together, US dollars.
    pub(super) usd: f64,
    /// To the first token, milliseconds.
    pub(super) ttft_ms: Quantiles,
    /// To the end, milliseconds.
    pub(super) total_ms: Quantiles,
    /// Share right by skill.
    pub(super) skills: BTreeMap<&'static str, f64>,
}

/// The median and the 95th percentile.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Quantiles {
    pub(super) p50: f64,
    pub(super) p95: f64,
}

// === impl Result ===

impl Result {
    pub(super) fn new(skill: Skill, right: bool, answer: &Answer) -> Self {
        Self {
            skill,
            right,
            cloud: answer.place.contains('/'),
            usd: answer.price_usd,
            first_token: answer.first_token,
            total: answer.total,
        }
    }
}

// === impl Summary ===

impl Summary {
    pub(super) fn of(results: &[Result]) -> Self {
        let share = |matching: &dyn Fn(&Result) -> bool, among: &[&Result]| {
            let count = among.iter().filter(|result| matching(result)).count();
            count as f64 / among.len().max(1) as f64
        };
        let all: Vec<&Result> = results.iter().collect();
        let skills = Skill::ALL.into_iter().map(|skill| {
            let of_skill: Vec<&Result> = results.iter().filter(|result| result.skill == skill).collect();
            (skill.name(), share(&|result| result.right, &of_skill))
        });
        Self {
            exact_match: share(&|result| result.right, &all),
            cloud_share: share(&|result| result.cloud, &all),
            usd: results.iter().map(|result| result.usd).sum(),
            ttft_ms: Quantiles::of(results.iter().map(|result| result.first_token)),
            total_ms: Quantiles::of(results.iter().map(|result| result.total)),
            skills: skills.collect(),
        }
    }
}

// === impl Quantiles ===

impl Quantiles {
    fn of(durations: impl Iterator<Item = Duration>) -> Self {
        let mut milliseconds: Vec<f64> = durations.map(|duration| duration.as_secs_f64() * 1e3).collect();
        milliseconds.sort_by(f64::total_cmp);
        let at = |q: f64| {
            let rank = (q * milliseconds.len().saturating_sub(1) as f64).round() as usize;
            milliseconds.get(rank).copied().unwrap_or_default()
        };
        Self { p50: at(0.5), p95: at(0.95) }
    }
}
