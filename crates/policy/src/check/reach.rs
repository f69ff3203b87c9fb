//! Classes and tiers that no request reaches, conditions that have no answer, and requests that no place may answer.

use std::collections::BTreeSet;

use super::witness::{Case, Cases};
use super::{Findings, Severity};
use crate::candidate::Kind;
use crate::condition::{Condition, Field, Node, Unknown, Verdict};
use crate::decision::Weighed;
use crate::error::Code;
use crate::facts::{Facts, Privacy};
use crate::rules::{Class, Expectation, Position, Rules};
use crate::vector::Vector;

/// Requirements that are tried to make each tier the best: in every dimension one of these.
const REQUIREMENTS: [f32; 4] = [-4.0, -1.0, 1.0, 4.0];
/// Lengths that are tried: prompt tokens and output tokens.
const LENGTHS: [(u32, f32); 4] = [(8, 8.0), (64, 256.0), (1024, 16.0), (1024, 1024.0)];

/// Says so where not every combination was tried.
pub(super) fn sampled(findings: &mut Findings<'_>, cases: &Cases) {
    if cases.whole {
        return;
    }
    let problem = format!(
        "the conditions tell more requests apart than are tried: {} were drawn, and what holds only for others was \
         not seen",
        cases.all.len()
    );
    let mend = "show with a [[probe]] what matters, or compare fewer values";
    findings.add((Severity::Note, Position::default(), Code::CheckSampled), problem, mend);
}

/// Classes: whether a request reaches them, whether their conditions have an answer, whether a place may answer.
pub(super) fn classes(findings: &mut Findings<'_>, cases: &Cases) {
    let rules = findings.rules;
    for (index, class) in rules.classes().iter().enumerate() {
        let mut reached = cases.all.iter().filter(|case| case.class == index).peekable();
        if reached.peek().is_none() {
            unreached(findings, class, index, cases.exact);
            continue;
        }
        if let Some(when) = &class.when {
            undecided(findings, class, when, cases);
            constant(findings, class, when, cases);
        }
        placeless(findings, class, &reached.collect::<Vec<_>>());
    }
    probes(findings);
}

fn unreached(findings: &mut Findings<'_>, class: &Class, index: usize, exact: bool) {
    let before: Vec<String> =
        findings.rules.classes()[..index].iter().map(|class| format!("`{}`", class.name)).collect();
    let name = &class.name;
    if exact {
        let problem = match before.as_slice() {
            [] => format!("no request reaches the class `{name}`: its condition never holds"),
            before => format!(
                "no request reaches the class `{name}`: its condition never holds, or {} take all that it would",
                before.join(", ")
            ),
        };
        findings.add(
            (Severity::Error, class.at, Code::ClassUnreachable),
            problem,
            "mend its `when`, or move it up",
        );
    } else if !shown(findings.rules, class) {
        let problem = format!("no request that was tried reaches the class `{name}`");
        findings.add(
            (Severity::Note, class.at, Code::ClassUnreachable),
            problem,
            "show one that does with a [[probe]]",
        );
    }
}

/// Whether a probe shows a request of the class: by its facts, or by its text, of which it is tried elsewhere whether the
/// class that it expects is the one it gets.
fn shown(rules: &Rules, class: &Class) -> bool {
    let base = rules.offline(Facts::default());
    rules.probes().iter().any(|probe| {
        let expects = |one: &Expectation| matches!(one, Expectation::Class(name) if *name == class.name);
        probe.expects.iter().any(expects) || rules.class_of(&probe.facts_over(&base)).name == class.name
    })
}

/// A condition that cannot be decided does not hold, which is seldom what was meant.
fn undecided(findings: &mut Findings<'_>, class: &Class, when: &Condition, cases: &Cases) {
    let Some(case) = cases.all.iter().find(|case| when.verdict(&case.facts) == Verdict::Undecided) else {
        return;
    };
    let mut absent = None;
    when.tree().walk(&mut |expr| {
        if let Node::Field(field) = expr.node {
            let missing = field.unknown() == Unknown::Absent && !has(field, &case.facts);
            if missing && absent.is_none() {
                absent = Some(field);
            }
        }
    });
    let severity = if class.privacy == Privacy::Normal { Severity::Warning } else { Severity::Error };
    let (name, shown) = (&class.name, &case.shown);
    let (problem, mend) = match absent {
        Some(field) => (
            format!(
                "`when` of the class `{name}` reads `{}`, which a request may not have ({shown}): it then does not hold",
                field.name()
            ),
            format!("write `has({}.{}) && …`", field.space(), field.name()),
        ),
        None => (
            format!(
                "`when` of the class `{name}` has no answer for some requests ({shown}): it then does not hold"
            ),
            "guard it with `&&`, such as `size(…) > 0 && …`".to_owned(),
        ),
    };
    findings.add((severity, class.at, Code::ConditionUndecided), problem, mend);
}

/// A condition that always holds takes everything, as the last class should.
fn constant(findings: &mut Findings<'_>, class: &Class, when: &Condition, cases: &Cases) {
    if cases.exact && cases.all.iter().all(|case| when.holds(&case.facts)) {
        let problem = format!("`when` of the class `{}` always holds", class.name);
        let mend = "take it out, and what follows the class with it";
        findings.add((Severity::Warning, class.at, Code::ConditionConstant), problem, mend);
    }
}

fn has(field: Field, facts: &Facts) -> bool {
    let asked = format!("has({}.{})", field.space(), field.name());
    Condition::compile(&asked).is_ok_and(|asked| asked.holds(facts))
}

/// Requests of the class for which nothing remains.
fn placeless(findings: &mut Findings<'_>, class: &Class, cases: &[&Case]) {
    let empty: Vec<&&Case> = cases.iter().filter(|case| case.decision.place.is_none()).collect();
    let Some(first) = empty.first() else { return };
    let reasons: BTreeSet<String> = first
        .decision
        .trail
        .candidates
        .iter()
        .filter(|weighed| weighed.candidate.kind != Kind::Command)
        .filter_map(|weighed| Some(format!("{}: {}", weighed.candidate.place, weighed.removal.as_ref()?)))
        .collect();
    let reasons = reasons.into_iter().collect::<Vec<_>>().join("; ");
    let name = &class.name;
    if empty.len() == cases.len() {
        let problem = format!("no request of the class `{name}` has a place that may answer it ({reasons})");
        findings.add((Severity::Error, class.at, Code::ConstraintImpossible), problem, "allow it a tier");
    } else {
        let problem = format!(
            "some requests of the class `{name}` have no place that may answer them, such as {} ({reasons})",
            first.shown
        );
        let mend = "allow them a tier, or leave it where no answer is meant";
        findings.add((Severity::Note, class.at, Code::ConstraintNarrow), problem, mend);
    }
}

/// Where there are probes, each class should have one: only the names that they expect can be told without signals.
fn probes(findings: &mut Findings<'_>) {
    let rules = findings.rules;
    if rules.probes().is_empty() {
        return;
    }
    let expected: BTreeSet<&str> = rules
        .probes()
        .iter()
        .flat_map(|probe| &probe.expects)
        .filter_map(|expects| match expects {
            Expectation::Class(name) => Some(name.as_str()),
            _ => None,
        })
        .collect();
    for class in rules.classes().iter().filter(|class| !expected.contains(class.name.as_str())) {
        let problem = format!("no probe expects the class `{}`", class.name);
        let mend = format!("add a [[probe]] with `expect_class = \"{}\"`", class.name);
        findings.add((Severity::Note, class.at, Code::ProbeMissing), problem, mend);
    }
}

/// Tiers: whether some request may use them, and whether they are ever the best.
pub(super) fn tiers(findings: &mut Findings<'_>, cases: &Cases) {
    let rules = findings.rules;
    let remains = |weighed: &&Weighed| weighed.removal.is_none();
    let used: BTreeSet<&str> = cases
        .all
        .iter()
        .flat_map(|case| case.decision.trail.candidates.iter().filter(remains))
        .map(|weighed| weighed.candidate.tier.as_str())
        .collect();
    let best = best_tiers(rules, cases);
    for tier in rules.tiers().iter().filter(|tier| tier.kind != Kind::Command && !tier.closed) {
        let name = &tier.name;
        if !used.contains(name.as_str()) {
            let problem = format!("no request may use the tier `{name}`");
            let mend = "allow it to a class, or take it out";
            findings.add((Severity::Warning, tier.at, Code::TierUnreachable), problem, mend);
        } else if !best.contains(name.as_str()) {
            let problem = format!("the tier `{name}` was the cheapest for none of the requests tried");
            let mend = "compare it with the others by `causeway policy explain`, or take it out";
            findings.add((Severity::Note, tier.at, Code::TierNeverBest), problem, mend);
        }
    }
}

/// The tiers that win some request, of every class, length and difficulty.
fn best_tiers(rules: &Rules, cases: &Cases) -> BTreeSet<String> {
    let candidates = rules.described_candidates();
    let dimensions = rules.tiers().iter().filter_map(|tier| tier.abilities).map(|one| one.as_slice().len());
    let dimensions = dimensions.max().unwrap_or(1).min(3);
    let mut best = BTreeSet::new();
    for index in 0..rules.classes().len() {
        let Some(case) = cases.all.iter().find(|case| case.class == index) else { continue };
        for (prompt_tokens, output_tokens) in LENGTHS {
            for number in 0..REQUIREMENTS.len().pow(dimensions as u32) {
                let digit = |place: usize| number / REQUIREMENTS.len().pow(place as u32) % REQUIREMENTS.len();
                let requirement: Vec<f32> = (0..dimensions).map(|place| REQUIREMENTS[digit(place)]).collect();
                let facts = Facts {
                    prompt_tokens,
                    output_tokens_p50: output_tokens,
                    output_tokens_p90: output_tokens,
                    requirement: Vector::new(&requirement),
                    ..case.facts.clone()
                };
                let decision = crate::decide(rules, &facts, &candidates, 0);
                best.extend(decision.place.map(|place| place.tier.to_string()));
            }
        }
    }
    best
}
