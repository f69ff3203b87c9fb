//! What is counted of right and wrong answers, and how it is printed.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::Result;
use serde::Serialize;
use serde_json::Value;

/// What an evaluation prints; absent where it does not apply to the task.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Measures {
    pub(super) task: &'static str,
    pub(super) rows: usize,
    pub(super) accuracy: Option<f64>,
    pub(super) in_scope_accuracy: Option<f64>,
    pub(super) closed_set_accuracy: Option<f64>,
    pub(super) out_of_scope_recall: Option<f64>,
    pub(super) auroc: Option<f64>,
    pub(super) span_precision: Option<f64>,
    pub(super) span_recall: Option<f64>,
    pub(super) span_f1: Option<f64>,
    pub(super) recall: Option<f64>,
    pub(super) false_positive_rate: Option<f64>,
    pub(super) micros_p50: Option<f64>,
    /// Shares by group: right ones of how many.
    #[serde(serialize_with = "shares")]
    pub(super) groups: BTreeMap<String, Share>,
}

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) part: usize,
    pub(super) all: usize,
}

// === impl Share ===

impl Share {
    pub(super) fn count(&mut self, yes: bool) {
        self.part += usize::from(yes);
        self.all += 1;
    }

    /// A fraction; none of nothing.
    pub(super) fn fraction(self) -> Option<f64> {
        (self.all > 0).then(|| self.part as f64 / self.all as f64)
    }
}

fn shares<S: serde::Serializer>(groups: &BTreeMap<String, Share>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(groups.iter().map(|(name, share)| (name, (share.part, share.all))))
}

// === impl Measures ===

impl Measures {
    pub(super) fn group(&mut self, name: &str, yes: bool) {
        self.groups.entry(name.to_owned()).or_default().count(yes);
    }

    /// These and those of other rows together: shares by their rows, times and areas by the mean.
    pub(super) fn with(mut self, other: Self) -> Self {
        let (own, others) = (self.rows as f64, other.rows as f64);
        let mean = |one: Option<f64>, other: Option<f64>| match (one, other) {
            (Some(one), Some(other)) => Some((one * own + other * others) / (own + others)),
            (one, other) => one.or(other),
        };
        self.accuracy = mean(self.accuracy, other.accuracy);
        self.in_scope_accuracy = mean(self.in_scope_accuracy, other.in_scope_accuracy);
        self.closed_set_accuracy = mean(self.closed_set_accuracy, other.closed_set_accuracy);
        self.out_of_scope_recall = mean(self.out_of_scope_recall, other.out_of_scope_recall);
        self.auroc = mean(self.auroc, other.auroc);
        self.span_precision = mean(self.span_precision, other.span_precision);
        self.span_recall = mean(self.span_recall, other.span_recall);
        self.span_f1 = mean(self.span_f1, other.span_f1);
        self.recall = mean(self.recall, other.recall);
        self.false_positive_rate = mean(self.false_positive_rate, other.false_positive_rate);
        self.micros_p50 = mean(self.micros_p50, other.micros_p50);
        self.rows += other.rows;
        for (name, share) in other.groups {
            let all = self.groups.entry(name).or_default();
            all.part += share.part;
            all.all += share.all;
        }
        self
    }

    /// One object, or a table.
    pub(super) fn print(&self, json: bool, out: &mut impl Write) -> Result<()> {
        let value = serde_json::to_value(self)?;
        if json {
            writeln!(out, "{value}")?;
            return Ok(());
        }
        for (name, value) in value.as_object().into_iter().flatten() {
            match value {
                Value::Number(number) if number.is_f64() => {
                    writeln!(out, "{name:<22} {:>9.4}", number.as_f64().unwrap_or_default())?;
                }
                Value::Number(_) | Value::String(_) => {
                    writeln!(out, "{name:<22} {:>9}", value.to_string().trim_matches('"'))?;
                }
                _ => {}
            }
        }
        for (name, share) in &self.groups {
            let fraction = share.fraction().unwrap_or_default();
            writeln!(out, "  {name:<38} {fraction:>7.4}  {:>6} of {}", share.part, share.all)?;
        }
        Ok(())
    }
}

/// The probability that a positive scores above a negative (Mann and Whitney), ties counting half.
pub(super) fn auroc(positives: &[f32], negatives: &[f32]) -> Option<f64> {
    if positives.is_empty() || negatives.is_empty() {
        return None;
    }
    let mut all: Vec<(f32, bool)> = positives.iter().map(|score| (*score, true)).collect();
    all.extend(negatives.iter().map(|score| (*score, false)));
    all.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (mut below, mut wins) = (0_usize, 0.0);
    for ties in all.chunk_by(|one, other| one.0 == other.0) {
        let positive = ties.iter().filter(|(_, positive)| *positive).count();
        let negative = ties.len() - positive;
        wins += positive as f64 * (below as f64 + negative as f64 / 2.0);
        below += negative;
    }
    Some(wins / (positives.len() as f64 * negatives.len() as f64))
}

/// The middle one.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auroc_counts_pairs_in_order() {
        assert_eq!(auroc(&[2.0, 3.0], &[0.0, 1.0]), Some(1.0));
        assert_eq!(auroc(&[1.0], &[1.0]), Some(0.5));
        assert_eq!(auroc(&[0.0, 2.0], &[1.0]), Some(0.5));
        assert_eq!(auroc(&[], &[1.0]), None);
    }
}
