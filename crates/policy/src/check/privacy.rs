//! Privacy holes: private requests that could leave.

use super::witness::{Case, Cases};
use super::{Findings, Severity};
use crate::candidate::{Candidate, Kind};
use crate::condition::{Field, Node};
use crate::error::Code;
use crate::facts::Privacy;
use crate::name::Name;
use crate::rules::{Class, Rules};

/// Finds requests whose private content could go further than some class wants to keep it.
pub(super) fn holes(findings: &mut Findings<'_>, cases: &Cases) {
    let rules = findings.rules;
    for (index, class) in rules.classes().iter().enumerate() {
        if let Some((case, place)) = chosen_by_content(class, index, cases) {
            let problem = format!(
                "the class `{}` is chosen by private content, and its requests could go to `{place}` ({})",
                class.name, case.shown
            );
            let mend = "add `privacy = \"local_only\"` or `privacy = \"home_only\"`, or forbid it the tier; if they \
                        may leave, say `privacy = \"normal\"`";
            findings.add((Severity::Error, class.at, Code::PrivacyHole), problem, mend);
        }
        if let Some((case, keeper, place)) = taken_before(findings, index, cases) {
            let (taker, keeper) = (&class.name, &keeper);
            let problem = format!(
                "the class `{taker}` takes a request that `{keeper}` would keep, and it could go to `{place}` ({})",
                case.shown
            );
            let mend =
                format!("move `{keeper}` before `{taker}`, or give `{taker}` its `privacy` or `residency`");
            findings.add((Severity::Error, class.at, Code::PrivacyHole), problem, mend);
        }
    }
}

/// A request with private content in a class that asks for it and lets it leave the home without saying so.
fn chosen_by_content<'c>(class: &Class, index: usize, cases: &'c Cases) -> Option<(&'c Case, &'c Name)> {
    let mut asks = false;
    class.when.as_ref()?.tree().walk(&mut |expr| {
        asks |= matches!(expr.node, Node::Field(Field::PrivateContent | Field::PersonalData));
    });
    if !asks || class.privacy_said {
        return None;
    }
    let private = cases.all.iter().filter(|case| {
        case.class == index && !(case.facts.private_content.is_empty() && case.facts.personal_data.is_empty())
    });
    private.filter_map(|case| Some((case, beyond(case, Privacy::HomeOnly)?))).next()
}

/// A request of this class that the condition of a later, stricter one holds for too, and that may go where that one
/// would not let it.
fn taken_before<'c>(
    findings: &Findings<'_>,
    index: usize,
    cases: &'c Cases,
) -> Option<(&'c Case, Name, &'c Name)> {
    let classes = findings.rules.classes();
    let class = &classes[index];
    let keepers = classes[index + 1..].iter().filter(|later| {
        later.privacy > class.privacy || (later.residency.is_some() && later.residency != class.residency)
    });
    for keeper in keepers {
        let Some(when) = &keeper.when else { continue };
        let taken = cases.all.iter().filter(|case| case.class == index && when.holds(&case.facts));
        let gone = |case| {
            let (case, class): (&'c Case, _) = (case, keeper);
            Some((case, beyond(case, class.privacy).or_else(|| abroad(findings.rules, case, class))?))
        };
        if let Some(found) = taken.filter_map(gone).next() {
            return Some((found.0, keeper.name.clone(), found.1));
        }
    }
    None
}

/// A place in the cloud that remains for the request and that does not compute where this class keeps its own.
fn abroad<'c>(rules: &Rules, case: &'c Case, class: &Class) -> Option<&'c Name> {
    let required = class.residency.as_ref()?;
    let region = |one: &'c Candidate| {
        let of_tier = rules.tier(&one.tier).and_then(|tier| match tier.regions.as_slice() {
            [region] => Some(region.clone()),
            _ => None,
        });
        one.region.clone().or(of_tier)
    };
    let remaining = case.decision.trail.candidates.iter().filter(|weighed| weighed.removal.is_none());
    let mut cloud = remaining.map(|weighed| &weighed.candidate).filter(|one| one.kind == Kind::Cloud);
    cloud.find(|one| region(one).as_ref() != Some(required)).map(|one| &one.place)
}

/// A place that remains for the request and that this privacy would not let it go to.
fn beyond(case: &Case, privacy: Privacy) -> Option<&Name> {
    let stays = |kind: Kind| match privacy {
        Privacy::Normal => true,
        Privacy::HomeOnly => kind != Kind::Cloud,
        Privacy::LocalOnly => matches!(kind, Kind::Command | Kind::Device),
    };
    let remaining = case.decision.trail.candidates.iter().filter(|weighed| weighed.removal.is_none());
    remaining.map(|weighed| &weighed.candidate).find(|one| !stays(one.kind)).map(|one| &one.place)
}
