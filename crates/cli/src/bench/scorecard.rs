//! `causeway bench scorecard`: what must hold of the router under load, loss and abuse, measured on this machine.
//!
//! Most rows are measured by tests of the source tree, which tell what they measured (`score!`); they are run by their
//! names, suite by suite. Some are measured in this process, against the shipped router over connections within it. A row
//! that nothing measures, or of which something is missing, is printed as such and counts as one that does not pass.

mod row;
mod rows;
mod suite;
mod scene;
mod loss;
mod bill;
mod proof;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use self::row::{By, Line, Measured, Part, Row};
use self::rows::ROWS;
use self::suite::{Heard, Suite};
use super::args::Scorecard;

/// Measures the rows that are asked for, and prints a table or one JSON object. 1 where a row does not pass.
pub(super) fn run(asked: &Scorecard, out: &mut impl Write) -> Result<ExitCode> {
    let rows = ROWS.iter().filter(|row| asked.rows.is_empty() || asked.rows.iter().any(|id| id == row.id));
    let rows: Vec<&'static Row> = rows.collect();
    let wanted = |part: &&Part| asked.full || !part.slow;
    let parts = rows.iter().flat_map(|row| row.parts).filter(wanted);
    let heard = listen(parts)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let measure = |row: &'static Row| {
        let (mut parts, mut left_out) = (Vec::new(), Vec::new());
        for part in row.parts {
            match (part.by, &heard) {
                _ if !wanted(&part) => left_out.push("--full does"),
                // A part that could not be set up tells why, and does not pass.
                (By::Own(measure), _) => {
                    let measured = runtime.block_on(measure());
                    parts.push(measured.unwrap_or_else(|error| Measured::failed(&error)));
                }
                (By::Test(suite, name), Some(heard)) => {
                    parts.push(suite::measured(heard, (suite, name), row.id));
                }
                (By::Test(..), None) => left_out.push("no source tree here"),
            }
        }
        Line { row, parts, left_out }
    };
    let lines: Vec<Line> = rows.into_iter().map(measure).collect();
    let print = if asked.json { as_json } else { table };
    print(&lines, out)?;
    Ok(if lines.iter().all(Line::passes) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the tests among these parts, each suite once; `None`: there is no source tree.
fn listen<'a>(parts: impl Iterator<Item = &'a Part>) -> Result<Option<Heard>> {
    let mut suites: BTreeMap<Suite, BTreeSet<&str>> = BTreeMap::new();
    for part in parts {
        if let By::Test(suite, name) = part.by {
            suites.entry(suite).or_default().insert(name);
        }
    }
    let Some(tree) = suite::tree() else { return Ok(None) };
    let mut heard = Heard::new();
    if suites.is_empty() {
        return Ok(Some(heard));
    }
    for (suite, program) in suite::build(&tree, suites.keys().copied())? {
        let names: Vec<&str> = suites[&suite].iter().copied().collect();
        heard.extend(suite::run(&tree, (suite, &program), &names)?);
    }
    Ok(Some(heard))
}

fn as_json(lines: &[Line], out: &mut impl Write) -> Result<()> {
    let row = |line: &Line| {
        let Row { id, test, target, .. } = line.row;
        json!({ "id": id, "test": test, "target": target, "measured": line.text(), "pass": line.passes() })
    };
    let rows: Vec<_> = lines.iter().map(row).collect();
    writeln!(out, "{}", json!({ "rows": rows }))?;
    Ok(())
}

fn table(lines: &[Line], out: &mut impl Write) -> Result<()> {
    writeln!(out, "| id | test | target | measured | pass |\n|---|---|---|---|---|")?;
    for line in lines {
        let Row { id, test, target, .. } = line.row;
        // A bar would end the cell.
        let text = line.text().replace('|', "/");
        let pass = if line.passes() { "yes" } else { "no" };
        writeln!(out, "| {id} | {test} | {target} | {text} | {pass} |")?;
    }
    let count = |of: fn(&Line) -> bool| lines.iter().filter(|line| of(line)).count();
    let (measured, passed) = (count(Line::is_measured), count(Line::passes));
    writeln!(out, "\n{} rows, {measured} measured, {passed} passed", lines.len())?;
    Ok(())
}

#[cfg(test)]
mod tests;
