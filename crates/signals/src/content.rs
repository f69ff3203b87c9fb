//! Private content that has no form of its own: what a text is about, when it is somebody's own business.

use serde::Serialize;

use crate::container::Kind;
use crate::error::Error;
use crate::grams::Plain;
use crate::linear::{Linear, told};
use crate::topic;

/// A kind of private content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// Nothing private was seen.
    None,
    /// Somebody's health.
    Health,
    /// Somebody's money.
    Finance,
    /// Somebody's messages.
    Messages,
    /// Passwords, keys and the like.
    Credentials,
    /// Code, designs and methods of a company.
    ProprietaryCode,
    /// Papers, plans and systems of a company.
    Internal,
    /// Lists of customers, patients or employees.
    Records,
}

const ALL: [Content; 8] = [
    Content::None,
    Content::Health,
    Content::Finance,
    Content::Messages,
    Content::Credentials,
    Content::ProprietaryCode,
    Content::Internal,
    Content::Records,
];

/// What is private had better not be missed: that there is nothing is told only where it is this probable.
const NONE_LEAST: f32 = 0.7;

// === impl Content ===

impl Content {
    /// Its stable name; empty for [`Content::None`].
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Health => "health",
            Self::Finance => "finance",
            Self::Messages => "messages",
            Self::Credentials => "credentials",
            Self::ProprietaryCode => "proprietary_code",
            Self::Internal => "internal",
            Self::Records => "records",
        }
    }

    /// Every kind, with [`Content::None`].
    pub fn all() -> impl Iterator<Item = Self> {
        ALL.into_iter()
    }

    fn from_class(class: &str) -> Option<Self> {
        ALL.into_iter().find(|kind| kind.name() == class || (*kind == Self::None && class == "none"))
    }
}

/// Tells the kinds apart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ContentModel {
    linear: Linear,
    kinds: Vec<Content>,
}

// === impl ContentModel ===

impl ContentModel {
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let linear = Linear::from_bytes(Kind::Content, bytes)?;
        let kinds: Option<Vec<Content>> =
            linear.classes.iter().map(|class| Content::from_class(class)).collect();
        match kinds {
            Some(kinds) => Ok(Self { linear, kinds }),
            None => Err(Error::ModelField { model: Kind::Content.name(), field: "classes" }),
        }
    }

    pub(crate) fn version(&self) -> &str {
        &self.linear.version
    }

    /// The likeliest kind and its probability.
    pub(crate) fn of(&self, plain: &Plain) -> (Content, f32) {
        if plain.words.is_empty() {
            return (Content::None, 1.0);
        }
        let mut sums = vec![0; self.linear.classes.len()];
        let mut count = 0;
        topic::words(plain, &mut |feature| {
            count += 1;
            self.linear.add(feature, &mut sums);
        });
        let none = self.kinds.iter().position(|kind| *kind == Content::None);
        let (class, probability) = told(&self.linear.scores(&sums, count), none, NONE_LEAST);
        (self.kinds.get(class).copied().unwrap_or(Content::None), probability)
    }
}
