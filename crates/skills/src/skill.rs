//! Names the ten skills and the item that exercises one of them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::split::Error;

/// What an item asks of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Skill {
    /// A spoken command to a JSON action, or a list of them.
    Home,
    /// Several notifications to one line.
    Notifications,
    /// A message and a wish to a short reply.
    Reply,
    /// A phrase between English and one of five languages.
    Translate,
    /// A rambling voice memo to a list of actions.
    Memo,
    /// A wish to the kinds of app that serve it.
    Apps,
    /// An edit in words to a JSON list of operations.
    Photo,
    /// Units, dates and money.
    Arithmetic,
    /// A story of two to four steps.
    WordProblem,
    /// A question over a few facts.
    Facts,
}

impl Skill {
    /// Every skill, in the order of the tables.
    pub const ALL: [Self; 10] = [
        Self::Home,
        Self::Notifications,
        Self::Reply,
        Self::Translate,
        Self::Memo,
        Self::Apps,
        Self::Photo,
        Self::Arithmetic,
        Self::WordProblem,
        Self::Facts,
    ];

    /// The skill's name in files and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Home => "home",
            Self::Notifications => "notifications",
            Self::Reply => "reply",
            Self::Translate => "translate",
            Self::Memo => "memo",
            Self::Apps => "apps",
            Self::Photo => "photo",
            Self::Arithmetic => "arithmetic",
            Self::WordProblem => "word_problem",
            Self::Facts => "facts",
        }
    }

    /// Its share of the items in percent. What needs more practice to learn gets more of it.
    pub(crate) fn share(self) -> usize {
        match self {
            Self::Translate => 17,
            Self::Arithmetic | Self::WordProblem | Self::Facts => 12,
            Self::Reply | Self::Memo => 9,
            Self::Home | Self::Notifications | Self::Photo => 8,
            Self::Apps => 5,
        }
    }
}

impl fmt::Display for Skill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Skill {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|skill| skill.name() == name)
            .ok_or_else(|| Error::UnknownSkill(name.to_owned()))
    }
}

/// One exercise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its place in the sequence, from 0.
    pub id: u64,
    /// What it exercises.
    pub skill: Skill,
    /// What the model is given.
    pub prompt: String,
    /// The one right answer, as the model should write it.
    pub answer: String,
}
