//! The report of a replay, for people and for programs.

use std::io::{self, Write};

use ::policy::Dollars;
use serde_json::{Value, json};

use super::estimate::{Compared, Estimates, Interval, Known, Method};
use super::{Move, Replayed};
use crate::policy::log::Broken;

/// Everything that there is to say.
pub(super) struct Report<'a> {
    pub(super) log: String,
    pub(super) new_hash: String,
    /// `None`: what was logged is the old policy.
    pub(super) old_hash: Option<String>,
    pub(super) replayed: &'a Replayed,
    pub(super) estimates: &'a Estimates,
    pub(super) moves: Vec<Move>,
    pub(super) broken: &'a Broken,
}

// === impl Report ===

impl Report<'_> {
    /// Requests that were read.
    pub(super) fn requests(&self) -> u64 {
        self.replayed.rows.len() as u64
    }

    /// Requests that go elsewhere.
    pub(super) fn moved(&self) -> u64 {
        self.replayed.rows.iter().filter(|row| row.moved()).count() as u64
    }

    /// What the old policy is called.
    pub(super) fn old_name(&self) -> String {
        self.old_hash.as_ref().map_or_else(|| "what was logged".to_owned(), |hash| hash[..12].to_owned())
    }

    /// How the figures were made, in sentences.
    pub(super) fn honesty(&self) -> Vec<String> {
        let Estimates { method, before, after, .. } = self.estimates;
        let requests = self.requests();
        let mut said = vec![match method {
            Method::Expected => "Figures: what was seen where the policy sends a request to where it went; what is \
                                 expected of the place elsewhere. Chance had no part in the log, so that nothing \
                                 that was seen speaks for requests that move."
                .to_owned(),
            Method::Weighed => "Figures: what is expected of the place, mended by what was seen, weighed by one over \
                                the logged propensity (doubly robust)."
                .to_owned(),
        }];
        for (name, known) in [("before", before), ("after", after)] {
            said.push(format!(
                "{name}: {} of {requests} requests go where they went ({:.1} %); {} of these have an outcome, worth \
                 {:.0} equally weighed ones.",
                known.overlap,
                percent(known.overlap, requests),
                known.seen,
                known.effective
            ));
        }
        let thin = after.overlap * 10 < requests;
        if thin {
            said.push(
                "Less than a tenth of the requests went where the new policy sends them: what follows is mostly \
                 expectation."
                    .to_owned(),
            );
        }
        let Replayed { same_policy, by_chance, otherwise, .. } = self.replayed;
        if *same_policy > 0 {
            said.push(format!(
                "{same_policy} lines were decided by the new policy itself: {} decide again as they were logged, and \
                 {by_chance} went elsewhere by chance.",
                same_policy - by_chance - otherwise
            ));
        }
        if *otherwise > 0 {
            said.push(format!(
                "{otherwise} lines of the new policy itself decide otherwise than was logged, and chance had no part: \
                 the log was changed, or another program wrote it."
            ));
        }
        said
    }

    /// For people.
    pub(super) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let (requests, moved) = (self.requests(), self.moved());
        writeln!(out, "{}: {requests} requests, {moved} move ({:.1} %)", self.log, percent(moved, requests))?;
        writeln!(out, "before: {}; after: {}", self.old_name(), &self.new_hash[..12])?;
        let Estimates { before, after, figures, .. } = self.estimates;
        writeln!(out, "without a place: {} before, {} after\n", before.placeless, after.placeless)?;
        writeln!(out, "{:<10} {:>40} {:>40} {:>46}", "mean of", "before", "after", "change")?;
        for Compared { name, before, after, change, .. } in figures {
            let [before, after, change] = [before, after, change].map(|one| shown(name, one));
            writeln!(out, "{name:<10} {before:>40} {after:>40} {change:>46}")?;
        }
        writeln!(out)?;
        for sentence in self.honesty() {
            writeln!(out, "{sentence}")?;
        }
        if !self.moves.is_empty() {
            writeln!(
                out,
                "\n{:<14} {:<18} {:<18} {:>8} {:>14} {:>10} {:>10}",
                "class", "from", "to", "requests", "usd", "seconds", "right"
            )?;
        }
        for Move { class, from, to, requests, usd, seconds, right } in &self.moves {
            let usd = Dollars(*usd).to_string();
            writeln!(
                out,
                "{class:<14} {from:<18} {to:<18} {requests:>8} {usd:>14} {seconds:>+10.3} {right:>+10.3}"
            )?;
        }
        if self.broken.count > 0 {
            writeln!(out, "\n{} lines are broken and were left out:", self.broken.count)?;
        }
        for (line, problem) in &self.broken.named {
            writeln!(out, "  {}:{line}: {problem}", self.log)?;
        }
        Ok(())
    }

    /// For programs.
    pub(super) fn value(&self) -> Value {
        let Estimates { method, before, after, figures } = self.estimates;
        let figures: serde_json::Map<String, Value> =
            figures.iter().map(|compared| (compared.name.to_owned(), figure(compared))).collect();
        let moves: Vec<Value> = self
            .moves
            .iter()
            .map(|one| {
                json!({
                    "class": one.class, "from": one.from, "to": one.to, "requests": one.requests,
                    "usd": one.usd, "seconds": one.seconds, "right": one.right,
                })
            })
            .collect();
        json!({
            "log": self.log,
            "policy_hash": self.new_hash,
            "against_hash": self.old_hash,
            "requests": self.requests(),
            "moved": self.moved(),
            "method": match method { Method::Expected => "expected", Method::Weighed => "doubly_robust" },
            "figures": figures,
            "known": { "before": known(before), "after": known(after) },
            "same_policy": self.replayed.same_policy,
            "same_policy_by_chance": self.replayed.by_chance,
            "same_policy_otherwise": self.replayed.otherwise,
            "moves": moves,
            "broken": self.broken.count,
            "broken_lines": self.broken.named,
            "notes": self.honesty(),
        })
    }
}

fn figure(compared: &Compared) -> Value {
    let interval = |one: &Interval| json!({ "mean": one.mean, "low": one.low, "high": one.high });
    json!({
        "before": interval(&compared.before),
        "after": interval(&compared.after),
        "change": interval(&compared.change),
        "expected": { "before": compared.expected_before, "after": compared.expected_after },
        "seen": { "before": compared.seen_before, "after": compared.seen_after },
    })
}

fn known(known: &Known) -> Value {
    json!({
        "overlap": known.overlap,
        "seen": known.seen,
        "effective": known.effective,
        "without_place": known.placeless,
    })
}

/// A mean with its interval.
pub(super) fn shown(name: &str, interval: &Interval) -> String {
    let one = |value: f64| match name {
        "usd" => Dollars(value).to_string(),
        _ => format!("{value:.4}"),
    };
    format!("{} ({} to {})", one(interval.mean), one(interval.low), one(interval.high))
}

pub(super) fn percent(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}
