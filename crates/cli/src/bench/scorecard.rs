//! `causeway bench scorecard`: what must hold of the router under load, loss and abuse, measured on this machine.
//!
//! A row is measured against the shipped router in this process, over connections within it, with workers that follow a
//! script: what is measured is the router and not a model. A row that nothing measures yet is printed as such, and counts
//! as one that does not pass.

mod row;
mod scene;
mod overload;
mod loss;
mod abuse;
mod proof;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use self::row::{Measured, ROWS, Row};
use super::args::Scorecard;

/// A row and what it came to; `None`: it was not measured.
type Line = (&'static Row, Option<Measured>);

/// Measures the rows that are asked for, and prints a table or one JSON object. 1 where a row does not pass.
pub(super) fn run(asked: &Scorecard, out: &mut impl Write) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut lines: Vec<Line> = Vec::new();
    for row in ROWS.iter().filter(|row| asked.rows.is_empty() || asked.rows.iter().any(|id| id == row.id)) {
        let wanted = asked.full || !row.slow;
        let measured = row.measure.filter(|_| wanted).map(|measure| runtime.block_on(measure()));
        // A row that could not be set up tells why, and does not pass.
        let measured = measured.map(|measured| measured.unwrap_or_else(|error| Measured::failed(&error)));
        lines.push((row, measured));
    }
    let print = if asked.json { as_json } else { table };
    print(&lines, out)?;
    let pass = lines.iter().all(|(_, measured)| passes(measured.as_ref()));
    Ok(if pass { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn passes(measured: Option<&Measured>) -> bool {
    measured.is_some_and(|measured| measured.pass)
}

/// Why there is no number.
fn unmeasured(row: &Row) -> &'static str {
    if row.measure.is_some() { "not measured: --full does" } else { "not measured" }
}

fn as_json(lines: &[Line], out: &mut impl Write) -> Result<()> {
    let row = |(row, measured): &Line| {
        let text = measured.as_ref().map_or(unmeasured(row), |measured| &measured.text);
        json!({ "id": row.id, "test": row.test, "target": row.target, "measured": text,
                "pass": passes(measured.as_ref()) })
    };
    let rows: Vec<_> = lines.iter().map(row).collect();
    writeln!(out, "{}", json!({ "rows": rows }))?;
    Ok(())
}

fn table(lines: &[Line], out: &mut impl Write) -> Result<()> {
    writeln!(out, "| id | test | target | measured | pass |\n|---|---|---|---|---|")?;
    for (row, measured) in lines {
        let text = measured.as_ref().map_or(unmeasured(row), |measured| &measured.text);
        let pass = if passes(measured.as_ref()) { "yes" } else { "no" };
        writeln!(out, "| {} | {} | {} | {text} | {pass} |", row.id, row.test, row.target)?;
    }
    let count = |of: fn(&Line) -> bool| lines.iter().filter(|line| of(line)).count();
    let measured = count(|(_, measured)| measured.is_some());
    let passed = count(|(_, measured)| passes(measured.as_ref()));
    writeln!(out, "\n{} rows, {measured} measured, {passed} passed", lines.len())?;
    Ok(())
}
