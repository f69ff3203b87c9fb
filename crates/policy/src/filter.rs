//! Hard constraints: which places may answer at all, and why the others may not.

use crate::candidate::{Candidate, Kind};
use crate::decision::Inputs;
use crate::estimate::{Case, estimate};
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

/// Estimates every candidate and holds it against the constraints. What the law demands comes first, what may be
/// different in a second comes last: the reason given is the one that would be hardest to mend.
pub(crate) fn filter<'a>(case: &Case<'_>, candidates: &'a [Candidate]) -> Vec<Sieved<'a>> {
    let sieve = |candidate: &'a Candidate| {
        let tier = case.rules.tier(&candidate.tier);
        let mut inputs = estimate(case, candidate, tier);
        let removal = privacy(case, candidate)
            .or_else(|| residency(case, candidate, tier))
            .or_else(|| allowed(case, candidate))
            .or_else(|| capability(case, candidate, tier))
            .or_else(|| context(case, candidate, tier, &mut inputs))
            .or_else(|| present(case, candidate))
            .or_else(|| affordable(case, &inputs));
        Sieved { candidate, inputs, removal }
    };
    candidates.iter().map(sieve).collect()
}

fn privacy(case: &Case<'_>, candidate: &Candidate) -> Option<Reason> {
    let (privacy, kind) = (case.facts.privacy, candidate.kind);
    let stays = match privacy {
        Privacy::Normal => true,
        Privacy::HomeOnly => kind != Kind::Cloud,
        Privacy::LocalOnly => matches!(kind, Kind::Command | Kind::Device),
    };
    (!stays).then_some(Reason::Privacy { privacy, kind })
}

/// The device and the home are where the data is; only what stands elsewhere must say where.
fn residency(case: &Case<'_>, candidate: &Candidate, tier: Option<&Tier>) -> Option<Reason> {
    let required = case.facts.residency.as_ref().filter(|_| candidate.kind == Kind::Cloud)?;
    let region = candidate.region.as_ref().or_else(|| tier.and_then(only_region));
    let stays = region == Some(required);
    (!stays).then(|| Reason::Residency { required: required.clone(), region: region.cloned() })
}

/// The region of a tier that has just one.
fn only_region(tier: &Tier) -> Option<&Name> {
    match tier.regions.as_slice() {
        [region] => Some(region),
        _ => None,
    }
}

fn allowed(case: &Case<'_>, candidate: &Candidate) -> Option<Reason> {
    let class = case.class;
    let Candidate { place, tier, .. } = candidate;
    if case.facts.only_place.as_ref().is_some_and(|only| only != place && only != tier) {
        return Some(Reason::NotAllowed { by: "the request".into() });
    }
    if class.places_forbidden.contains(place) || class.tiers_forbidden.contains(tier) {
        return Some(Reason::Forbidden { class: class.name.clone() });
    }
    if !class.tiers_only.is_empty() && !class.tiers_only.contains(tier) {
        return Some(Reason::NotAllowed { by: Name::from(format!("class {}", class.name)) });
    }
    None
}

fn capability(case: &Case<'_>, candidate: &Candidate, tier: Option<&Tier>) -> Option<Reason> {
    let has = candidate.capabilities.or_else(|| tier.map(|tier| tier.capabilities)).unwrap_or_default();
    let missing = case.facts.needs.without(has);
    (!missing.is_empty()).then_some(Reason::Capability { missing })
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
    let tokens = case.context_tokens();
    (tokens > max).then_some(Reason::ContextLength { tokens, max })
}

fn present(case: &Case<'_>, candidate: &Candidate) -> Option<Reason> {
    if !candidate.healthy {
        return Some(Reason::Unhealthy);
    }
    let excluded = case.facts.excluded.iter().find(|excluded| excluded.place == candidate.place)?;
    Some(Reason::Excluded { reason: excluded.reason.clone() })
}

/// Deadline, budget and the class's demand for truth, held against the estimates. A speed that is not known is costed
/// and does not remove: at the start nothing is known, and a guess is no evidence that the answer would be late.
fn affordable(case: &Case<'_>, inputs: &Inputs) -> Option<Reason> {
    if let Some(remaining_seconds) = case.facts.deadline_seconds.map(bound) {
        let expected_seconds = inputs.expected_seconds;
        let known = !inputs.notes.contains(Note::LatencyUnknown);
        if remaining_seconds <= 0.0 || (known && expected_seconds > remaining_seconds) {
            return Some(Reason::Deadline { expected_seconds, remaining_seconds });
        }
    }
    for max_usd in [case.facts.price_max_usd.map(bound), case.class.price_max_usd].into_iter().flatten() {
        if inputs.price_usd > max_usd {
            return Some(Reason::Budget { price_usd: inputs.price_usd, max_usd });
        }
    }
    let min = case.class.probability_right_min.filter(|min| inputs.probability_right < *min)?;
    Some(Reason::ProbabilityTooLow { probability_right: inputs.probability_right, min })
}

/// A bound that is no number binds most tightly.
fn bound(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value.clamp(0.0, f64::MAX) }
}
