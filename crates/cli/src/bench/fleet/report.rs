//! What a replay says: errors of prediction, and times of each way to choose.

use std::io::Write;
use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use super::choose::Way;
use super::hits::Hits;
use super::kind::Kind;
use super::replay::Replayed;

/// An answer is good when its first token came within these seconds for each thousand prompt tokens, and one more, and
/// each later one within the second number.
const GOOD_SECONDS: (f64, f64) = (0.5, 0.1);

/// One replay.
#[derive(Debug)]
pub(super) struct Row {
    trace: &'static str,
    pace: f64,
    way: Way,
    requests: usize,
    first_error: Quantiles,
    token_error: Quantiles,
    first: Quantiles,
    token: Quantiles,
    total: Quantiles,
    good: f64,
    busy: Vec<f64>,
}

/// All replays.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) recorded: bool,
    pub(super) data: Option<&'a Path>,
    pub(super) kinds: &'a [Kind],
    pub(super) rows: &'a [Row],
    pub(super) hits: &'a [Hits],
}

/// Median and 95th percentile.
#[derive(Clone, Copy, Debug)]
struct Quantiles {
    count: usize,
    p50: f64,
    p95: f64,
}

// === impl Quantiles ===

impl Quantiles {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| {
            let index = (share * values.len().saturating_sub(1) as f64).round() as usize;
            values.get(index).copied().unwrap_or(f64::NAN)
        };
        Self { count: values.len(), p50: at(0.5), p95: at(0.95) }
    }

    fn json(&self) -> Value {
        json!({ "count": self.count, "p50": self.p50, "p95": self.p95 })
    }
}

// === impl Row ===

impl Row {
    pub(super) fn new(trace: &'static str, pace: f64, way: Way, replayed: &Replayed) -> Self {
        let all = &replayed.outcomes;
        let off = |predicted: f64, seen: f64| (predicted - seen).abs() / seen;
        let good = all.iter().filter(|one| {
            let first_max = 1.0 + GOOD_SECONDS.0 * f64::from(one.prompt) / 1e3;
            one.first <= first_max && one.token.is_none_or(|token| token <= GOOD_SECONDS.1)
        });
        Self {
            trace,
            pace,
            way,
            requests: all.len(),
            first_error: Quantiles::of(all.iter().filter_map(|one| Some(off(one.predicted?.0, one.first)))),
            token_error: Quantiles::of(all.iter().filter_map(|one| Some(off(one.predicted?.1, one.token?)))),
            first: Quantiles::of(all.iter().map(|one| one.first)),
            token: Quantiles::of(all.iter().filter_map(|one| one.token)),
            total: Quantiles::of(all.iter().map(|one| one.total)),
            good: good.count() as f64 / all.len().max(1) as f64,
            busy: replayed.busy.clone(),
        }
    }

    fn json(&self) -> Value {
        json!({
            "trace": self.trace,
            "pace": self.pace,
            "way": self.way.name(),
            "requests": self.requests,
            "first_token_error": self.first_error.json(),
            "output_token_error": self.token_error.json(),
            "first_token_seconds": self.first.json(),
            "output_token_seconds": self.token.json(),
            "total_seconds": self.total.json(),
            "good": self.good,
            "busy": self.busy,
        })
    }
}

// === impl Report ===

impl Report<'_> {
    /// Everything.
    pub(super) fn json(&self, seed: u64) -> Value {
        json!({
            "recorded": self.recorded,
            "seed": seed,
            "workers": self.kinds.iter().map(|kind| &kind.name).collect::<Vec<_>>(),
            "length_coverage": null,
            "length_coverage_missing": LENGTHS,
            "rows": self.rows.iter().map(Row::json).collect::<Vec<_>>(),
            "caches": self.hits.iter().map(Hits::json).collect::<Vec<_>>(),
        })
    }

    /// A table.
    pub(super) fn print(&self, out: &mut impl Write) -> Result<()> {
        match (self.recorded, self.data) {
            (true, _) => {}
            (false, Some(data)) => writeln!(
                out,
                "{}: there is no folder `traces` in it. Requests are made up, and workers timed by arithmetic.\n",
                data.display()
            )?,
            (false, None) => {
                writeln!(out, "Without --data, requests are made up and workers timed by arithmetic.\n")?;
            }
        }
        let names: Vec<_> = self.kinds.iter().map(|kind| kind.name.as_str()).collect();
        writeln!(out, "workers: {} (simulated)", names.join(", "))?;
        if !self.rows.is_empty() {
            self.print_rows(out)?;
        }
        self.hits.iter().try_for_each(|one| one.print(out))
    }

    fn print_rows(&self, out: &mut impl Write) -> Result<()> {
        writeln!(
            out,
            "\n{:24} {:>6} {:15} {:>13} {:>13} {:>15} {:>15} {:>13} {:>5}",
            "trace",
            "pace",
            "chosen by",
            "TTFT error",
            "token error",
            "TTFT s",
            "token ms",
            "whole s",
            "good"
        )?;
        writeln!(
            out,
            "{:24} {:>6} {:15} {:>13} {:>13} {:>15} {:>15} {:>13} {:>5}",
            "", "", "", "p50    p95", "p50    p95", "p50     p95", "p50     p95", "p50    p95", "%"
        )?;
        for row in self.rows {
            let percent = |of: Quantiles| format!("{:5.1}% {:5.1}%", of.p50 * 1e2, of.p95 * 1e2);
            let times = |of: Quantiles, scale: f64| format!("{:7.2} {:7.2}", of.p50 * scale, of.p95 * scale);
            writeln!(
                out,
                "{:24} {:>6} {:15} {:>13} {:>13} {:>15} {:>15} {:>13} {:>5.1}",
                row.trace,
                row.pace,
                row.way.name(),
                percent(row.first_error),
                percent(row.token_error),
                times(row.first, 1.0),
                times(row.token, 1e3),
                format!("{:6.1} {:6.1}", row.total.p50, row.total.p95),
                row.good * 1e2
            )?;
        }
        writeln!(
            out,
            "\nErrors are relative; that of the time per token is given the answer's true length. {LENGTHS}"
        )?;
        Ok(())
    }
}

/// Why no coverage of predicted lengths is told.
const LENGTHS: &str = "Lengths are predicted from text, which traces do not have: `causeway signals eval` tells their coverage.";
