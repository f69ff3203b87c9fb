//! What each place makes of a prompt: tokens that it counted, for each token that was estimated.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use policy::{Candidate, Name, PROMPT_TOKENS_RATIO_MAX, PROMPT_TOKENS_RATIO_MIN, Rules};

/// Places that are remembered; one more is taken to count as its tier states.
const PLACES_MAX: usize = 1024;
/// What is taken to be known before the first prompt, as if so many tokens had been counted: the few tokens that a chat
/// template adds to a short prompt are not taken for a fine vocabulary.
const PRIOR_TOKENS: f64 = 64.0;
/// One prompt weighs no more than this many tokens, so that no single text sways what is learned.
const PROMPT_TOKENS_MAX: f64 = 512.0;
/// What is kept of the past with each prompt: about the last twenty count.
const KEPT: f64 = 0.95;

/// What was counted, by place.
#[derive(Debug, Default)]
pub(crate) struct Vocabularies {
    places: Mutex<BTreeMap<Name, Counted>>,
}

/// Sums over prompts, the newest weighing most. Their quotient is steadier than a mean of quotients.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    estimated: f64,
    counted: f64,
}

// === impl Vocabularies ===

impl Vocabularies {
    /// A place counted `counted` tokens where `estimated` were estimated.
    pub(crate) fn learn(&self, place: &Name, estimated: u32, counted: u32) {
        if estimated == 0 || counted == 0 {
            return;
        }
        let mut places = self.places.lock();
        if places.len() >= PLACES_MAX && !places.contains_key(place) {
            return;
        }
        places.entry(place.clone()).or_default().add(f64::from(estimated), f64::from(counted));
    }

    /// Tells a candidate what was learned of it.
    pub(crate) fn inform(&self, candidate: &mut Candidate, rules: &Rules) {
        let Some(known) = self.places.lock().get(&candidate.place).copied() else { return };
        let stated = rules.tier(&candidate.tier).and_then(|tier| tier.prompt_tokens_ratio);
        let ratio = known.ratio(stated.unwrap_or(1.0));
        candidate.prompt_tokens_ratio = Some(ratio);
        // What it holds of the prompt was estimated as the prompt was.
        let held = f64::from(candidate.cached_prompt_tokens) * ratio;
        candidate.cached_prompt_tokens = held as u32;
    }
}

// === impl Counted ===

impl Counted {
    fn add(&mut self, estimated: f64, counted: f64) {
        let weight = (PROMPT_TOKENS_MAX / estimated).min(1.0);
        let ratio = (counted / estimated).clamp(PROMPT_TOKENS_RATIO_MIN, PROMPT_TOKENS_RATIO_MAX);
        self.estimated = self.estimated * KEPT + estimated * weight;
        self.counted = self.counted * KEPT + estimated * weight * ratio;
    }

    fn ratio(&self, prior: f64) -> f64 {
        (self.counted + PRIOR_TOKENS * prior) / (self.estimated + PRIOR_TOKENS)
    }
}

#[cfg(test)]
mod tests;
