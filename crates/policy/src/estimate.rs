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

/// Bounds of what a vocabulary makes of a prompt, tokens for each estimated one: what is counted outside of them is no
/// difference of vocabularies.
pub const PROMPT_TOKENS_RATIO_MIN: f64 = 0.25;
/// See [`PROMPT_TOKENS_RATIO_MIN`].
pub const PROMPT_TOKENS_RATIO_MAX: f64 = 4.0;

/// One request under one policy: what all candidates share.
pub(crate) struct Case<'a> {
    pub(crate) rules: &'a Rules,
    pub(crate) class: &'a Class,
    pub(crate) facts: &'a Facts,
    /// Expected output tokens, by the request's own bound at most, else by what holds without one.
    output_tokens: f64,
    output_known: bool,
}

/// One request at one place: its tokens as the place counts them, and what they cost there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bill {
    prompt_tokens: u32,
    cached_tokens: u32,
    output_tokens: f64,
    price: Price,
    joules_per_prompt_token: f64,
    joules_per_output_token: f64,
    usd_per_joule: f64,
}

// === impl Bill ===

impl Bill {
    /// A prompt of which nothing is cached, and no answer yet.
    fn of_prompt(case: &Case<'_>, candidate: &Candidate, tier: Option<&Tier>, notes: &mut Notes) -> Self {
        let energy = tier.map(|tier| tier.energy).unwrap_or_default();
        // Joules, at what they are worth to the class.
        let usd_per_joule = case.class.joule_usd.unwrap_or(energy.usd_per_joule);
        Self {
            prompt_tokens: case.prompt_tokens(candidate, tier),
            cached_tokens: 0,
            output_tokens: 0.0,
            price: price(case, candidate, tier, notes),
            joules_per_prompt_token: energy.joules_per_input_token,
            joules_per_output_token: energy.joules_per_output_token,
            usd_per_joule,
        }
    }

    /// What prompt and answer cost together.
    fn usd(&self) -> f64 {
        let fresh = f64::from(self.prompt_tokens - self.cached_tokens);
        let input = fresh * self.price.input_usd_per_million_tokens;
        let cached = f64::from(self.cached_tokens) * self.price.cached_input_usd_per_million_tokens;
        let output = self.output_tokens * self.price.output_usd_per_million_tokens;
        let joules = fresh * self.joules_per_prompt_token + self.output_tokens * self.joules_per_output_token;
        ((input + cached + output) / 1e6).min(USD_MAX) + (joules * self.usd_per_joule).min(USD_MAX)
    }

    /// Output tokens that so many US dollars buy, the prompt paid for as if nothing of it were cached.
    pub(crate) fn output_tokens_for(&self, usd: f64) -> u32 {
        let prompt = Self { cached_tokens: 0, output_tokens: 0.0, ..*self }.usd();
        let token = Self { cached_tokens: 0, output_tokens: 1.0, prompt_tokens: 0, ..*self }.usd();
        // A bound that is no number binds most tightly.
        let left = if usd.is_nan() { 0.0 } else { usd } - prompt;
        if left < 0.0 {
            return 0;
        }
        // The cast saturates; what is free is bought without end.
        if token > 0.0 { libm::floor(left / token) as u32 } else { u32::MAX }
    }
}

// === impl Case ===

impl<'a> Case<'a> {
    /// The request, with the class that it belongs to.
    pub(crate) fn new(rules: &'a Rules, facts: &'a Facts) -> Self {
        let known = expected_output_tokens(facts.output_tokens_p50, facts.output_tokens_p90);
        let tokens = known.unwrap_or(rules.defaults().output_tokens_unknown);
        let bound = facts.output_tokens_max.or(facts.output_tokens_default);
        let bound = bound.map_or(f64::from(u32::MAX), f64::from);
        Self {
            rules,
            class: rules.class_of(facts),
            facts,
            output_tokens: tokens.min(bound),
            output_known: known.is_some(),
        }
    }

    /// Expected output tokens.
    pub(crate) fn output_tokens(&self) -> f64 {
        self.output_tokens
    }

    /// Tokens of the prompt as this place counts them.
    fn prompt_tokens(&self, candidate: &Candidate, tier: Option<&Tier>) -> u32 {
        let counted = candidate.prompt_tokens_ratio.filter(|ratio| ratio.is_finite());
        let ratio = counted.or_else(|| tier.and_then(|tier| tier.prompt_tokens_ratio)).unwrap_or(1.0);
        let ratio = ratio.clamp(PROMPT_TOKENS_RATIO_MIN, PROMPT_TOKENS_RATIO_MAX);
        // The cast saturates, which is what a bound on tokens should do.
        libm::ceil(f64::from(self.facts.prompt_tokens) * ratio) as u32
    }

    /// Tokens of the answer that a context must have room for: those that were asked for. An answer of which nothing is
    /// said ends where the context does.
    pub(crate) fn output_tokens_least(&self) -> u32 {
        self.facts.output_tokens_max.unwrap_or(1).max(1)
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
            prompt_tokens: case.prompt_tokens(candidate, tier),
            notes,
            ..Inputs::default()
        };
    }
    if !case.output_known && candidate.kind != Kind::Command {
        notes.add(Note::OutputTokensUnknown);
    }
    let prompt_tokens = case.prompt_tokens(candidate, tier);
    let cached_tokens = cached_tokens(case, candidate, prompt_tokens, &mut notes);
    let room = context_tokens_max(case, candidate, tier).saturating_sub(prompt_tokens);
    let bill = Bill {
        cached_tokens,
        // A grammar has no context that an answer could fill.
        output_tokens: match candidate.kind {
            Kind::Command => case.output_tokens,
            _ => case.output_tokens.min(f64::from(room.max(1))),
        },
        ..Bill::of_prompt(case, candidate, tier, &mut notes)
    };
    let (expected_ttft_seconds, expected_seconds) = seconds(case, candidate, (tier, &bill), &mut notes);
    Inputs {
        price_usd: bill.usd(),
        cached_tokens,
        expected_seconds,
        expected_ttft_seconds,
        probability_right: probability_right(case, candidate, tier, &mut notes),
        output_tokens: bill.output_tokens,
        output_tokens_max: case.facts.price_max_usd.map(|usd| {
            let asked = case.facts.output_tokens_max.or(case.facts.output_tokens_default);
            bill.output_tokens_for(usd).min(asked.unwrap_or(u32::MAX))
        }),
        prompt_tokens,
        notes,
    }
}

/// Tokens of prompt and answer together that the place takes.
fn context_tokens_max(case: &Case<'_>, candidate: &Candidate, tier: Option<&Tier>) -> u32 {
    let own = candidate.context_tokens_max.or_else(|| tier.and_then(|tier| tier.context_tokens_max));
    own.unwrap_or(case.rules.defaults().context_tokens_max_unknown)
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
fn cached_tokens(case: &Case<'_>, candidate: &Candidate, prompt_tokens: u32, notes: &mut Notes) -> u32 {
    let said = candidate.cached_prompt_tokens;
    let left = case.rules.session().zip(case.facts.session.as_ref()).map_or(0, |(rule, session)| {
        let fresh = session.place == candidate.place && session.idle_seconds <= rule.cache_seconds;
        // The cast saturates; a share of a count is no more than the count.
        if fresh { libm::floor(f64::from(session.cached_tokens) * rule.cache_kept) as u32 } else { 0 }
    });
    if left > said {
        notes.add(Note::CacheAssumed);
    }
    said.max(left).min(prompt_tokens)
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
    (tier, bill): (Option<&Tier>, &Bill),
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
    let prefill = f64::from(bill.prompt_tokens - bill.cached_tokens) * latency.prefill_seconds_per_token;
    let first = (latency.network_seconds + queue + prefill).min(SECONDS_MAX);
    (first, (first + bill.output_tokens * latency.seconds_per_output_token).min(SECONDS_MAX))
}

fn price(case: &Case<'_>, candidate: &Candidate, tier: Option<&Tier>, notes: &mut Notes) -> Price {
    let own = candidate.price.or_else(|| tier.map(|tier| tier.price)).filter(Price::is_sound);
    own.unwrap_or_else(|| {
        notes.add(Note::PriceUnknown);
        case.rules.defaults().price_unknown
    })
}

/// What the least answer costs, US dollars: nothing cached, and one token.
pub(crate) fn price_least_usd(case: &Case<'_>, candidate: &Candidate) -> f64 {
    let tier = case.rules.tier(&candidate.tier);
    let bill = Bill::of_prompt(case, candidate, tier, &mut Notes::default());
    Bill { output_tokens: 1.0, ..bill }.usd()
}

/// The most that an answer can cost, US dollars: nothing cached, and every token that may come. What a ledger reserves.
pub(crate) fn price_bound_usd(case: &Case<'_>, candidate: &Candidate) -> f64 {
    let tier = case.rules.tier(&candidate.tier);
    let bill = Bill::of_prompt(case, candidate, tier, &mut Notes::default());
    let room = context_tokens_max(case, candidate, tier).saturating_sub(bill.prompt_tokens);
    let mut tokens = case.facts.output_tokens_max.map_or(room, |max| max.min(room));
    if let Some(usd) = case.facts.price_max_usd {
        tokens = tokens.min(bill.output_tokens_for(usd));
    }
    Bill { output_tokens: f64::from(tokens), ..bill }.usd()
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
