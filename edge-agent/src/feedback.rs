//! Which answers were given lately, so that feedback about them can be told from noise.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// The ids of the last answers, oldest forgotten first. A device gives few, so that looking through them is quick.
#[derive(Debug)]
pub(crate) struct Answered {
    ids_max: usize,
    ids: Mutex<VecDeque<String>>,
}

// === impl Answered ===

impl Answered {
    /// Remembers at most `ids_max` answers.
    pub(crate) fn new(ids_max: usize) -> Self {
        Self { ids_max, ids: Mutex::default() }
    }

    /// An answer was given.
    pub(crate) fn remember(&self, request_id: &str) {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        if ids.iter().any(|id| id == request_id) {
            return;
        }
        ids.push_back(request_id.to_owned());
        let over = ids.len().saturating_sub(self.ids_max);
        ids.drain(..over);
    }

    /// Whether this answer is still remembered.
    pub(crate) fn knows(&self, request_id: &str) -> bool {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|id| id == request_id)
    }
}

#[cfg(test)]
mod tests;
