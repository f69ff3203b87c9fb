//! The choice of the next token: a pure function of the scores, the settings, the tokens so far, seed and position.

mod settings;
mod order;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, collections::HashMap};

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use self::order::Ordered;
pub(crate) use self::settings::{Settings, defaults};
use crate::kernels::{greatest, total};

/// A chosen token.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Choice {
    pub(crate) id: u32,
    /// Its probability under the unscaled, unpenalised distribution.
    pub(crate) probability: f32,
    /// Under the same distribution, where the settings ask for it.
    pub(crate) logprobs: Option<Likely>,
}

/// A chosen token's log-probability, and those of the likeliest, the likeliest first.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Likely {
    pub(crate) chosen: f32,
    pub(crate) top: Vec<(u32, f32)>,
}

/// What the draw depends on besides the scores.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Draw<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) seed: u64,
    /// Tokens of the prompt.
    pub(crate) prompt: &'a [u32],
    /// Tokens of the answer so far, resumed ones among them; their number is the position of the draw.
    pub(crate) answer: &'a [u32],
    /// The ids that a constraint allows, a bit each, the least first; `None`: all.
    pub(crate) allowed: Option<&'a [u32]>,
}

/// Chooses a token; none where the scores are not numbers or nothing allowed has a score.
pub(crate) fn choose(scores: &[f32], draw: &Draw<'_>) -> Option<Choice> {
    let most = greatest(scores);
    if !most.is_finite() {
        return None;
    }
    let total = total(scores, most);
    let adjusted = adjust(scores, draw);
    let at = if draw.settings.temperature == 0.0 { likeliest(&adjusted)? } else { sample(&adjusted, draw)? };
    let logarithm = |score: f32| (f64::from(score - most) - total.ln()) as f32;
    let logprobs = draw.settings.logprobs.map(|count| {
        let top = Ordered::of(scores.iter().copied().enumerate()).first(count);
        Likely {
            chosen: logarithm(scores[at]),
            top: top.iter().map(|c| (c.id, logarithm(c.score))).collect(),
        }
    });
    let probability = f64::from(scores[at] - most).exp() / total;
    Some(Choice { id: u32::try_from(at).ok()?, probability: probability as f32, logprobs })
}

/// The scores after bias, penalties and constraint.
fn adjust<'a>(scores: &'a [f32], draw: &Draw<'_>) -> Cow<'a, [f32]> {
    let mut scores = Cow::Borrowed(scores);
    if !draw.settings.logit_bias.is_empty() {
        let out = scores.to_mut();
        for (id, bias) in &draw.settings.logit_bias {
            out.get_mut(*id as usize).into_iter().for_each(|score| *score += bias);
        }
    }
    if draw.settings.repetition_penalty != 1.0 {
        repeat(scores.to_mut(), draw);
    }
    if draw.settings.presence_penalty != 0.0 || draw.settings.frequency_penalty != 0.0 {
        occur(scores.to_mut(), draw);
    }
    if let Some(allowed) = draw.allowed {
        for (id, score) in scores.to_mut().iter_mut().enumerate() {
            if allowed.get(id / 32).is_none_or(|bits| bits >> (id % 32) & 1 == 0) {
                *score = f32::NEG_INFINITY;
            }
        }
    }
    scores
}

/// The repetition penalty of Keskar et al. 2019, equation 1: positive scores are divided, negative multiplied.
fn repeat(scores: &mut [f32], draw: &Draw<'_>) {
    let penalty = draw.settings.repetition_penalty;
    let mut ids: Vec<u32> = draw.prompt.iter().chain(draw.answer).copied().collect();
    // A token counts once however often it occurs.
    ids.sort_unstable();
    ids.dedup();
    for id in ids {
        if let Some(score) = scores.get_mut(id as usize) {
            *score = if *score > 0.0 { *score / penalty } else { *score * penalty };
        }
    }
}

/// The presence and frequency penalties as the API of OpenAI defines them: by what the answer holds, not the prompt.
fn occur(scores: &mut [f32], draw: &Draw<'_>) {
    let mut counts: HashMap<u32, u32> = HashMap::new();
    draw.answer.iter().for_each(|id| *counts.entry(*id).or_default() += 1);
    for (id, count) in counts {
        if let Some(score) = scores.get_mut(id as usize) {
            *score -= count as f32 * draw.settings.frequency_penalty + draw.settings.presence_penalty;
        }
    }
}

/// The first of the greatest.
fn likeliest(scores: &[f32]) -> Option<usize> {
    let greatest = greatest(scores);
    if !greatest.is_finite() {
        return None;
    }
    scores.iter().position(|score| *score == greatest)
}

fn sample(scores: &[f32], draw: &Draw<'_>) -> Option<usize> {
    let Settings { temperature, top_p, top_k, min_p, .. } = *draw.settings;
    let greatest = greatest(scores);
    if !greatest.is_finite() {
        return None;
    }
    let weight = |score: f32| f64::from((score - greatest) / temperature).exp();
    // The likeliest weighs 1. What weighs nothing can never be drawn, whatever is left over by rounding.
    let kept = scores.iter().copied().enumerate().filter(|(_, score)| {
        let weight = weight(*score);
        weight > 0.0 && weight >= f64::from(min_p)
    });
    let mut kept = Ordered::of(kept);
    if top_k > 0 {
        kept.truncate(top_k);
    }
    let total: f64 = kept.any_order().map(|candidate| weight(candidate.score)).sum();
    let mass = if top_p < 1.0 { reach(&mut kept, weight, f64::from(top_p) * total) } else { total };
    let mut left = uniform(draw.seed, draw.answer.len() as u64) * mass;
    let mut drawn = None;
    for at in 0.. {
        let Some(candidate) = kept.at(at) else { break };
        // Rounding may leave a rest at the very end, which belongs to the last.
        drawn = Some(candidate.id as usize);
        left -= weight(candidate.score);
        if left < 0.0 {
            break;
        }
    }
    drawn
}

/// The weight of the likeliest candidates that together first reach `bound`.
fn reach(kept: &mut Ordered, weight: impl Fn(f32) -> f64, bound: f64) -> f64 {
    let mut sum = 0.0;
    for at in 0.. {
        let Some(candidate) = kept.at(at) else { break };
        sum += weight(candidate.score);
        if sum >= bound {
            break;
        }
    }
    sum
}

/// A number in [0, 1) that depends on seed and position only: each position is a ChaCha stream of its own.
fn uniform(seed: u64, position: u64) -> f64 {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(position);
    // 53 bits are what an f64 holds exactly.
    (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}
