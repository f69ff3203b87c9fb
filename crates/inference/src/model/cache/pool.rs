//! All blocks of an engine: how many there may be, who has them, and which can be found again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{
    Cache, Events, Held, Link,
    index::{Found, Index},
};
use crate::{
    Error, KvType,
    kernels::{Block, Layout},
};

/// The blocks of one engine. There are never more than its bound, and those that nobody uses are taken again, the
/// longest unused first, before a sequence is refused one.
#[derive(Debug)]
pub(crate) struct Pool {
    layout: Layout,
    kind: KvType,
    blocks_max: usize,
    books: Mutex<Books>,
    events: Arc<Events>,
}

#[derive(Debug)]
struct Books {
    /// Blocks that exist.
    made: usize,
    /// Those of them that hold nothing.
    spare: Vec<Block>,
    index: Index,
    given_up: u64,
}

/// How full a pool is, in blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fill {
    /// Held by sequences.
    pub(crate) held: usize,
    /// Held for nobody, and found again by who begins alike.
    pub(crate) kept: usize,
    /// The bound of both together.
    pub(crate) max: usize,
    /// Blocks given up since the start for others to use.
    pub(crate) given_up: u64,
}

impl Pool {
    pub(crate) fn new(layout: Layout, kind: KvType, blocks_max: usize) -> Self {
        let events = Arc::new(Events::default());
        let index = Index::new(layout.block(), Arc::clone(&events));
        let books = Mutex::new(Books { made: 0, spare: Vec::new(), index, given_up: 0 });
        Self { layout, kind, blocks_max, books, events }
    }

    /// An empty cache; with a root its blocks can be found by others of the same root.
    pub(crate) fn cache(self: &Arc<Self>, root: Option<Link>) -> Cache {
        Cache::new(Arc::clone(self), root)
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn events(&self) -> &Arc<Events> {
        &self.events
    }

    /// Blocks that can be taken.
    pub(crate) fn free(&self) -> usize {
        let books = self.books();
        self.blocks_max - books.made + books.spare.len() + books.index.unused()
    }

    pub(crate) fn fill(&self) -> Fill {
        let books = self.books();
        let kept = books.index.unused();
        let held = books.made - books.spare.len() - kept;
        Fill { held, kept, max: self.blocks_max, given_up: books.given_up }
    }

    /// A block that holds nothing of use.
    pub(super) fn take(&self) -> Result<Arc<Block>, Error> {
        let mut books = self.books();
        if let Some(spare) = books.spare.pop() {
            return Ok(Arc::new(spare));
        }
        if books.made < self.blocks_max
            && let Some(new) = Block::new(&self.layout, self.kind)
        {
            books.made += 1;
            return Ok(Arc::new(new));
        }
        let Some(old) = books.index.give_up() else {
            return Err(Error::CacheFull { tokens_max: self.blocks_max.saturating_mul(self.layout.block()) });
        };
        books.given_up += 1;
        Ok(Arc::new(old))
    }

    /// Takes blocks back, the last first.
    pub(super) fn give_back(&self, blocks: Vec<(Arc<Block>, Held)>) {
        let mut books = self.books();
        for (block, held) in blocks.into_iter().rev() {
            let spare = books.index.release(block, held);
            books.spare.extend(spare);
        }
    }

    /// See [`Index::find`].
    pub(super) fn find(&self, parent: Link, tokens: &[u32]) -> Option<Found> {
        self.books().index.find(parent, tokens)
    }

    /// Makes a full block known; gives the one that holds the same, where there is one.
    pub(super) fn store(
        &self,
        links: (Link, Link),
        tokens: &[u32],
        block: &Arc<Block>,
    ) -> Option<Arc<Block>> {
        let mut books = self.books();
        let other = books.index.store(links, tokens, block);
        books.clear_covered(links, tokens);
        other
    }

    /// Makes the beginning of a block known; false where it was.
    pub(super) fn keep(&self, links: (Link, Link), tokens: &[u32], block: &Arc<Block>) -> bool {
        let mut books = self.books();
        let new = books.index.keep(links, tokens, block);
        if new {
            books.clear_covered(links, tokens);
        }
        new
    }

    /// Lets these be found no more.
    pub(super) fn forget(&self, held: &[Held]) {
        let mut books = self.books();
        for link in held.iter().flatten() {
            let spare = books.index.forget(*link);
            books.spare.extend(spare);
        }
    }

    /// The books. A panic elsewhere leaves them whole enough: at worst a block is lost.
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    fn clear_covered(&mut self, links: (Link, Link), tokens: &[u32]) {
        let covered = self.index.covered(links, tokens);
        self.spare.extend(covered);
    }
}
