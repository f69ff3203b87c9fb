//! Tokens that were found good, so that a signature is checked once and not for every call: by a hash of their text, which is
//! not kept.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use ring::digest::{SHA256, digest};

use super::Token;

/// A good token, and the time for which it is good.
#[derive(Debug, Clone)]
pub(super) struct Verified {
    pub(super) token: Arc<Token>,
    /// Seconds since 1970, the allowance for clocks in both.
    pub(super) from_s: f64,
    pub(super) until_s: f64,
}

/// SHA-256 of a token's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Mark([u8; 32]);

/// Keeps those that were used lately: where the young are half of what may be kept, they become the old, and what was old
/// and not used since is forgotten.
#[derive(Debug)]
pub(super) struct Cache {
    half: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    young: HashMap<Mark, Verified>,
    old: HashMap<Mark, Verified>,
}

// === impl Mark ===

impl Mark {
    pub(super) fn of(token: &str) -> Self {
        let mut mark = [0; 32];
        mark.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        Self(mark)
    }
}

// === impl Cache ===

impl Cache {
    /// For at most so many.
    pub(super) fn new(tokens_max: usize) -> Self {
        Self { half: tokens_max.div_ceil(2), held: Mutex::default() }
    }

    pub(super) fn get(&self, mark: &Mark) -> Option<Verified> {
        let mut held = self.held.lock();
        if let Some(young) = held.young.get(mark) {
            return Some(young.clone());
        }
        let found = held.old.remove(mark)?;
        held.keep(*mark, found.clone(), self.half);
        Some(found)
    }

    pub(super) fn put(&self, mark: Mark, verified: Verified) {
        if self.half > 0 {
            self.held.lock().keep(mark, verified, self.half);
        }
    }

    /// For one that has ended.
    pub(super) fn forget(&self, mark: &Mark) {
        let mut held = self.held.lock();
        held.young.remove(mark);
        held.old.remove(mark);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let held = self.held.lock();
        held.young.len() + held.old.len()
    }
}

// === impl Held ===

impl Held {
    fn keep(&mut self, mark: Mark, verified: Verified, half: usize) {
        if self.young.len() >= half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(mark, verified);
    }
}
