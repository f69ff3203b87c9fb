//! Training-only exercises that ask one thing many times over: recall over a list of facts, and single sums.
//!
//! A model of this size learns to find who a fact is about, and its tables, from thousands of plain repetitions;
//! an item of the skill gives it one in sixty tokens, a drill one in twenty. Drills are never part of a test.

use serde::Serialize;

use crate::{
    frame::{Dice, Draw},
    skill::Skill,
    skills,
    split::Split,
};

/// One conversation of short questions, drawn from the training split.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Drill {
    /// The skill it prepares for.
    pub skill: Skill,
    /// Its questions, each with its answer.
    pub turns: Vec<Turn>,
}

/// One question of a drill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Turn {
    /// What the model is given.
    pub prompt: String,
    /// The answer as pairs: what is given of it, and what is to be learnt after that.
    pub answer: Vec<(String, String)>,
}

impl Turn {
    pub(crate) fn new(prompt: String, answer: String) -> Self {
        Self { prompt, answer: vec![(String::new(), answer)] }
    }
}

/// The drills of a seed. It never ends.
#[derive(Debug)]
pub struct Drills(Dice);

/// The drills of a seed, the same everywhere: four of facts for each one of sums.
pub fn drills(seed: u64) -> Drills {
    Drills(Dice::new(Split::Train, seed))
}

impl Iterator for Drills {
    type Item = Drill;

    fn next(&mut self) -> Option<Drill> {
        let skill = if self.0.weighted(&[4, 1]) == 0 { Skill::Facts } else { Skill::Arithmetic };
        let mut draw = Draw::new(&mut self.0, skill, Split::Train);
        Some(Drill { skill, turns: skills::drill(&mut draw) })
    }
}

#[cfg(test)]
mod tests;
