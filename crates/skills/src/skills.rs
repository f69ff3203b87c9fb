//! One file for each skill; here only which of them writes an item or a drill.

mod home;
mod notifications;
mod reply;
mod translate;
mod memo;
mod apps;
mod photo;
mod arithmetic;
mod word_problem;
mod facts;

use crate::{drills::Turn, frame::Draw, skill::Skill};

/// A prompt and its answer.
pub(crate) fn write(draw: &mut Draw<'_>) -> (String, String) {
    match draw.skill {
        Skill::Home => home::write(draw),
        Skill::Notifications => notifications::write(draw),
        Skill::Reply => reply::write(draw),
        Skill::Translate => translate::write(draw),
        Skill::Memo => memo::write(draw),
        Skill::Apps => apps::write(draw),
        Skill::Photo => photo::write(draw),
        Skill::Arithmetic => arithmetic::write(draw),
        Skill::WordProblem => word_problem::write(draw),
        Skill::Facts => facts::write(draw),
    }
}

/// The questions of a drill: there are drills of facts, and of sums.
pub(crate) fn drill(draw: &mut Draw<'_>) -> Vec<Turn> {
    match draw.skill {
        Skill::Facts => facts::drill(draw),
        _ => arithmetic::drill(draw),
    }
}

#[cfg(test)]
mod tests;
