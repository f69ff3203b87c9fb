//! Which answers were given lately, so that feedback about them can be told from noise.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

/// The ids of the last answers, oldest forgotten first.
#[derive(Debug)]
pub(crate) struct Answered {
    ids_max: usize,
    ids: Mutex<Ids>,
}

#[derive(Debug, Default)]
struct Ids {
    known: HashSet<Arc<str>>,
    order: VecDeque<Arc<str>>,
}

// === impl Answered ===

impl Answered {
    /// Remembers at most `ids_max` answers.
    pub(crate) fn new(ids_max: usize) -> Self {
        Self { ids_max, ids: Mutex::default() }
    }

    /// An answer was given.
    pub(crate) fn remember(&self, request_id: &str) {
        let mut ids = self.ids.lock();
        if self.ids_max == 0 || ids.known.contains(request_id) {
            return;
        }
        if ids.order.len() >= self.ids_max
            && let Some(oldest) = ids.order.pop_front()
        {
            ids.known.remove(&oldest);
        }
        let id: Arc<str> = request_id.into();
        ids.known.insert(id.clone());
        ids.order.push_back(id);
    }

    /// Whether this answer is still remembered.
    pub(crate) fn knows(&self, request_id: &str) -> bool {
        self.ids.lock().known.contains(request_id)
    }
}

#[cfg(test)]
mod tests;
