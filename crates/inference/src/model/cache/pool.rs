//! All blocks of an engine: how many there may be, who has them, and which can be found again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{
    Cache, Events, Held, Link,
    index::{Found, Index},
};
#[cfg(any(test, feature = "cuda"))]
use crate::model::device::Blocks;
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
    store: Store,
    blocks_max: usize,
    books: Mutex<Books>,
    events: Arc<Events>,
}

/// Where the numbers of blocks are.
#[derive(Debug)]
enum Store {
    /// In the blocks themselves.
    Memory,
    /// On a device; a block says which is its place.
    #[cfg(any(test, feature = "cuda"))]
    Device(Arc<Blocks>),
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
        Self::of(layout, kind, blocks_max, Store::Memory)
    }

    /// The same for blocks whose numbers are on a device.
    #[cfg(any(test, feature = "cuda"))]
    pub(crate) fn on_device(layout: Layout, kind: KvType, blocks_max: usize, blocks: Arc<Blocks>) -> Self {
        Self::of(layout, kind, blocks_max, Store::Device(blocks))
    }

    fn of(layout: Layout, kind: KvType, blocks_max: usize, store: Store) -> Self {
        let events = Arc::new(Events::default());
        let index = Index::new(layout.block(), Arc::clone(&events));
        let books = Mutex::new(Books { made: 0, spare: Vec::new(), index, given_up: 0 });
        Self { layout, kind, store, blocks_max, books, events }
    }

    /// Where the numbers are, if that is on a device.
    #[cfg(any(test, feature = "cuda"))]
    pub(super) fn device(&self) -> Option<&Arc<Blocks>> {
        match &self.store {
            Store::Memory => None,
            Store::Device(blocks) => Some(blocks),
        }
    }

    /// The block that is made after `made` others; none where there is no memory for it.
    #[cfg_attr(
        not(any(test, feature = "cuda")),
        expect(unused_variables, reason = "only blocks on a device have places")
    )]
    fn make(&self, made: usize) -> Option<Block> {
        match &self.store {
            Store::Memory => Block::new(&self.layout, self.kind),
            #[cfg(any(test, feature = "cuda"))]
            Store::Device(blocks) => blocks.reaches(made + 1).then(|| Block::elsewhere(made)),
        }
    }

    /// Copies what one block holds to another.
    pub(super) fn copy(&self, from: &Block, to: &mut Block) -> Result<(), Error> {
        match &self.store {
            Store::Memory => {
                to.copy(from);
                Ok(())
            }
            #[cfg(any(test, feature = "cuda"))]
            Store::Device(blocks) => blocks.copy(from.place(), to.place()),
        }
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
            && let Some(new) = self.make(books.made)
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
