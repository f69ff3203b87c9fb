//! What a router may want to know of the blocks that can be found: the newest changes, numbered.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use super::Link;
use crate::{BlockChange, BlockChanges};

/// Changes that are kept; who is further behind has missed some.
const CHANGES_MAX: usize = 4_096;

/// The newest changes.
#[derive(Debug, Default)]
pub(crate) struct Events(Mutex<Ring>);

#[derive(Debug, Default)]
struct Ring {
    /// The number of the first change that is kept.
    first: u64,
    changes: VecDeque<BlockChange>,
}

impl Events {
    pub(super) fn stored(&self, (after, block): (Link, Link), tokens: usize) {
        self.push(BlockChange::Stored { block: block.short(), after: after.short(), tokens });
    }

    pub(super) fn removed(&self, block: Link) {
        self.push(BlockChange::Removed { block: block.short() });
    }

    fn push(&self, change: BlockChange) {
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ring.changes.len() == CHANGES_MAX {
            ring.changes.pop_front();
            ring.first += 1;
        }
        ring.changes.push_back(change);
    }

    /// At most `max` changes from number `since` on.
    pub(crate) fn read(&self, since: u64, max: usize) -> BlockChanges {
        let ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let end = ring.first + ring.changes.len() as u64;
        let from = since.clamp(ring.first, end);
        let skipped = usize::try_from(from - ring.first).unwrap_or(usize::MAX);
        let changes: Vec<BlockChange> = ring.changes.iter().skip(skipped).take(max).copied().collect();
        // A number beyond the end is of an engine before this one.
        BlockChanges { missed: from != since, next: from + changes.len() as u64, changes }
    }
}
