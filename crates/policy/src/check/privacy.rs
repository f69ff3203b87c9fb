//! Privacy holes: private requests that could leave.

use super::witness::{Case, Cases};
use super::{Findings, Severity};
use crate::candidate::Kind;
use crate::condition::{Field, Node};
use crate::error::Code;
use crate::facts::Privacy;
use crate::name::Name;
use crate::rules::Class;

/// Finds requests whose private content could go further than some class wants to keep it.
pub(super) fn holes(findings: &mut Findings<'_>, cases: &Cases) {
    let rules = findings.rules;
    for (index, class) in rules.classes().iter().enumerate() {
        if let Some((case, place)) = chosen_by_content(class, index, cases) {
            let problem = format!(
                "the class `{}` is chosen by private content, and its requests could go to `{place}` ({})",
                class.name, case.shown
            );
            let mend = "add `privacy = \"local_only\"` or `privacy = \"home_only\"`, or forbid it the tier";
            findings.add((Severity::Warning, class.at, Code::PrivacyHole), problem, mend);
        }
        if let Some((case, keeper, place)) = taken_before(findings, index, cases) {
            let (taker, keeper) = (&class.name, &keeper);
            let problem = format!(
                "the class `{taker}` takes a request that `{keeper}` would keep, and it could go to `{place}` ({})",
                case.shown
            );
            let mend = format!("move `{keeper}` before `{taker}`, or give `{taker}` its `privacy`");
            findings.add((Severity::Warning, class.at, Code::PrivacyHole), problem, mend);
        }
    }
}

/// A request with private content in a class that asks for it and lets it leave the home.
fn chosen_by_content<'c>(class: &Class, index: usize, cases: &'c Cases) -> Option<(&'c Case, &'c Name)> {
    let mut asks = false;
    class.when.as_ref()?.tree().walk(&mut |expr| {
        asks |= matches!(expr.node, Node::Field(Field::PrivateContent | Field::PersonalData));
    });
    if !asks {
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
    let keepers = classes[index + 1..].iter().filter(|later| later.privacy > classes[index].privacy);
    for keeper in keepers {
        let Some(when) = &keeper.when else { continue };
        let taken = cases.all.iter().filter(|case| case.class == index && when.holds(&case.facts));
        if let Some(found) = taken.filter_map(|case| Some((case, beyond(case, keeper.privacy)?))).next() {
            return Some((found.0, keeper.name.clone(), found.1));
        }
    }
    None
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
