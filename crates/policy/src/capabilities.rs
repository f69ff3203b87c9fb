//! What a place can take and do, as a set.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A set of capabilities; written as a list of their names.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Capabilities(u8);

// === impl Capabilities ===

impl Capabilities {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Text in, text out.
    pub const TEXT: Self = Self(1);
    /// Images in.
    pub const IMAGE: Self = Self(1 << 1);
    /// Audio in.
    pub const AUDIO: Self = Self(1 << 2);
    /// Calls tools.
    pub const TOOLS: Self = Self(1 << 3);

    /// Every capability with its name, in the order in which they are written.
    pub const ALL: [(&'static str, Self); 4] =
        [("text", Self::TEXT), ("image", Self::IMAGE), ("audio", Self::AUDIO), ("tools", Self::TOOLS)];

    /// The capability of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, capability)| *capability)
    }

    /// Both together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in `self` and not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether everything in `other` is in `self`.
    pub const fn contains(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// Whether there is nothing in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The names of what is in it.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().filter(move |(_, one)| self.contains(*one)).map(|(name, _)| *name)
    }
}

impl Default for Capabilities {
    fn default() -> Self {
        Self::TEXT
    }
}

impl fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.names().enumerate() {
            f.write_str(if index == 0 { "" } else { ", " })?;
            f.write_str(name)?;
        }
        Ok(())
    }
}

impl Serialize for Capabilities {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.names())
    }
}

impl<'de> Deserialize<'de> for Capabilities {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        Vec::<String>::deserialize(from)?.iter().try_fold(Self::NONE, |set, name| {
            Self::named(name)
                .map(|one| set.with(one))
                .ok_or_else(|| D::Error::custom(format!("`{name}` is no capability")))
        })
    }
}
