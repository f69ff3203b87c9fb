//! Decides which split a word, a wording or a combination of numbers belongs to.

use std::{fmt, str::FromStr};

/// One of the three disjoint bodies of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Split {
    /// What the models are trained on: about 85 % of all words and wordings.
    Train,
    /// What the difficulty estimator is fitted on: about 7 %, drawn like the test.
    Calibration,
    /// What is reported: about 8 %.
    Test,
}

/// What can be wrong with a caller's words.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// The name of no split.
    #[error("`{0}` is not a split: say train, calibration or test")]
    UnknownSplit(String),
    /// The name of no skill.
    #[error(
        "`{0}` is not a skill: say one of home, notifications, reply, translate, memo, apps, photo, arithmetic, word_problem, facts"
    )]
    UnknownSkill(String),
}

impl Split {
    /// The splits, in the order they are used.
    pub const ALL: [Self; 3] = [Self::Train, Self::Calibration, Self::Test];

    /// The split that owns a key.
    pub(crate) fn of(key: u64) -> Self {
        match key % 100 {
            0..85 => Self::Train,
            85..92 => Self::Calibration,
            _ => Self::Test,
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Train => "train",
            Self::Calibration => "calibration",
            Self::Test => "test",
        })
    }
}

impl FromStr for Split {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|split| split.to_string() == name)
            .ok_or_else(|| Error::UnknownSplit(name.to_owned()))
    }
}

/// A hash that is the same on every machine and in every release: FNV-1a, then SplitMix64's finisher,
/// because FNV's low bits alone are too regular for short words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key(u64);

impl Key {
    /// A key of its own kind: equal contents under different tags are unrelated.
    pub(crate) fn new(tag: &str) -> Self {
        Self(0xcbf2_9ce4_8422_2325).text(tag)
    }

    /// Adds a text and its end, so that "ab" + "c" differs from "a" + "bc".
    pub(crate) fn text(self, text: &str) -> Self {
        text.bytes().fold(self, Self::byte).byte(0xff)
    }

    /// Adds a number.
    pub(crate) fn number(self, number: i64) -> Self {
        number.to_le_bytes().into_iter().fold(self, Self::byte)
    }

    fn byte(self, byte: u8) -> Self {
        Self((self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }

    /// The finished hash.
    pub(crate) fn done(self) -> u64 {
        let mut z = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests;
