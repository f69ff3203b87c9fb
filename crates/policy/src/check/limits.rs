//! Limits that let nothing through, and caps that rules lift.

use super::witness::Cases;
use super::{Findings, Severity};
use crate::candidate::Kind;
use crate::error::Code;
use crate::reason::Reason;

/// Budgets, prices and shares of zero.
pub(super) fn zeros(findings: &mut Findings<'_>) {
    let rules = findings.rules;
    for budget in rules.budgets().iter().filter(|budget| budget.usd_max <= 0.0) {
        let problem = format!("the budget `{}` is zero: nothing that costs anything is left", budget.name);
        let mend = "give `usd_max` a value, or forbid the tiers";
        findings.add((Severity::Warning, budget.at, Code::BudgetZero), problem, mend);
    }
    for class in rules.classes().iter().filter(|class| class.price_max_usd == Some(0.0)) {
        let problem =
            format!("`price_max_usd` of the class `{}` is zero: only what is free is left", class.name);
        let mend = "give it a value, or name the tiers with `tiers_only`";
        findings.add((Severity::Warning, class.at, Code::BudgetZero), problem, mend);
    }
    for cap in rules.caps().iter().filter(|cap| cap.share_max <= 0.0 && cap.free_requests == 0) {
        let problem = format!("the escalation cap `{}` lets nothing up", cap.name);
        let mend = "give `share_max` or `free_requests` a value, or forbid the tiers";
        findings.add((Severity::Warning, cap.at, Code::BudgetZero), problem, mend);
    }
}

/// Caps under which no tier is up, and classes whose rules leave nothing but to go up: these lift their cap.
pub(super) fn lifted(findings: &mut Findings<'_>, cases: &Cases) {
    let rules = findings.rules;
    for cap in rules.caps() {
        let up = |tier: &&crate::rules::Tier| {
            if cap.tiers_up.is_empty() { tier.kind == Kind::Cloud } else { cap.tiers_up.contains(&tier.name) }
        };
        if !rules.tiers().iter().any(|tier| up(&tier)) {
            let problem = format!("under the escalation cap `{}` no tier is up", cap.name);
            findings.add((Severity::Warning, cap.at, Code::CapUseless), problem, "name some with `tiers_up`");
            continue;
        }
        let lifts = |case: &&super::witness::Case| {
            let class = &rules.classes()[case.class];
            let counted = cap.classes.is_empty() || cap.classes.contains(&class.name);
            let (ups, stays): (Vec<_>, Vec<_>) =
                case.decision.trail.candidates.iter().partition(|weighed| cap.is_up(&weighed.candidate));
            counted
                && ups.iter().any(|weighed| weighed.removal.is_none())
                && stays
                    .iter()
                    .all(|weighed| weighed.removal.as_ref().is_some_and(|why| !Reason::is_estimated(why)))
        };
        let mut classes: Vec<String> = Vec::new();
        for case in cases.all.iter().filter(lifts) {
            let name = format!("`{}`", rules.classes()[case.class].name);
            if !classes.contains(&name) {
                classes.push(name);
            }
        }
        if !classes.is_empty() {
            let problem = format!(
                "the escalation cap `{}` is lifted for requests of {}, which may stay nowhere",
                cap.name,
                classes.join(", ")
            );
            let mend = "allow them a tier below, or bound them with a [[budget]]";
            findings.add((Severity::Note, cap.at, Code::CapLifted), problem, mend);
        }
    }
}
