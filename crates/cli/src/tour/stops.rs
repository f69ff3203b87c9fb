//! Reads the tour's stops: commands by their action, exercises by their place in the test set.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use proto::v1::{Priority, Privacy};
use serde::Deserialize;
use skills::{Item, Skill, Split};

use crate::ask::{Answer, Question};

/// One question of the tour, with what makes its answer right.
#[derive(Debug, Clone)]
pub struct Stop {
    /// What is asked.
    pub question: Question,
    /// What the answer must be.
    pub expected: Expected,
    /// The place or tier that must have given it; empty: any.
    pub place: String,
}

/// What makes an answer right.
#[derive(Debug, Clone)]
pub enum Expected {
    /// This done to that.
    Action {
        /// Such as `turn_on`.
        name: String,
        /// Such as `kitchen_lamp`.
        entity_id: String,
    },
    /// As the exercise is marked.
    Exercise(Item),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    seed: u64,
    stop: Vec<Written>,
}

/// Either `say` with `action` and `entity`, or `skill` with `nth`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    say: Option<String>,
    action: Option<String>,
    entity: Option<String>,
    skill: Option<String>,
    nth: Option<usize>,
    #[serde(default)]
    background: bool,
    #[serde(default)]
    local_only: bool,
    #[serde(default)]
    place: String,
}

/// Test items looked through for one that a stop names.
const ITEMS_MAX: usize = 20_000;

/// The stops of a tour file.
///
/// # Errors
///
/// The file cannot be read, or a stop of it means nothing.
pub fn stops(file: &Path) -> Result<Vec<Stop>> {
    let text = fs::read_to_string(file).with_context(|| format!("the tour {}", file.display()))?;
    let tour: File =
        toml_edit::de::from_str(&text).with_context(|| format!("the tour {}", file.display()))?;
    let seed = tour.seed;
    let read =
        |(at, written): (usize, Written)| written.read(seed).with_context(|| format!("stop {}", at + 1));
    tour.stop.into_iter().enumerate().map(read).collect()
}

// === impl Stop ===

impl Stop {
    /// Whether this is the right answer from the right place.
    #[must_use]
    pub fn is_right(&self, answer: &Answer) -> bool {
        let place = &answer.place;
        let placed =
            self.place.is_empty() || *place == self.place || place.starts_with(&format!("{}/", self.place));
        placed
            && match &self.expected {
                Expected::Action { name, entity_id } => {
                    answer.action.as_ref().is_some_and(|did| did.name == *name && did.entity_id == *entity_id)
                }
                Expected::Exercise(item) => skills::is_right(item.skill, &item.answer, &answer.text),
            }
    }

    /// How it is asked, when that is not as usual.
    #[must_use]
    pub fn manner(&self) -> &'static str {
        match (self.question.priority, self.question.privacy) {
            (Priority::Background, _) => "  (nobody waits for this one)",
            (_, Privacy::LocalOnly) => "  (must not leave the device)",
            _ => "",
        }
    }
}

// === impl Written ===

impl Written {
    fn read(self, seed: u64) -> Result<Stop> {
        let (text, expected) = match (self.say, self.action, self.entity, self.skill, self.nth) {
            (Some(say), Some(name), Some(entity_id), None, None) => {
                (say, Expected::Action { name, entity_id })
            }
            (None, None, None, Some(skill), Some(nth)) => {
                let item = exercise(skill.parse()?, nth, seed)?;
                (item.prompt.clone(), Expected::Exercise(item))
            }
            _ => bail!("needs `say`, `action` and `entity`, or `skill` and `nth`"),
        };
        let priority = if self.background { Priority::Background } else { Priority::Interactive };
        let privacy = if self.local_only { Privacy::LocalOnly } else { Privacy::Normal };
        Ok(Stop {
            question: Question { text, priority, privacy, ..Question::default() },
            expected,
            place: self.place,
        })
    }
}

fn exercise(skill: Skill, nth: usize, seed: u64) -> Result<Item> {
    let items = skills::items(Split::Test, seed).take(ITEMS_MAX);
    let mut of_skill = items.filter(|item| item.skill == skill);
    of_skill
        .nth(nth)
        .with_context(|| format!("there is no {skill} number {nth} among {ITEMS_MAX} test items"))
}
