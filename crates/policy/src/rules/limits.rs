//! Limits over many requests: budgets in dollars, and the share of requests that may go up.

use serde::Serialize;

use super::{Class, Position, Rules};
use crate::candidate::{Candidate, Kind};
use crate::condition::Condition;
use crate::facts::{Facts, Share};
use crate::name::Name;

/// Who has a budget or a cap of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// Everybody together.
    #[default]
    All,
    /// Each tenant.
    Tenant,
    /// Each device.
    Device,
    /// Each class.
    Class,
}

/// Dollars that may be spent in a window.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Budget {
    /// Its name.
    pub name: Name,
    /// The requests that it counts; `None`: all.
    pub when: Option<Condition>,
    /// The classes that it counts; empty: all.
    pub classes: Vec<Name>,
    /// Who has one of their own.
    pub per: Per,
    /// The most that may be spent in a window, US dollars.
    pub usd_max: f64,
    /// The window, seconds.
    pub window_seconds: f64,
    /// Where it stands in the file.
    #[serde(skip)]
    pub at: Position,
}

/// The share of requests that may go up in a window.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cap {
    /// Its name.
    pub name: Name,
    /// The classes that it counts; empty: all.
    pub classes: Vec<Name>,
    /// Who has one of their own.
    pub per: Per,
    /// The tiers that are up; empty: those of kind cloud.
    pub tiers_up: Vec<Name>,
    /// The share of requests that may go up, in [0, 1].
    pub share_max: f64,
    /// Requests that may go up in a window whatever their share.
    pub free_requests: u32,
    /// The window, seconds.
    pub window_seconds: f64,
    /// Where it stands in the file.
    #[serde(skip)]
    pub at: Position,
}

// === impl Rules ===

impl Rules {
    /// The budgets that count a request of this class.
    pub fn budgets_of<'a>(&'a self, facts: &'a Facts, class: &'a Class) -> impl Iterator<Item = &'a Budget> {
        self.budgets().iter().filter(move |budget| budget.counts(facts, class))
    }

    /// The escalation caps that count a request of this class.
    pub fn caps_of<'a>(&'a self, class: &'a Class) -> impl Iterator<Item = &'a Cap> {
        self.caps().iter().filter(move |cap| cap.classes.is_empty() || cap.classes.contains(&class.name))
    }
}

// === impl Per ===

impl Per {
    /// Everything by which limits may be divided, with its name.
    pub const ALL: [(&'static str, Self); 4] =
        [("all", Self::All), ("tenant", Self::Tenant), ("device", Self::Device), ("class", Self::Class)];

    /// Whose limit counts a request; empty: everybody's, or of those who do not say who they are.
    pub fn key(self, facts: &Facts, class: &Class) -> Name {
        match self {
            Self::All => Name::default(),
            Self::Tenant => facts.tenant.clone(),
            Self::Device => facts.device.clone(),
            Self::Class => class.name.clone(),
        }
    }
}

// === impl Budget ===

impl Budget {
    /// Whether it counts a request of this class. Where its condition cannot be decided, it does.
    pub fn counts(&self, facts: &Facts, class: &Class) -> bool {
        let fails = |when: &Condition| when.verdict(facts) == crate::Verdict::Fails;
        (self.classes.is_empty() || self.classes.contains(&class.name))
            && !self.when.as_ref().is_some_and(fails)
    }
}

// === impl Cap ===

impl Cap {
    /// Whether one more may go up.
    pub fn allows(&self, share: &Share) -> bool {
        let by_share = libm::floor(self.share_max * (share.all as f64 + 1.0));
        (share.up as f64 + 1.0) <= by_share.max(f64::from(self.free_requests))
    }

    /// Whether a place is up.
    pub fn is_up(&self, candidate: &Candidate) -> bool {
        if self.tiers_up.is_empty() {
            candidate.kind == Kind::Cloud
        } else {
            self.tiers_up.contains(&candidate.tier)
        }
    }
}
