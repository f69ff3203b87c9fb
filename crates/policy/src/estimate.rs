//! The three estimates for one candidate: what it will cost, how long it will take, how likely it will be right.

use crate::candidate::{Candidate, Kind, Latency, Price};
use crate::decision::Inputs;
use crate::facts::Facts;
use crate::reason::{Note, Notes};
use crate::rules::{Class, Rules, Tier};

/// Seconds and dollars above these are all the same: hopeless. With them every sum and product stays finite, so that a
/// place that reports absurd numbers loses by them and never by accident wins.
const SECONDS_MAX: f64 = 1e9;
const USD_MAX: f64 = 1e9;

/// The 90th percentile of the standard normal distribution.
const NORMAL_P90: f64 = 1.281_551_565_544_600_4;

/// One request under one policy: what all candidates share.
pub(crate) struct Case<'a> {
    pub(crate) rules: &'a Rules,
    pub(crate) class: &'a Class,
    pub(crate) facts: &'a Facts,
    /// Expected output tokens, by the request's own bound at most.
    output_tokens: f64,
    output_known: bool,
}

// === impl Case ===

impl<'a> Case<'a> {
    /// The request, with the class that it belongs to.
    pub(crate) fn new(rules: &'a Rules, facts: &'a Facts) -> Self {
        let known = expected_output_tokens(facts.output_tokens_p50, facts.output_tokens_p90);
        let tokens = known.unwrap_or(rules.defaults().output_tokens_unknown);
        let bound = facts.output_tokens_max.map_or(f64::from(u32::MAX), f64::from);
        Self {
            rules,
            class: rules.class_of(facts),
            facts,
            output_tokens: tokens.min(bound),
            output_known: known.is_some(),
        }
    }

    /// Tokens of prompt and answer together.
    pub(crate) fn context_tokens(&self) -> u32 {
        // The cast saturates, which is what a bound on tokens should do.
        self.facts.prompt_tokens.saturating_add(libm::ceil(self.output_tokens) as u32)
    }
}

/// Estimates one candidate.
pub(crate) fn estimate(case: &Case<'_>, candidate: &Candidate, tier: Option<&Tier>) -> Inputs {
    let mut notes = Notes::NONE;
    if tier.is_none() {
        notes.add(Note::TierUnknown);
    }
    let answered = case.facts.local_answer.as_ref().filter(|answer| answer.place == candidate.place);
    if let Some(answer) = answered {
        notes.add(Note::Answered);
        let confidence = probability(f64::from(answer.confidence));
        return Inputs {
            probability_right: confidence.unwrap_or_else(|| unknown_probability(case, &mut notes)),
            notes,
            ..Inputs::default()
        };
    }
    if !case.output_known && candidate.kind != Kind::Command {
        notes.add(Note::OutputTokensUnknown);
    }
    let cached = cached_tokens(case, candidate, &mut notes);
    let (expected_ttft_seconds, expected_seconds) = seconds(case, candidate, (tier, cached), &mut notes);
    let price = price(case, candidate, tier, &mut notes);
    Inputs {
        price_usd: price_usd(case, &price, cached, case.output_tokens)
            + energy_usd(case, tier, cached, case.output_tokens),
        cached_tokens: cached,
        expected_seconds,
        expected_ttft_seconds,
        probability_right: probability_right(case, candidate, tier, &mut notes),
        output_tokens: case.output_tokens,
        notes,
    }
}

/// The mean of the log-normal distribution with these two quantiles: lengths are skewed, so that their median alone
/// would make long answers look cheap. `None`: the quantiles tell nothing.
fn expected_output_tokens(p50: f32, p90: f32) -> Option<f64> {
    let (p50, p90) = (f64::from(p50), f64::from(p90));
    if !(p50.is_finite() && p90.is_finite() && p50 > 0.0) {
        return None;
    }
    let sigma = libm::log((p90 / p50).clamp(1.0, 100.0)) / NORMAL_P90;
    Some(p50 * libm::exp(sigma * sigma / 2.0))
}

/// Tokens of the prompt that the place holds: as it says itself, or as the conversation's last answer left them.
fn cached_tokens(case: &Case<'_>, candidate: &Candidate, notes: &mut Notes) -> u32 {
    let said = candidate.cached_prompt_tokens;
    let left = case.rules.session().zip(case.facts.session.as_ref()).map_or(0, |(rule, session)| {
        let fresh = session.place == candidate.place && session.idle_seconds <= rule.cache_seconds;
        // The cast saturates; a share of a count is no more than the count.
        if fresh { libm::floor(f64::from(session.cached_tokens) * rule.cache_kept) as u32 } else { 0 }
    });
    if left > said {
        notes.add(Note::CacheAssumed);
    }
    said.max(left).min(case.facts.prompt_tokens)
}

/// The speed that was measured; else the one that the tier states.
fn latency(candidate: &Candidate, tier: Option<&Tier>, notes: &mut Notes) -> Option<Latency> {
    if let Some(measured) = candidate.latency.filter(Latency::is_sound) {
        return Some(measured);
    }
    let stated = tier.and_then(|tier| tier.latency);
    notes.add(if stated.is_some() { Note::LatencyStated } else { Note::LatencyUnknown });
    stated
}

/// Seconds to the first token and to the last.
fn seconds(
    case: &Case<'_>,
    candidate: &Candidate,
    (tier, cached): (Option<&Tier>, u32),
    notes: &mut Notes,
) -> (f64, f64) {
    let defaults = case.rules.defaults();
    let Some(latency) = latency(candidate, tier, notes) else {
        return (defaults.expected_seconds_unknown, defaults.expected_seconds_unknown);
    };
    let mut queue = latency.queue_seconds;
    if candidate.load.is_none() && candidate.kind != Kind::Command {
        notes.add(Note::LoadUnknown);
        queue = queue.max(defaults.queue_seconds_unknown);
    }
    let prefill = f64::from(case.facts.prompt_tokens - cached) * latency.prefill_seconds_per_token;
    let first = (latency.network_seconds + queue + prefill).min(SECONDS_MAX);
    (first, (first + case.output_tokens * latency.seconds_per_output_token).min(SECONDS_MAX))
}

fn price(case: &Case<'_>, candidate: &Candidate, tier: Option<&Tier>, notes: &mut Notes) -> Price {
    let own = candidate.price.or_else(|| tier.map(|tier| tier.price)).filter(Price::is_sound);
    own.unwrap_or_else(|| {
        notes.add(Note::PriceUnknown);
        case.rules.defaults().price_unknown
    })
}

fn price_usd(case: &Case<'_>, price: &Price, cached: u32, output_tokens: f64) -> f64 {
    let input = f64::from(case.facts.prompt_tokens - cached) * price.input_usd_per_million_tokens;
    let cached = f64::from(cached) * price.cached_input_usd_per_million_tokens;
    let output = output_tokens * price.output_usd_per_million_tokens;
    ((input + cached + output) / 1e6).min(USD_MAX)
}

/// Joules, at what they are worth to the class.
fn energy_usd(case: &Case<'_>, tier: Option<&Tier>, cached: u32, output_tokens: f64) -> f64 {
    let Some(energy) = tier.map(|tier| tier.energy) else { return 0.0 };
    let joules = f64::from(case.facts.prompt_tokens - cached) * energy.joules_per_input_token
        + output_tokens * energy.joules_per_output_token;
    let usd_per_joule = case.class.joule_usd.unwrap_or(energy.usd_per_joule);
    (joules * usd_per_joule).min(USD_MAX)
}

/// The most that an answer can cost, US dollars: nothing cached, and every token that may come. What a ledger reserves.
pub(crate) fn price_bound_usd(case: &Case<'_>, candidate: &Candidate) -> f64 {
    let tier = case.rules.tier(&candidate.tier);
    let price = price(case, candidate, tier, &mut Notes::default());
    let context = candidate.context_tokens_max.or_else(|| tier.and_then(|tier| tier.context_tokens_max));
    let context = context.unwrap_or(case.rules.defaults().context_tokens_max_unknown);
    let room = context.saturating_sub(case.facts.prompt_tokens);
    let tokens = f64::from(case.facts.output_tokens_max.map_or(room, |max| max.min(room)));
    price_usd(case, &price, 0, tokens) + energy_usd(case, tier, 0, tokens)
}

/// Item response theory: the logistic function of ability · requirement − difficulty, unless it is known outright.
fn probability_right(case: &Case<'_>, candidate: &Candidate, tier: Option<&Tier>, notes: &mut Notes) -> f64 {
    if let Some(certain) = candidate.certain {
        return probability(certain).unwrap_or_else(|| unknown_probability(case, notes));
    }
    let ability = candidate.ability.or_else(|| tier.and_then(|tier| tier.abilities));
    let logit = ability
        .and_then(|ability| ability.dot(&case.facts.requirement))
        .map(|dot| dot - f64::from(case.facts.difficulty) + f64::from(candidate.ability_offset))
        .filter(|logit| logit.is_finite());
    match logit {
        Some(logit) => 1.0 / (1.0 + libm::exp(-logit)),
        None => unknown_probability(case, notes),
    }
}

fn unknown_probability(case: &Case<'_>, notes: &mut Notes) -> f64 {
    notes.add(Note::ProbabilityUnknown);
    case.rules.defaults().probability_right_unknown
}

fn probability(value: f64) -> Option<f64> {
    (0.0..=1.0).contains(&value).then_some(value)
}
