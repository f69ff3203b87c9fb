//! What a language brings to the grammar: its phrases, nouns, numbers and replies. All else is the same for all.

use super::{
    english,
    home::{Ability, Kind},
    quantity::Numerals,
    reply::Said,
    verb::Verb,
};

/// A language's tables. Phrases are written in the notation of `phrase`.
#[derive(Debug)]
pub(crate) struct Language {
    /// ISO 639-1 code.
    pub(crate) code: &'static str,
    /// What may stand before a command, and whether it makes the command a request, which may end in `?`.
    pub(crate) leads: &'static [(&'static str, bool)],
    /// Calls of the assistant: `{name}` is one of its names.
    pub(crate) calls: &'static [&'static str],
    /// What may follow a command, and whether it makes the command a request.
    pub(crate) tails: &'static [(&'static str, bool)],
    /// Short forms in the commands' phrases, and what they stand for.
    pub(crate) shorts: &'static [(&'static str, &'static str)],
    /// The commands.
    pub(crate) rows: &'static [Row],
    /// How entities are referred to.
    pub(crate) references: &'static [(&'static str, Form)],
    /// Words that stand before a noun and choose nothing: `{the}` in references.
    pub(crate) articles: &'static [&'static str],
    /// The nouns of each kind: one thing, several things. The first of the plural ones is used in replies.
    pub(crate) nouns: &'static [(Kind, &'static [&'static str], &'static [&'static str])],
    /// How numbers and units are said.
    pub(crate) numerals: Numerals,
    /// What the assistant says when it has done so.
    pub(crate) reply: fn(&Said<'_>) -> String,
}

/// One way to say a command.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) phrase: &'static str,
    pub(crate) meaning: Meaning,
    /// The kind that is meant where the phrase has no `{target}`.
    pub(crate) implied: Option<Kind>,
}

/// What a phrase asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// This.
    Do(Verb),
    /// To set whatever the target has of brightness, position and volume.
    Level,
    /// To change one ability up (1) or down (-1).
    Step(Ability, i8),
    /// To change whatever the target has of brightness, volume and temperature.
    StepAny(i8),
}

/// What a reference refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The entity of this name, in the room if one is said.
    Named,
    /// The only thing of this kind, in the room if one is said.
    One,
    /// The only thing of this kind in the device's own room.
    OneHere,
    /// All things of this kind: in the room if one is said, else in the device's own room if it has any.
    Many,
    /// All things of this kind in the device's own room.
    ManyHere,
    /// All things of this kind in the home.
    ManyEverywhere,
}

// === impl Language ===

impl Language {
    /// Every language that has commands.
    pub(crate) const ALL: [&'static Self; 1] = [&english::ENGLISH];

    /// The language of this ISO 639-1 code.
    pub(crate) fn of(code: &str) -> Option<&'static Self> {
        Self::ALL.into_iter().find(|language| language.code == code)
    }

    /// A phrase with its short forms written out.
    pub(crate) fn full(&self, phrase: &str) -> String {
        self.shorts.iter().fold(phrase.to_owned(), |phrase, (short, long)| phrase.replace(short, long))
    }

    /// The plural noun of a kind, for replies.
    pub(crate) fn plural(&self, kind: Kind) -> &'static str {
        let nouns = self.nouns.iter().find(|(other, _, _)| *other == kind);
        nouns.and_then(|(_, _, plurals)| plurals.first()).copied().unwrap_or_default()
    }
}

// === impl Row ===

impl Row {
    pub(crate) const fn of(phrase: &'static str, verb: Verb) -> Self {
        Self { phrase, meaning: Meaning::Do(verb), implied: None }
    }

    pub(crate) const fn implied(kind: Kind, phrase: &'static str, verb: Verb) -> Self {
        Self { phrase, meaning: Meaning::Do(verb), implied: Some(kind) }
    }

    pub(crate) const fn meaning(phrase: &'static str, meaning: Meaning) -> Self {
        Self { phrase, meaning, implied: None }
    }

    pub(crate) const fn meaning_of(kind: Kind, phrase: &'static str, meaning: Meaning) -> Self {
        Self { phrase, meaning, implied: Some(kind) }
    }
}
