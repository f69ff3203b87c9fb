//! Caps under which nothing is up, and caps that rules lift.

use super::witness::Cases;
use super::{Findings, Severity};
use crate::candidate::Kind;
use crate::error::Code;
use crate::reason::Reason;

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
