//! What of recorded prompts is found in caches of bounded room, by how workers are chosen.

use std::io::Write;

use anyhow::Result;
use serde_json::{Value, json};

use super::caches::{Caches, different, found_without_end};
use super::choose::Way;
use super::kind::{GPUS, Kind};
use super::replay::{Replayed, replay_with};
use super::trace::Request;

/// Workers, all alike.
const WORKERS: usize = 4;
/// The share of all blocks that the cache of each has room for.
const ROOM: f64 = 0.4;
/// The aims: the share of what a cache without end finds, and the load of the busiest worker over the mean.
const AIMS: (f64, f64) = (0.9, 1.5);
/// Ways to choose.
const WAYS: [Way; 4] = [Way::Cached, Way::Predicted, Way::LeastRequests, Way::RoundRobin];

/// One replay.
#[derive(Debug)]
pub(super) struct Row {
    pace: f64,
    way: Way,
    found: f64,
    load: f64,
    busy: Vec<f64>,
    first: [f64; 2],
}

/// All replays of one trace.
#[derive(Debug)]
pub(super) struct Hits {
    trace: &'static str,
    requests: usize,
    blocks: usize,
    without_end: f64,
    rows: Vec<Row>,
}

/// Replays them; `None`: nobody recorded what these prompts have in common.
pub(super) fn hits(
    (trace, paces): (&'static str, &[f64]),
    requests: &[Request],
    kinds: &[Kind],
    seed: u64,
) -> Result<Option<Hits>> {
    let blocks = different(requests);
    if blocks == 0 {
        return Ok(None);
    }
    // The fleet's best: the others' batches would be full before their caches are.
    let kind = kinds.first().cloned().unwrap_or_else(|| Kind::new(GPUS[0], 2, Vec::new()));
    let kinds = vec![kind; WORKERS];
    let room = ((blocks as f64 * ROOM) as usize).max(1);
    let mut rows = Vec::new();
    for pace in paces {
        for way in WAYS {
            let caches = Caches::new(WORKERS, room, seed)?;
            let replayed = replay_with((requests, *pace), &kinds, (way, Some(caches)), seed);
            rows.push(Row::new(*pace, way, &replayed));
        }
    }
    let without_end = found_without_end(requests);
    Ok(Some(Hits { trace, requests: requests.len(), blocks, without_end, rows }))
}

// === impl Row ===

impl Row {
    fn new(pace: f64, way: Way, replayed: &Replayed) -> Self {
        let mut first: Vec<f64> = replayed.outcomes.iter().map(|one| one.first).collect();
        first.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| first.get((share * first.len().saturating_sub(1) as f64).round() as usize);
        let mean = replayed.busy.iter().sum::<f64>() / replayed.busy.len().max(1) as f64;
        let most = replayed.busy.iter().copied().fold(0.0, f64::max);
        Self {
            pace,
            way,
            found: replayed.found,
            load: most / mean.max(f64::MIN_POSITIVE),
            busy: replayed.busy.clone(),
            first: [0.5, 0.95].map(|share| at(share).copied().unwrap_or(f64::NAN)),
        }
    }
}

// === impl Hits ===

impl Hits {
    /// Whether the router's way reaches the aims at every pace.
    fn reached(&self) -> bool {
        let mut own = self.rows.iter().filter(|row| row.way == Way::Cached);
        own.all(|row| row.found >= AIMS.0 * self.without_end && row.load <= AIMS.1)
    }

    pub(super) fn json(&self) -> Value {
        let row = |row: &Row| {
            json!({
                "pace": row.pace,
                "way": row.way.name(),
                "found": row.found,
                "of_without_end": row.found / self.without_end,
                "load_max_over_mean": row.load,
                "busy": row.busy,
                "first_token_seconds": { "p50": row.first[0], "p95": row.first[1] },
            })
        };
        json!({
            "trace": self.trace,
            "requests": self.requests,
            "workers": WORKERS,
            "room": ROOM,
            "blocks": self.blocks,
            "without_end": self.without_end,
            "aims": { "of_without_end": AIMS.0, "load_max_over_mean": AIMS.1 },
            "reached": self.reached(),
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
        })
    }

    pub(super) fn print(&self, out: &mut impl Write) -> Result<()> {
        writeln!(
            out,
            "\ncaches: {WORKERS} workers with room for {:.0} % of the {} blocks of {} each; one without end finds {:.1} %\n",
            ROOM * 1e2,
            self.blocks,
            self.trace,
            self.without_end * 1e2
        )?;
        let head = ["found", "of that", "busiest/mean", "busy", "TTFT s"];
        writeln!(
            out,
            "{:>6} {:15} {:>7} {:>8} {:>13} {:>6} {:>15}",
            "pace", "chosen by", head[0], head[1], head[2], head[3], head[4]
        )?;
        for row in &self.rows {
            let busy = row.busy.iter().sum::<f64>() / row.busy.len().max(1) as f64;
            writeln!(
                out,
                "{:>6} {:15} {:>6.1}% {:>7.1}% {:>13.2} {:>5.0}% {:>7.2} {:>7.2}",
                row.pace,
                row.way.name(),
                row.found * 1e2,
                row.found / self.without_end * 1e2,
                row.load,
                busy * 1e2,
                row.first[0],
                row.first[1]
            )?;
        }
        let reached = if self.reached() { "reached" } else { "not reached" };
        writeln!(
            out,
            "\nAims for `cached`: {:.0} % of what one without end finds, no worker above {} times the mean: {reached}.",
            AIMS.0 * 1e2,
            AIMS.1
        )?;
        Ok(())
    }
}
