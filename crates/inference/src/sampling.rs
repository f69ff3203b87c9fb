//! The choice of the next token: a pure function of the scores, the settings, the tokens so far, seed and position.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use crate::{
    Sampling,
    kernels::{greatest, total},
};

#[cfg(test)]
mod tests;

/// A chosen token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Choice {
    pub(crate) id: u32,
    /// Its probability under the unscaled, unpenalised distribution.
    pub(crate) probability: f32,
}

/// What the draw depends on besides the scores.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Draw<'a> {
    pub(crate) sampling: &'a Sampling,
    pub(crate) seed: u64,
    /// Index of the token within its answer.
    pub(crate) position: u64,
    /// Tokens of the prompt and the answer so far.
    pub(crate) tokens: &'a [u32],
}

/// Chooses a token; none where the scores are not numbers.
pub(crate) fn choose(scores: &[f32], draw: &Draw<'_>) -> Option<Choice> {
    let greatest = greatest(scores);
    if !greatest.is_finite() {
        return None;
    }
    let total = total(scores, greatest);
    let penalised = penalise(scores, draw);
    let at =
        if draw.sampling.temperature == 0.0 { likeliest(&penalised)? } else { sample(&penalised, draw)? };
    let probability = f64::from(scores[at] - greatest).exp() / total;
    Some(Choice { id: u32::try_from(at).ok()?, probability: probability as f32 })
}

/// The repetition penalty of Keskar et al. 2019, equation 1: positive scores are divided, negative multiplied.
fn penalise(scores: &[f32], draw: &Draw<'_>) -> Vec<f32> {
    let mut penalised = scores.to_vec();
    let penalty = draw.sampling.repetition_penalty;
    if penalty == 1.0 {
        return penalised;
    }
    for &id in draw.tokens {
        // From the unpenalised score, so that a token counts once however often it occurs.
        if let (Some(score), Some(out)) = (scores.get(id as usize), penalised.get_mut(id as usize)) {
            *out = if *score > 0.0 { score / penalty } else { score * penalty };
        }
    }
    penalised
}

/// The first of the greatest.
fn likeliest(scores: &[f32]) -> Option<usize> {
    let greatest = greatest(scores);
    scores.iter().position(|score| *score == greatest)
}

fn sample(scores: &[f32], draw: &Draw<'_>) -> Option<usize> {
    let Sampling { temperature, top_p, top_k, .. } = *draw.sampling;
    let mut kept: Vec<usize> = (0..scores.len()).collect();
    let order = |a: &usize, b: &usize| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b));
    if top_k > 0 && top_k < kept.len() {
        kept.select_nth_unstable_by(top_k - 1, order);
        kept.truncate(top_k);
    }
    kept.sort_unstable_by(order);
    let greatest = scores[*kept.first()?];
    let weight = |at: &usize| f64::from((scores[*at] - greatest) / temperature).exp();
    let mut weights: Vec<f64> = kept.iter().map(weight).collect();
    let total: f64 = weights.iter().sum();
    let mut sum = 0.0;
    let reach = weights.iter().position(|weight| {
        sum += weight;
        sum >= f64::from(top_p) * total
    });
    weights.truncate(reach.map_or(weights.len(), |last| last + 1));
    let mut left = uniform(draw.seed, draw.position) * weights.iter().sum::<f64>();
    let drawn = weights.iter().position(|weight| {
        left -= weight;
        left < 0.0
    });
    // Rounding may leave a rest at the very end, which belongs to the last.
    Some(kept[drawn.unwrap_or(weights.len() - 1)])
}

/// A number in [0, 1) that depends on seed and position only: each position is a ChaCha stream of its own.
fn uniform(seed: u64, position: u64) -> f64 {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(position);
    // 53 bits are what an f64 holds exactly.
    (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}
