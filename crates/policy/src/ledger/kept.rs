//! Ledgers and tallies as they outlive a process.

use serde::{Deserialize, Serialize};

use super::{Account, Ledger, PARTS, Tallies, Tally};
use crate::name::Name;

/// An account of a [`Ledger`] as it may be kept beyond a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// The budget.
    pub name: Name,
    /// Who has it.
    pub key: Name,
    /// The number of its window since 1970.
    pub window: u64,
    /// What is spent in that window, millionths of a dollar.
    pub usd_micros: u64,
}

/// A tally of [`Tallies`] as it may be kept beyond a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptTally {
    /// The cap.
    pub name: Name,
    /// Whose requests are counted.
    pub key: Name,
    /// The part of time that was counted last, since 1970.
    pub newest: u64,
    /// Requests that went up, by part.
    pub up: [u64; PARTS as usize],
    /// Requests in all, by part.
    pub all: [u64; PARTS as usize],
}

// === impl Ledger ===

impl Ledger {
    /// Every account as it may be kept beyond this process, in order. What is reserved is taken to be spent: nobody can
    /// say of it afterwards that it was not.
    pub fn kept(&self) -> Vec<Kept> {
        let kept = |((name, key), account): (&(Name, Name), &Account)| Kept {
            name: name.clone(),
            key: key.clone(),
            window: account.window,
            usd_micros: account.total(),
        };
        self.accounts.iter().map(kept).collect()
    }

    /// Takes up what was kept, as far as there is room. Accounts that this ledger has already are left as they are.
    pub fn restore(&mut self, kept: impl IntoIterator<Item = Kept>) {
        for Kept { name, key, window, usd_micros } in kept {
            if self.accounts.len() >= self.accounts_max {
                return;
            }
            let account = Account { window, settled_usd_micros: usd_micros, reserved_usd_micros: 0 };
            self.accounts.entry((name, key)).or_insert(account);
        }
    }
}

// === impl Tallies ===

impl Tallies {
    /// Every tally as it may be kept beyond this process, in order.
    pub fn kept(&self) -> Vec<KeptTally> {
        let kept = |((name, key), tally): (&(Name, Name), &Tally)| KeptTally {
            name: name.clone(),
            key: key.clone(),
            newest: tally.newest,
            up: tally.up,
            all: tally.all,
        };
        self.tallies.iter().map(kept).collect()
    }

    /// Takes up what was kept, as far as there is room. Tallies that there are already are left as they are.
    pub fn restore(&mut self, kept: impl IntoIterator<Item = KeptTally>) {
        for KeptTally { name, key, newest, up, all } in kept {
            if self.tallies.len() >= self.tallies_max {
                return;
            }
            self.tallies.entry((name, key)).or_insert(Tally { newest, up, all });
        }
    }
}
