//! What would have to change for the runner-up to win: each input alone, solved for the point at which both cost alike.

use serde::Serialize;

use crate::decision::{Decision, Weighed};
use crate::name::Name;

#[cfg(test)]
mod tests;

/// One input with the value at which winner and runner-up cost the same; beyond it the runner-up wins.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Flip {
    /// What would change.
    pub input: Input,
    /// Whose input it is; `None`: the class's.
    pub place: Option<Name>,
    /// Its value in the decision.
    pub is: f64,
    /// Its value at which both cost the same.
    pub at: f64,
}

/// What enters the cost of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// The price of the answer, US dollars.
    PriceUsd,
    /// Seconds to the last token.
    ExpectedSeconds,
    /// Probability of being right.
    ProbabilityRight,
    /// What a second is worth to the class, US dollars.
    SecondUsd,
    /// What a wrong answer costs the class, US dollars.
    WrongAnswerUsd,
}

// === impl Input ===

impl Input {
    /// Its name in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::PriceUsd => "price_usd",
            Self::ExpectedSeconds => "expected_seconds",
            Self::ProbabilityRight => "probability_right",
            Self::SecondUsd => "second_usd",
            Self::WrongAnswerUsd => "wrong_answer_usd",
        }
    }
}

// === impl Decision ===

impl Decision {
    /// The next best place that remained, as it was weighed.
    pub fn runner_up(&self) -> Option<&Weighed> {
        let name = self.trail.runner_up.as_ref()?;
        let winner = self.place.as_ref().map(|place| place.index);
        let others = self.trail.candidates.iter().enumerate().filter(|(index, _)| Some(*index) != winner);
        others.map(|(_, weighed)| weighed).find(|weighed| weighed.candidate.place == *name)
    }

    /// The places that a constraint removed and that would have cost less than the winner, or anything at all where
    /// there is none; the cheapest first.
    pub fn dearer_for_it(&self) -> Vec<&Weighed> {
        let won = self.winner().map_or(f64::INFINITY, |winner| winner.columns.total_usd);
        let mut removed: Vec<&Weighed> = self
            .trail
            .candidates
            .iter()
            .filter(|one| one.removal.is_some() && one.columns.total_usd < won)
            .collect();
        removed.sort_by(|a, b| a.columns.total_usd.total_cmp(&b.columns.total_usd));
        removed
    }

    /// For each input alone, the value at which the runner-up costs what the winner does; inputs that no possible value
    /// makes alike are left out.
    pub fn flips(&self) -> Vec<Flip> {
        let (Some(winner), Some(second)) = (self.winner(), self.runner_up()) else { return Vec::new() };
        let margin = second.columns.total_usd - winner.columns.total_usd;
        let (second_usd, wrong_usd) = (self.trail.second_usd, self.trail.wrong_answer_usd);
        let mut flips = Vec::new();
        for (weighed, sign) in [(second, -1.0), (winner, 1.0)] {
            let place = Some(weighed.candidate.place.clone());
            let inputs = &weighed.inputs;
            let mut add = |input, is: f64, at: f64, most: f64| {
                if at.is_finite() && (0.0..=most).contains(&at) {
                    flips.push(Flip { input, place: place.clone(), is, at });
                }
            };
            let price = inputs.price_usd + sign * margin;
            add(Input::PriceUsd, inputs.price_usd, price, f64::MAX);
            let seconds = inputs.expected_seconds + sign * margin / second_usd;
            add(Input::ExpectedSeconds, inputs.expected_seconds, seconds, f64::MAX);
            let probability = inputs.probability_right - sign * margin / wrong_usd;
            add(Input::ProbabilityRight, inputs.probability_right, probability, 1.0);
        }
        let worths = [
            (Input::SecondUsd, second_usd, second.inputs.expected_seconds - winner.inputs.expected_seconds),
            (
                Input::WrongAnswerUsd,
                wrong_usd,
                winner.inputs.probability_right - second.inputs.probability_right,
            ),
        ];
        for (input, is, by_one) in worths {
            // The margin grows by so much with each dollar of worth.
            let at = is - margin / by_one;
            if at.is_finite() && at >= 0.0 {
                flips.push(Flip { input, place: None, is, at });
            }
        }
        flips
    }
}
