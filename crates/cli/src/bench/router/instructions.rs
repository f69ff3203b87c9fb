//! Instructions instead of time: what a call costs, told alike on a machine that is busy with other things.

use std::io::Write;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value, json};

use super::phase::Ready;
use super::subject::{self, Bench};
use super::way::Way;
use super::worker::Worker;

/// Calls of a shorter and of a longer run, the difference of which is what so many calls cost: of short answers, and of
/// streams.
const CALLS: [[u32; 2]; 2] = [[200, 1_200], [20, 120]];
/// Chunks of each.
const CHUNKS: [u32; 2] = [1, 100];

/// Instructions for a short answer, and for a chunk of a stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted([f64; 2]);

/// Counts for each way in between.
pub(super) async fn count(
    bench: &Bench,
    worker: &Worker,
    ways: &[Way],
) -> Result<Vec<(&'static str, Counted)>> {
    ensure!(subject::version("valgrind").is_some(), "--instructions needs `valgrind` on the search path");
    let mut counted = Vec::new();
    for way in ways.iter().filter(|way| **way != Way::Direct) {
        let mut of_each = [0.0; 2];
        for ((of_each, calls), chunks) in of_each.iter_mut().zip(CALLS).zip(CHUNKS) {
            let mut totals = [0.0; 2];
            for (total, calls) in totals.iter_mut().zip(calls) {
                let ready = Ready::start(bench, worker, *way).await?;
                ready.answer(calls, chunks).await?;
                *total = ready.end().await?.context("there is no process between")?;
            }
            let things = f64::from((calls[1] - calls[0]) * chunks);
            *of_each = (totals[1] - totals[0]) / things;
        }
        counted.push((way.key(), Counted(of_each)));
    }
    Ok(counted)
}

/// A table, or one object.
pub(super) fn print(counted: &[(&'static str, Counted)], json: bool, out: &mut impl Write) -> Result<()> {
    if json {
        let row = |(key, Counted([unary, chunk])): &(&str, Counted)| {
            ((*key).to_owned(), json!({ "per_request": unary, "per_chunk": chunk }))
        };
        let rows: Map<String, Value> = counted.iter().map(row).collect();
        writeln!(out, "{}", serde_json::to_string_pretty(&json!({ "instructions": rows }))?)?;
        return Ok(());
    }
    writeln!(out, "{:<22}{:>18}{:>18}", "instructions", "a short answer", "a chunk of 100")?;
    for (key, Counted([unary, chunk])) in counted {
        writeln!(out, "{key:<22}{unary:>18.0}{chunk:>18.0}")?;
    }
    Ok(())
}

/// The total in what callgrind wrote.
pub(super) fn total(written: &str) -> Option<f64> {
    let line = written.lines().find_map(|line| line.strip_prefix("totals:"))?;
    line.split_whitespace().next()?.parse().ok()
}
