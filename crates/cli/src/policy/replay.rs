//! `causeway policy replay`: what another policy would have done with recorded requests, what is known of it, and how well.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use ::policy::{DecisionLine, Rules};
use anyhow::{Context as _, Result, bail};
use hop::bound::Lines;

use super::args::Replay;
use super::log::Log;
use super::read;
use crate::deploy::Deploy;

mod row;
mod estimate;
mod report;
mod picture;
mod page;

use estimate::Estimates;
use row::{Row, Side};

/// Most kinds of moves that are listed.
const MOVES_MAX: usize = 12;

/// Decisions of a log, taken again.
struct Replayed {
    rows: Vec<Row>,
    /// Lines that the new rules made themselves.
    same_policy: u64,
    /// Of these, those that went elsewhere than the rules say and say that it was by chance.
    by_chance: u64,
    /// Of these, those that went elsewhere and do not.
    otherwise: u64,
}

/// One kind of move, with how many made it and what it changes by the estimates.
pub(super) struct Move {
    pub(super) class: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) requests: u64,
    pub(super) usd: f64,
    pub(super) seconds: f64,
    pub(super) right: f64,
}

/// Prints the report and writes the page. 1 where a line of this very policy decides otherwise than it was logged, or a
/// line is broken.
pub(super) fn run(_: &Deploy, asked: &Replay, out: &mut impl Write) -> Result<ExitCode> {
    let new = read::sound_rules(&asked.policy)?;
    let old = asked.against.as_deref().map(read::sound_rules).transpose()?;
    let from = opened(&asked.log).with_context(|| asked.log.display().to_string())?;
    let mut log = Log::new(BufReader::new(from), asked.lines_max);
    let mut replayed = Replayed { rows: Vec::new(), same_policy: 0, by_chance: 0, otherwise: 0 };
    while let Some(line) = log.next().with_context(|| asked.log.display().to_string())? {
        replayed.take(&line, &new, old.as_ref());
    }
    if replayed.rows.is_empty() {
        bail!("{}: no line could be read ({} are broken)", asked.log.display(), log.broken.count);
    }
    let estimates = Estimates::of(&replayed.rows, asked.resamples, asked.seed);
    let report = report::Report {
        log: asked.log.display().to_string(),
        new_hash: new.hash().to_string(),
        old_hash: old.as_ref().map(|old| old.hash().to_string()),
        replayed: &replayed,
        estimates: &estimates,
        moves: moves(&replayed.rows),
        broken: &log.broken,
    };
    if let Some(html) = &asked.html {
        fs::write(html, page::page(&report)).with_context(|| html.display().to_string())?;
    }
    if asked.json {
        writeln!(out, "{}", report.value())?;
    } else {
        report.print(out)?;
    }
    Ok(ExitCode::from(u8::from(replayed.otherwise > 0 || log.broken.count > 0)))
}

/// A log as its lines, whether it is still lines or Parquet by now.
fn opened(log: &Path) -> io::Result<Box<dyn Read>> {
    let file = File::open(log)?;
    if hop::bound::is_bound(&file)? { Ok(Box::new(Lines::open(file)?)) } else { Ok(Box::new(file)) }
}

// === impl Replayed ===

impl Replayed {
    /// Decides a line again.
    fn take(&mut self, line: &DecisionLine, new: &Rules, old: Option<&Rules>) {
        let row = Row::of(line, new, old);
        if line.record.policy_hash == *new.hash() {
            self.same_policy += 1;
            let elsewhere = u64::from(row.after.place != line.place);
            let count = if line.propensity.is_some() { &mut self.by_chance } else { &mut self.otherwise };
            *count += elsewhere;
        }
        self.rows.push(row);
    }
}

/// The kinds of moves, the most frequent first.
fn moves(rows: &[Row]) -> Vec<Move> {
    let mut kinds: BTreeMap<(String, String, String), Vec<&Row>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.moved()) {
        let tier = |side: &Side| side.tier.as_ref().map_or("no place", |tier| tier.as_str()).to_owned();
        let kind = (row.class.to_string(), tier(&row.before), tier(&row.after));
        kinds.entry(kind).or_default().push(row);
    }
    let mut moves: Vec<Move> = kinds
        .into_iter()
        .map(|((class, from, to), rows)| {
            let mean = |of: fn(&Side) -> f64| {
                rows.iter().map(|row| of(&row.after) - of(&row.before)).sum::<f64>() / rows.len() as f64
            };
            Move {
                class,
                from,
                to,
                requests: rows.len() as u64,
                usd: mean(|side| side.expected.usd),
                seconds: mean(|side| side.expected.seconds),
                right: mean(|side| side.expected.right),
            }
        })
        .collect();
    moves.sort_by(|a, b| b.requests.cmp(&a.requests).then_with(|| a.class.cmp(&b.class)));
    moves.truncate(MOVES_MAX);
    moves
}
