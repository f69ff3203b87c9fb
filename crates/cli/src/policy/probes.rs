//! `causeway policy test`: the probes of a policy, and which classes and tiers they cover.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::ExitCode;

use ::policy::{Candidate, Facts, Kind, Probe, Rules, Tried};
use anyhow::Result;
use serde_json::{Value, json};
use signals::Models;

use super::args::Test;
use super::read;
use crate::deploy::Deploy;

/// 1 where a probe fails.
pub(super) fn run(deploy: &Deploy, asked: &Test, out: &mut impl Write) -> Result<ExitCode> {
    let rules = read::sound_rules(&read::named(deploy, asked.file.as_ref()))?;
    let candidates = read::candidates(asked.candidates.as_ref(), &rules)?;
    let tried = tried(&rules, &candidates, &Models::shipped());
    let failed = tried.iter().filter(|(_, tried)| !tried.unmet.is_empty()).count();
    let coverage = Coverage::of(&rules, &tried);
    if asked.json {
        let probes: Vec<Value> = tried.iter().map(|(probe, tried)| value(probe, tried)).collect();
        let report = json!({
            "file": rules.file(),
            "policy_hash": rules.hash(),
            "passed": tried.len() - failed,
            "failed": failed,
            "probes": probes,
            "classes_uncovered": coverage.classes,
            "tiers_uncovered": coverage.tiers,
        });
        writeln!(out, "{report}")?;
    } else {
        for (probe, tried) in &tried {
            print(out, &rules, probe, tried)?;
        }
        writeln!(out, "{} passed, {failed} failed", tried.len() - failed)?;
        coverage.print(out, &rules)?;
    }
    Ok(ExitCode::from(u8::from(failed > 0)))
}

/// Every probe, tried over the signals of its text.
pub(super) fn tried<'r>(
    rules: &'r Rules,
    candidates: &[Candidate],
    models: &Models,
) -> Vec<(&'r Probe, Tried)> {
    let try_one = |probe: &'r Probe| {
        let facts = probe.text.as_ref().map_or_else(Facts::default, |text| read::facts(text, models));
        (probe, rules.try_probe(probe, &facts, candidates))
    };
    rules.probes().iter().map(try_one).collect()
}

fn print(out: &mut impl Write, rules: &Rules, probe: &Probe, tried: &Tried) -> Result<()> {
    if tried.unmet.is_empty() {
        writeln!(out, "ok    {}", probe.name)?;
        return Ok(());
    }
    writeln!(out, "FAIL  {} ({}:{})", probe.name, rules.file(), probe.at.line)?;
    for unmet in &tried.unmet {
        writeln!(out, "      - {}\n      + {}", unmet.expected, unmet.found)?;
    }
    for line in tried.decision.render_table().lines() {
        writeln!(out, "        {line}")?;
    }
    Ok(())
}

fn value(probe: &Probe, tried: &Tried) -> Value {
    let place = tried.decision.place.as_ref();
    json!({
        "name": probe.name,
        "line": probe.at.line,
        "passed": tried.unmet.is_empty(),
        "unmet": tried.unmet,
        "class": tried.decision.class,
        "place": place.map(|place| &place.place),
        "tier": place.map(|place| &place.tier),
        "kind": place.map(|place| place.kind.name()),
        "margin_usd": tried.decision.trail.margin_usd,
    })
}

/// What no probe reaches.
struct Coverage {
    classes: Vec<String>,
    tiers: Vec<String>,
}

// === impl Coverage ===

impl Coverage {
    /// Classes that no probe is decided as, and tiers that no probe goes to; grammars are asked on their device only.
    fn of(rules: &Rules, tried: &[(&Probe, Tried)]) -> Self {
        let classes: BTreeSet<&str> = tried.iter().map(|(_, tried)| tried.decision.class.as_str()).collect();
        let places = tried.iter().filter_map(|(_, tried)| tried.decision.place.as_ref());
        let tiers: BTreeSet<&str> = places.map(|place| place.tier.as_str()).collect();
        let uncovered =
            |name: &str, covered: &BTreeSet<&str>| (!covered.contains(name)).then(|| name.to_owned());
        let models = rules.tiers().iter().filter(|tier| tier.kind != Kind::Command);
        Self {
            classes: rules.classes().iter().filter_map(|class| uncovered(&class.name, &classes)).collect(),
            tiers: models.filter_map(|tier| uncovered(&tier.name, &tiers)).collect(),
        }
    }

    fn print(&self, out: &mut impl Write, rules: &Rules) -> Result<()> {
        let models = rules.tiers().iter().filter(|tier| tier.kind != Kind::Command).count();
        for (what, all, missing) in
            [("classes", rules.classes().len(), &self.classes), ("tiers", models, &self.tiers)]
        {
            let names =
                if missing.is_empty() { String::new() } else { format!(", not {}", missing.join(", ")) };
            writeln!(out, "{what} covered: {} of {all}{names}", all - missing.len())?;
        }
        Ok(())
    }
}
