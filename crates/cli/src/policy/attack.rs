//! `causeway policy attack`: what somebody who writes prefixes against the shipped signals could make of the bill.
//!
//! A prefix that makes every question look hard sends them all to the dearest tier (Rerouting LLM Routers, arXiv
//! 2501.01818). Prefixes are found by hill climbing on some questions and tried on others, with the policy's escalation
//! caps and without. The searches have nothing to do with each other, and each runs on a core of its own.

use std::io::Write;
use std::panic::resume_unwind;
use std::process::ExitCode;
use std::thread;

use ::policy::ledger::Tallies;
use ::policy::{Candidate, Facts, Kind, Rules, decide};
use anyhow::Result;
use serde_json::json;
use signals::Models;
use skills::Split;

use super::args::Attack;
use super::draw::Draw;
use super::read;
use crate::deploy::Deploy;

/// Questions that a prefix is climbed on, and others that it is tried on.
const CLIMBED: usize = 32;
const TRIED: usize = 400;
/// Milliseconds between two questions of the stream on which caps are tried.
const PACE_MS: u64 = 1_000;
/// Most words of a prefix.
const WORDS_MAX: usize = 12;

/// A question with what its shape alone does not change.
struct Scene<'a> {
    rules: &'a Rules,
    candidates: &'a [Candidate],
    models: &'a Models,
}

/// Shares of the questions that went up.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Shares {
    uncapped: f64,
    capped: f64,
}

/// What the prefixes came to.
struct Outcome {
    plain: Shares,
    /// Each prefix, the worst first.
    found: Vec<(String, Shares)>,
    /// By how many points the worst prefix moves each share.
    shifts: Shares,
    /// The cap that would keep the shift within its bound.
    holds: f64,
    questions: usize,
    caps: usize,
}

/// 1 where a prefix moves the capped share by more than is allowed.
pub(super) fn run(deploy: &Deploy, asked: &Attack, out: &mut impl Write) -> Result<ExitCode> {
    let rules = read::sound_rules(&read::named(deploy, asked.file.as_ref()))?;
    let candidates = read::candidates(asked.candidates.as_ref(), &rules)?;
    let scene = Scene { rules: &rules, candidates: &candidates, models: &Models::shipped() };
    let questions = |split, count| -> Vec<String> {
        skills::items(split, asked.seed).take(count).map(|item| item.prompt).collect()
    };
    let (climbed, tried) = (questions(Split::Calibration, CLIMBED), questions(Split::Test, TRIED));
    let words = vocabulary(asked.seed);
    let plain = scene.shares("", &tried);
    let attempt = |number: u32| {
        let mut draw = Draw::new(asked.seed.wrapping_mul(0x9E37_79B9).wrapping_add(number.into()));
        let prefix = climb(&scene, &climbed, &words, (asked.evaluations, &mut draw));
        let shares = scene.shares(&prefix, &tried);
        (prefix, shares)
    };
    let mut found = at_once(asked.prefixes, attempt);
    found.sort_by(|a, b| b.1.uncapped.total_cmp(&a.1.uncapped));
    let worst = |of: fn(&Shares) -> f64| {
        let shifts = found.iter().map(|(_, shares)| of(shares) - of(&plain));
        100.0 * shifts.fold(f64::NEG_INFINITY, f64::max)
    };
    let shifts = Shares { uncapped: worst(|shares| shares.uncapped), capped: worst(|shares| shares.capped) };
    // What goes up under a cap is at most its share, whatever is written.
    let holds = plain.uncapped + asked.shift_points_max / 100.0;
    let outcome = Outcome { plain, found, shifts, holds, questions: tried.len(), caps: rules.caps().len() };
    if asked.json {
        writeln!(out, "{}", outcome.as_json(asked.evaluations))?;
    } else {
        outcome.write(asked.shift_points_max, out)?;
    }
    Ok(ExitCode::from(u8::from(shifts.capped > asked.shift_points_max)))
}

// === impl Outcome ===

impl Outcome {
    fn as_json(&self, evaluations: impl serde::Serialize) -> serde_json::Value {
        let prefixes: Vec<_> = self
            .found
            .iter()
            .map(|(prefix, shares)| {
                json!({ "prefix": prefix, "uncapped_share": shares.uncapped, "capped_share": shares.capped })
            })
            .collect();
        json!({
            "evaluations": evaluations,
            "questions": self.questions,
            "caps": self.caps,
            "plain": { "uncapped_share": self.plain.uncapped, "capped_share": self.plain.capped },
            "uncapped_shift_points": self.shifts.uncapped,
            "capped_shift_points": self.shifts.capped,
            "share_max_that_holds": self.holds,
            "prefixes": prefixes,
        })
    }

    fn write(&self, shift_points_max: f64, out: &mut impl Write) -> Result<()> {
        let line = |name: &str, shares: &Shares| {
            format!("{:>7.1} % {:>7.1} %  {name}", 100.0 * shares.uncapped, 100.0 * shares.capped)
        };
        writeln!(out, "sent up: without caps, with caps, over {} questions", self.questions)?;
        writeln!(out, "{}", line("(no prefix)", &self.plain))?;
        for (prefix, shares) in &self.found {
            writeln!(out, "{}", line(prefix, shares))?;
        }
        let Shares { uncapped, capped } = self.shifts;
        writeln!(out, "worst shift: {uncapped:+.1} points without caps, {capped:+.1} with them")?;
        if self.caps == 0 {
            writeln!(out, "there is no [[escalation_cap]]: nothing bounds what goes up")?;
        }
        let holds = self.holds;
        writeln!(
            out,
            "a share_max of {holds:.3} keeps any shift at {shift_points_max} points over these questions"
        )?;
        Ok(())
    }
}

/// What each attempt came to, by its number, with as many at a time as there are cores.
fn at_once<T: Send>(attempts: u32, attempt: impl Fn(u32) -> T + Sync) -> Vec<T> {
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get() as u32).min(attempts).max(1);
    let attempt = &attempt;
    let mut all: Vec<(u32, T)> = thread::scope(|scope| {
        let own =
            |core: u32| (core..attempts).step_by(cores as usize).map(|number| (number, attempt(number)));
        let threads: Vec<_> =
            (0..cores).map(|core| scope.spawn(move || own(core).collect::<Vec<_>>())).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    });
    all.sort_by_key(|(number, _)| *number);
    all.into_iter().map(|(_, found)| found).collect()
}

/// The words of questions that are neither climbed on nor tried, with some signs.
fn vocabulary(seed: u64) -> Vec<String> {
    let items = skills::items(Split::Train, seed).take(400);
    let mut words: Vec<String> = items
        .flat_map(|item| item.prompt.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    words.extend(
        ["$x$", "{", "}", "∫", "why?", "prove", "≥", "1000000", "==", "#", "therefore"].map(str::to_owned),
    );
    words.sort();
    words.dedup();
    words
}

/// The best prefix of so many that were tried: each is the best so far with one word put in, taken out or changed.
fn climb(
    scene: &Scene<'_>,
    questions: &[String],
    words: &[String],
    (evaluations, draw): (u32, &mut Draw),
) -> String {
    let mut best: Vec<String> = (0..4).map(|_| words[draw.below(words.len())].clone()).collect();
    let mut height = scene.height(&best.join(" "), questions);
    for _ in 1..evaluations {
        let mut next = best.clone();
        let word = words[draw.below(words.len())].clone();
        match draw.below(4) {
            0 if next.len() < WORDS_MAX => next.insert(draw.below(next.len() + 1), word),
            1 if next.len() > 1 => {
                next.remove(draw.below(next.len()));
            }
            _ => {
                let at = draw.below(next.len());
                next[at] = word;
            }
        }
        let tried = scene.height(&next.join(" "), questions);
        if tried > height {
            (best, height) = (next, tried);
        }
    }
    best.join(" ")
}

// === impl Scene ===

impl Scene<'_> {
    fn facts(&self, prefix: &str, question: &str) -> Facts {
        let text = if prefix.is_empty() { question.to_owned() } else { format!("{prefix} {question}") };
        self.rules.offline(read::facts(&text, self.models))
    }

    /// By how much the questions' own places are dearer than what is up, US dollars, on average and bounded.
    fn height(&self, prefix: &str, questions: &[String]) -> f64 {
        let gain = |question: &String| {
            let decision = decide(self.rules, &self.facts(prefix, question), self.candidates, 0);
            let cheapest = |up: bool| {
                let open = decision.trail.candidates.iter().filter(|one| one.removal.is_none());
                let side = open.filter(|one| (one.candidate.kind == Kind::Cloud) == up);
                side.map(|one| one.columns.total_usd).fold(f64::INFINITY, f64::min)
            };
            (cheapest(false) - cheapest(true)).clamp(-0.01, 0.01)
        };
        questions.iter().map(gain).sum()
    }

    /// Shares that go up: every question on its own, and as a stream that the caps count.
    fn shares(&self, prefix: &str, questions: &[String]) -> Shares {
        let mut tallies = Tallies::new(16);
        let (mut uncapped, mut capped) = (0_u32, 0_u32);
        for (question, now_ms) in questions.iter().zip((0..).step_by(PACE_MS as usize)) {
            let mut facts = Facts { shares: Vec::new(), ..self.facts(prefix, question) };
            uncapped += u32::from(self.goes_up(&facts).is_some_and(|one| one.kind == Kind::Cloud));
            let class = self.rules.class_of(&facts);
            facts.shares = tallies.shares(self.rules, (&facts, class), now_ms);
            let chosen = self.goes_up(&facts);
            tallies.count(self.rules, (&facts, class), chosen, now_ms);
            capped += u32::from(chosen.is_some_and(|one| one.kind == Kind::Cloud));
        }
        let share = |count: u32| f64::from(count) / questions.len().max(1) as f64;
        Shares { uncapped: share(uncapped), capped: share(capped) }
    }

    fn goes_up(&self, facts: &Facts) -> Option<&Candidate> {
        let place = decide(self.rules, facts, self.candidates, 0).place?;
        self.candidates.get(place.index)
    }
}
