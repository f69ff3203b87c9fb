//! What is spent and how much went up, in windows of time: reserved before a request leaves, settled when it has come
//! back. The clock is the caller's: every call says what time it is.
//!
//! ```
//! use policy::ledger::{Ledger, Tallies, usd_micros};
//! use policy::{Facts, Rules, decide, price_bound_usd};
//! # let text = r#"
//! # schema = "causeway.policy/v1"
//! # [[tier]]
//! # name = "cloud"
//! # kind = "cloud"
//! # input_usd_per_million_tokens = 1
//! # output_usd_per_million_tokens = 2
//! # context_tokens_max = 4096
//! # [[class]]
//! # name = "default"
//! # second_usd = 0.001
//! # wrong_answer_usd = 0.01
//! # [[budget]]
//! # name = "tenant-day"
//! # per = "tenant"
//! # usd_max = 0.1
//! # window_seconds = 86400
//! # "#;
//! let rules = Rules::parse("policy.toml", text)?;
//! let (mut ledger, mut tallies, now_ms) = (Ledger::new(10_000), Tallies::new(10_000), 0);
//! let mut facts = Facts { prompt_tokens: 100, ..Facts::default() };
//!
//! // Before the decision: what is spent and what went up enter as facts.
//! let class = rules.class_of(&facts);
//! let (spent, shares) = (
//!     ledger.spent(&rules, (&facts, class), now_ms),
//!     tallies.shares(&rules, (&facts, class), now_ms),
//! );
//! (facts.spent, facts.shares) = (spent, shares);
//! let decision = decide(&rules, &facts, &rules.described_candidates(), 7);
//!
//! // Before the request leaves: the most that it can cost is reserved. Where that is refused, the place is excluded and
//! // the request is decided again.
//! let chosen = &decision.winner().ok_or("no place")?.candidate;
//! let bound = usd_micros(price_bound_usd(&rules, &facts, chosen));
//! let reserved = ledger.reserve(&rules, (&facts, class), bound, now_ms)?;
//! tallies.count(&rules, (&facts, class), Some(chosen), now_ms);
//!
//! // When it has come back: what it did cost takes the place of what was reserved.
//! ledger.settle(reserved, usd_micros(0.000_5));
//! assert_eq!(ledger.spent(&rules, (&facts, class), now_ms)[0].usd, 0.000_5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::BTreeMap;

use crate::candidate::Candidate;
use crate::facts::{Facts, Share, Spent};
use crate::name::Name;
use crate::rules::{Budget, Cap, Class, Rules};

mod kept;
#[cfg(test)]
mod tests;

pub use kept::{Kept, KeptTally};

/// Parts of a window of an escalation cap; as each passes, what it counted is forgotten.
const PARTS: u64 = 12;

/// Whom newcomers are counted as when as many are known as may be: they share what one of them would have.
const NEWCOMERS: &str = "*";

/// Budgets, in whole millionths of a dollar. What is reserved counts as spent until it is settled, so that requests in
/// flight together never spend more than there is.
#[derive(Clone, Debug)]
pub struct Ledger {
    accounts: BTreeMap<(Name, Name), Account>,
    accounts_max: usize,
}

/// One budget of one who has it, in its present window.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    window: u64,
    settled_usd_micros: u64,
    reserved_usd_micros: u64,
}

/// What is held for one request, until [`Ledger::settle`].
#[derive(Debug, PartialEq, Eq)]
#[must_use = "what is not settled stays reserved to the end of its window"]
pub struct Reserved {
    usd_micros: u64,
    holds: Vec<Hold>,
}

#[derive(Debug, PartialEq, Eq)]
struct Hold {
    account: (Name, Name),
    window: u64,
}

/// A budget that has too little left.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the budget {budget} has {left_usd_micros} millionths of a dollar left; {wanted_usd_micros} are wanted"
)]
pub struct Short {
    /// The budget.
    pub budget: Name,
    /// What is left in its window, millionths of a dollar.
    pub left_usd_micros: u64,
    /// What was to be reserved, millionths of a dollar.
    pub wanted_usd_micros: u64,
}

/// How many went up under each escalation cap.
#[derive(Clone, Debug)]
pub struct Tallies {
    tallies: BTreeMap<(Name, Name), Tally>,
    tallies_max: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    /// The part of time that was counted last, and after which part each slot holds what it counted.
    newest: u64,
    up: [u64; PARTS as usize],
    all: [u64; PARTS as usize],
}

/// Parts of an amount that the arithmetic of floats may add to it, and nobody charged.
const NOISE: f64 = 1e-12;

/// Millionths of a dollar, rounded up: nothing that costs anything is free. What is no number is all there is.
pub fn usd_micros(usd: f64) -> u64 {
    let micros = usd * 1e6;
    let whole = libm::round(micros);
    // 123 millionths, written as a part of a dollar, are 123.00000000000001 of them.
    let micros = if libm::fabs(micros - whole) <= whole * NOISE { whole } else { libm::ceil(micros) };
    // The cast saturates, and is 0 for what is negative.
    if usd.is_nan() { u64::MAX } else { micros as u64 }
}

// === impl Ledger ===

impl Ledger {
    /// A ledger of at most so many accounts; who comes later shares one of each budget.
    pub fn new(accounts_max: usize) -> Self {
        Self { accounts: BTreeMap::new(), accounts_max }
    }

    /// What is spent of every budget that counts a request of this class, as [`Facts::spent`].
    pub fn spent(&self, rules: &Rules, (facts, class): (&Facts, &Class), now_ms: u64) -> Vec<Spent> {
        let spent = |budget: &Budget| {
            let account = self.accounts.get(&self.key(budget, facts, class));
            let micros = account.map_or(0, |account| account.at(window(budget, now_ms)).total());
            Spent { budget: budget.name.clone(), usd: micros as f64 / 1e6 }
        };
        rules.budgets_of(facts, class).map(spent).collect()
    }

    /// Reserves the most that an answer can cost ([`crate::price_bound_usd`]) in every budget that counts the request,
    /// or in none where one of them is short.
    pub fn reserve(
        &mut self,
        rules: &Rules,
        (facts, class): (&Facts, &Class),
        usd_micros: u64,
        now_ms: u64,
    ) -> Result<Reserved, Short> {
        let mut holds = Vec::new();
        for budget in rules.budgets_of(facts, class) {
            let account = self.key(budget, facts, class);
            let window = window(budget, now_ms);
            let present = self.accounts.get(&account).copied().unwrap_or_default().at(window);
            let left = limit_usd_micros(budget).saturating_sub(present.total());
            if usd_micros > left {
                return Err(Short {
                    budget: budget.name.clone(),
                    left_usd_micros: left,
                    wanted_usd_micros: usd_micros,
                });
            }
            holds.push(Hold { account, window: present.window });
        }
        for Hold { account, window } in &holds {
            let kept = self.accounts.entry(account.clone()).or_default();
            *kept = kept.at(*window);
            kept.reserved_usd_micros = kept.reserved_usd_micros.saturating_add(usd_micros);
        }
        Ok(Reserved { usd_micros, holds })
    }

    /// Puts what the answer did cost in the place of what was reserved for it; 0 where there was none. Windows that have
    /// passed in the meantime are left as they were.
    pub fn settle(&mut self, reserved: Reserved, usd_micros: u64) {
        for Hold { account, window } in reserved.holds {
            let Some(kept) = self.accounts.get_mut(&account).filter(|kept| kept.window == window) else {
                continue;
            };
            kept.reserved_usd_micros = kept.reserved_usd_micros.saturating_sub(reserved.usd_micros);
            kept.settled_usd_micros = kept.settled_usd_micros.saturating_add(usd_micros);
        }
    }

    /// What is spent or reserved of each budget in its present window, by all who have one together, US dollars.
    pub fn totals(&self, rules: &Rules, now_ms: u64) -> Vec<(Name, f64)> {
        let total = |budget: &Budget| {
            let of = self.accounts.range((budget.name.clone(), Name::default())..);
            let accounts = of.take_while(|((name, _), _)| *name == budget.name);
            let window = window(budget, now_ms);
            let micros =
                accounts.fold(0, |sum: u64, (_, account)| sum.saturating_add(account.at(window).total()));
            (budget.name.clone(), micros as f64 / 1e6)
        };
        rules.budgets().iter().map(total).collect()
    }

    /// Forgets accounts whose windows have passed.
    pub fn sweep(&mut self, rules: &Rules, now_ms: u64) {
        self.accounts.retain(|(name, _), account| {
            rules
                .budgets()
                .iter()
                .any(|budget| budget.name == *name && account.window >= window(budget, now_ms))
        });
    }

    fn key(&self, budget: &Budget, facts: &Facts, class: &Class) -> (Name, Name) {
        let key = (budget.name.clone(), budget.per.key(facts, class));
        if self.accounts.len() < self.accounts_max || self.accounts.contains_key(&key) {
            return key;
        }
        (key.0, NEWCOMERS.into())
    }
}

// === impl Account ===

impl Account {
    /// The account in a window: empty where it is a later one. A clock that goes back does not open an old window again.
    fn at(self, window: u64) -> Self {
        if window > self.window { Self { window, ..Self::default() } } else { self }
    }

    fn total(self) -> u64 {
        self.settled_usd_micros.saturating_add(self.reserved_usd_micros)
    }
}

// === impl Reserved ===

impl Reserved {
    /// What is held, millionths of a dollar.
    pub fn usd_micros(&self) -> u64 {
        self.usd_micros
    }
}

fn window_ms(seconds: f64) -> u64 {
    // From 1 second to 366 days, as the rules are read.
    (libm::ceil(seconds * 1e3) as u64).max(1)
}

fn window(budget: &Budget, now_ms: u64) -> u64 {
    now_ms / window_ms(budget.window_seconds)
}

fn limit_usd_micros(budget: &Budget) -> u64 {
    libm::floor(budget.usd_max * 1e6) as u64
}

// === impl Tallies ===

impl Tallies {
    /// Tallies of at most so many who have one; who comes later shares one of each cap.
    pub fn new(tallies_max: usize) -> Self {
        Self { tallies: BTreeMap::new(), tallies_max }
    }

    /// What went up under every cap that counts a request of this class, as [`Facts::shares`].
    pub fn shares(&self, rules: &Rules, (facts, class): (&Facts, &Class), now_ms: u64) -> Vec<Share> {
        let share = |cap: &Cap| {
            let tally = self.tallies.get(&self.key(cap, facts, class));
            let (up, all) = tally.map_or((0, 0), |tally| tally.at(part(cap, now_ms)).sums());
            Share { cap: cap.name.clone(), up, all }
        };
        rules.caps_of(class).map(share).collect()
    }

    /// Counts a decision: `chosen` is where the request goes; `None`: nowhere.
    pub fn count(
        &mut self,
        rules: &Rules,
        (facts, class): (&Facts, &Class),
        chosen: Option<&Candidate>,
        now_ms: u64,
    ) {
        for cap in rules.caps_of(class) {
            let key = self.key(cap, facts, class);
            let part = part(cap, now_ms);
            let tally = self.tallies.entry(key).or_default();
            *tally = tally.at(part);
            let slot = (tally.newest % PARTS) as usize;
            tally.all[slot] = tally.all[slot].saturating_add(1);
            if chosen.is_some_and(|chosen| cap.is_up(chosen)) {
                tally.up[slot] = tally.up[slot].saturating_add(1);
            }
        }
    }

    /// Forgets tallies whose windows have passed.
    pub fn sweep(&mut self, rules: &Rules, now_ms: u64) {
        self.tallies.retain(|(name, _), tally| {
            rules.caps().iter().any(|cap| cap.name == *name && tally.at(part(cap, now_ms)).sums().1 > 0)
        });
    }

    fn key(&self, cap: &Cap, facts: &Facts, class: &Class) -> (Name, Name) {
        let key = (cap.name.clone(), cap.per.key(facts, class));
        if self.tallies.len() < self.tallies_max || self.tallies.contains_key(&key) {
            return key;
        }
        (key.0, NEWCOMERS.into())
    }
}

fn part(cap: &Cap, now_ms: u64) -> u64 {
    now_ms / (window_ms(cap.window_seconds) / PARTS).max(1)
}

// === impl Tally ===

impl Tally {
    /// The tally when this part of time has come: parts that fell out of the window are empty.
    fn at(mut self, part: u64) -> Self {
        let passed = part.saturating_sub(self.newest).min(PARTS);
        for step in 1..=passed {
            let slot = ((self.newest + step) % PARTS) as usize;
            self.up[slot] = 0;
            self.all[slot] = 0;
        }
        if passed == PARTS {
            (self.up, self.all) = ([0; PARTS as usize], [0; PARTS as usize]);
        }
        self.newest = self.newest.max(part);
        self
    }

    fn sums(&self) -> (u64, u64) {
        let sum = |counts: &[u64]| counts.iter().fold(0, |sum: u64, count| sum.saturating_add(*count));
        (sum(&self.up), sum(&self.all))
    }
}
