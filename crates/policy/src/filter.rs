//! Hard constraints: which places may answer at all, and why the others may not.

use crate::candidate::{Candidate, Kind};
use crate::decision::Inputs;
use crate::estimate::{Case, estimate, price_least_usd};
use crate::facts::Privacy;
use crate::name::Name;
use crate::reason::{Note, Reason};
use crate::rules::Tier;

/// A candidate with its estimates, removed or not.
pub(crate) struct Sieved<'a> {
    pub(crate) candidate: &'a Candidate,
    pub(crate) inputs: Inputs,
    pub(crate) removal: Option<Reason>,
}

/// What is left of the budget that has least left; `None`: no budget counts the request.
struct Left<'a> {
    budget: &'a Name,
    usd: f64,
    /// Whether somebody says what is spent of every budget.
    known: bool,
}

/// Estimates every candidate and holds it against the constraints. What the law demands comes first, what may be
/// different in a second comes last: the reason given is the one that would be hardest to mend.
pub(crate) fn filter<'a>(case: &Case<'_>, candidates: &'a [Candidate]) -> Vec<Sieved<'a>> {
    let left = left(case);
    let sieve = |candidate: &'a Candidate| {
        let tier = case.rules.tier(&candidate.tier);
        let mut inputs = estimate(case, candidate, tier);
        if inputs.price_usd > 0.0 && left.as_ref().is_some_and(|left| !left.known) {
            inputs.notes.add(Note::BudgetUnknown);
        }
        let removal = privacy(case, candidate)
            .or_else(|| residency(case, candidate, tier))
            .or_else(|| allowed(case, candidate, tier))
            .or_else(|| capability(case, candidate, tier))
            .or_else(|| language(case, tier))
            .or_else(|| context(case, candidate, tier, &mut inputs))
            .or_else(|| present(case, candidate))
            .or_else(|| affordable(case, candidate, &inputs, left.as_ref()));
        Sieved { candidate, inputs, removal }
    };
    let mut sieved: Vec<Sieved<'a>> = candidates.iter().map(sieve).collect();
    cap(case, &mut sieved);
    sieved
}

/// Takes away what is up where an escalation cap is reached. It stays only where nothing that is not up may answer by
/// the rules: an estimate that speaks against staying, which a text may be written to sway, does not count.
fn cap(case: &Case<'_>, sieved: &mut [Sieved<'_>]) {
    for cap in case.rules.caps_of(case.class) {
        let Some(share) = case.facts.shares.iter().find(|share| share.cap == cap.name) else {
            for one in sieved.iter_mut().filter(|one| cap.is_up(one.candidate)) {
                one.inputs.notes.add(Note::ShareUnknown);
            }
            continue;
        };
        if cap.allows(share) {
            continue;
        }
        let may_stay = sieved
            .iter()
            .any(|one| !cap.is_up(one.candidate) && one.removal.as_ref().is_none_or(Reason::is_estimated));
        for one in sieved.iter_mut().filter(|one| one.removal.is_none() && cap.is_up(one.candidate)) {
            if may_stay {
                let (cap, share_max) = (cap.name.clone(), cap.share_max);
                one.removal = Some(Reason::EscalationCap { cap, up: share.up, all: share.all, share_max });
            } else {
                one.inputs.notes.add(Note::CapLifted);
            }
        }
    }
}

fn left<'a>(case: &Case<'a>) -> Option<Left<'a>> {
    let mut least: Option<Left<'a>> = None;
    let mut all_known = true;
    for budget in case.rules.budgets_of(case.facts, case.class) {
        let spent = case.facts.spent.iter().find(|spent| spent.budget == budget.name);
        all_known &= spent.is_some();
        let usd = match spent {
            None => budget.usd_max,
            Some(spent) if spent.usd.is_finite() => (budget.usd_max - spent.usd).max(0.0),
            Some(_) => 0.0,
        };
        if least.as_ref().is_none_or(|least| usd < least.usd) {
            least = Some(Left { budget: &budget.name, usd, known: true });
        }
    }
    least.map(|least| Left { known: all_known, ..least })
}

fn privacy(case: &Case<'_>, candidate: &Candidate) -> Option<Reason> {
    let (privacy, kind) = (case.facts.privacy.max(case.class.privacy), candidate.kind);
    let stays = match privacy {
        Privacy::Normal => true,
        Privacy::HomeOnly => kind != Kind::Cloud,
        Privacy::LocalOnly => matches!(kind, Kind::Command | Kind::Device),
    };
    (!stays).then_some(Reason::Privacy { privacy, kind })
}

/// The device and the home are where the data is; only what stands elsewhere must say where.
fn residency(case: &Case<'_>, candidate: &Candidate, tier: Option<&Tier>) -> Option<Reason> {
    if candidate.kind != Kind::Cloud {
        return None;
    }
    let region = candidate.region.as_ref().or_else(|| tier.and_then(only_region));
    let wanted = [&case.facts.residency, &case.class.residency];
    let required = wanted.into_iter().flatten().find(|required| region != Some(required))?;
    Some(Reason::Residency { required: required.clone(), region: region.cloned() })
}

/// The region of a tier that has just one.
fn only_region(tier: &Tier) -> Option<&Name> {
    match tier.regions.as_slice() {
        [region] => Some(region),
        _ => None,
    }
}

fn allowed(case: &Case<'_>, candidate: &Candidate, tier_rule: Option<&Tier>) -> Option<Reason> {
    let class = case.class;
    if let Some(tier) = tier_rule.filter(|tier| tier.closed) {
        return Some(Reason::Closed { tier: tier.name.clone() });
    }
    let Candidate { place, tier, .. } = candidate;
    if case.facts.only_place.as_ref().is_some_and(|only| only != place && only != tier) {
        return Some(Reason::NotAllowed { by: "the request".into() });
    }
    let only = !class.places_only.is_empty() && !class.places_only.contains(place);
    if class.places_forbidden.contains(place) || class.tiers_forbidden.contains(tier) {
        return Some(Reason::Forbidden { class: class.name.clone() });
    }
    if only || (!class.tiers_only.is_empty() && !class.tiers_only.contains(tier)) {
        return Some(Reason::NotAllowed { by: Name::from(format!("class {}", class.name)) });
    }
    None
}

fn capability(case: &Case<'_>, candidate: &Candidate, tier: Option<&Tier>) -> Option<Reason> {
    let has = candidate.capabilities.or_else(|| tier.map(|tier| tier.capabilities)).unwrap_or_default();
    let missing = case.facts.needs.without(has);
    (!missing.is_empty()).then_some(Reason::Capability { missing })
}

/// A language that nobody could tell is no reason; a grammar has its own words.
fn language(case: &Case<'_>, tier: Option<&Tier>) -> Option<Reason> {
    let language = &case.facts.language;
    let knows =
        |tier: &Tier| language.is_empty() || tier.languages.is_empty() || tier.languages.contains(language);
    (!tier.is_none_or(knows)).then(|| Reason::Language { language: language.clone() })
}

/// A grammar reads no context; every model has one.
fn context(
    case: &Case<'_>,
    candidate: &Candidate,
    tier: Option<&Tier>,
    inputs: &mut Inputs,
) -> Option<Reason> {
    if candidate.kind == Kind::Command {
        return None;
    }
    let max = candidate.context_tokens_max.or_else(|| tier.and_then(|tier| tier.context_tokens_max));
    let max = max.unwrap_or_else(|| {
        inputs.notes.add(Note::ContextUnknown);
        case.rules.defaults().context_tokens_max_unknown
    });
    let (prompt_tokens, output_tokens) = (inputs.prompt_tokens, case.output_tokens_least());
    let tokens = prompt_tokens.saturating_add(output_tokens);
    (tokens > max).then_some(Reason::ContextLength { prompt_tokens, output_tokens, max })
}

fn present(case: &Case<'_>, candidate: &Candidate) -> Option<Reason> {
    if !candidate.healthy {
        return Some(Reason::Unhealthy { reason: candidate.unhealthy_reason.clone() });
    }
    let excluded = case.facts.excluded.iter().find(|excluded| excluded.place == candidate.place)?;
    Some(Reason::Excluded { reason: excluded.reason.clone() })
}

/// Deadline, budget and the class's demand for truth, held against the estimates. A speed that was not measured is costed
/// and does not remove: at the start nothing is known, and a guess is no evidence that the answer would be late.
fn affordable(
    case: &Case<'_>,
    candidate: &Candidate,
    inputs: &Inputs,
    left: Option<&Left<'_>>,
) -> Option<Reason> {
    if let Some(remaining_seconds) = case.facts.deadline_seconds.map(bound) {
        let expected_seconds = inputs.expected_seconds;
        let known =
            !inputs.notes.contains(Note::LatencyUnknown) && !inputs.notes.contains(Note::LatencyStated);
        if remaining_seconds <= 0.0 || (known && expected_seconds > remaining_seconds) {
            return Some(Reason::Deadline { expected_seconds, remaining_seconds });
        }
    }
    for max_usd in [case.facts.price_max_usd.map(bound), case.class.price_max_usd].into_iter().flatten() {
        if inputs.price_usd > max_usd {
            return Some(Reason::Budget { price_usd: inputs.price_usd, max_usd });
        }
    }
    // What is left after the prompt buys not one token.
    if let (Some(0), Some(max_usd)) = (inputs.output_tokens_max, case.facts.price_max_usd) {
        return Some(Reason::Budget { price_usd: price_least_usd(case, candidate), max_usd: bound(max_usd) });
    }
    if let Some(left) = left.filter(|left| inputs.price_usd > left.usd) {
        let (price_usd, left_usd) = (inputs.price_usd, left.usd);
        return Some(Reason::BudgetSpent { budget: left.budget.clone(), price_usd, left_usd });
    }
    let min = case.class.probability_right_min.filter(|min| inputs.probability_right < *min)?;
    Some(Reason::ProbabilityTooLow { probability_right: inputs.probability_right, min })
}

/// A bound that is no number binds most tightly.
fn bound(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value.clamp(0.0, f64::MAX) }
}
