//! The blocks that can be found again, by what they hold, and the order in which those that nobody uses are given up.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{Events, Link};
use crate::kernels::Block;

/// Blocks after one beginning that are looked through for the longest common part, the newest first.
const LOOKED_THROUGH_MAX: usize = 64;

/// Blocks by link.
#[derive(Debug)]
pub(super) struct Index {
    entries: HashMap<Link, Entry>,
    /// What follows each link, oldest first.
    following: HashMap<Link, Vec<Link>>,
    /// Entries that nobody uses, by when that began. A sequence lets its last block go first, so that what follows a
    /// block is always given up before it.
    unused: BTreeMap<u64, Link>,
    clock: u64,
    /// Tokens of a full block.
    block: usize,
    events: Arc<Events>,
}

#[derive(Debug)]
struct Entry {
    parent: Link,
    tokens: Box<[u32]>,
    block: Arc<Block>,
    unused_since: Option<u64>,
}

/// A block that was found: how many of its first tokens are those that were looked for.
pub(super) type Found = (Arc<Block>, Link, usize);

impl Index {
    pub(super) fn new(block: usize, events: Arc<Events>) -> Self {
        Self {
            entries: HashMap::new(),
            following: HashMap::new(),
            unused: BTreeMap::new(),
            clock: 0,
            block,
            events,
        }
    }

    /// Blocks that are held for nobody.
    pub(super) fn unused(&self) -> usize {
        self.unused.len()
    }

    /// The block after `parent` that begins with the most of `tokens`; it is used from now on.
    pub(super) fn find(&mut self, parent: Link, tokens: &[u32]) -> Option<Found> {
        if let Some(whole) = tokens.get(..self.block) {
            let link = parent.then(whole);
            if self.entries.get(&link).is_some_and(|entry| entry.parent == parent && *entry.tokens == *whole)
            {
                return Some((self.using(link)?, link, self.block));
            }
        }
        let common = |link: &Link| {
            let entry = self.entries.get(link)?;
            let count = entry.tokens.iter().zip(tokens).take_while(|(held, asked)| held == asked).count();
            (count > 0).then_some((count, *link))
        };
        let following = self.following.get(&parent)?.iter().rev().take(LOOKED_THROUGH_MAX);
        let (count, link) = following.filter_map(common).max_by_key(|(count, _)| *count)?;
        Some((self.using(link)?, link, count))
    }

    /// Makes a full block known. Where another holds the same already, that one is given and used from now on.
    pub(super) fn store(
        &mut self,
        links: (Link, Link),
        tokens: &[u32],
        block: &Arc<Block>,
    ) -> Option<Arc<Block>> {
        if self.entries.contains_key(&links.1) {
            return self.using(links.1);
        }
        self.insert(links, tokens, block);
        None
    }

    /// Makes the beginning of a block known, unless one that holds it is known already.
    pub(super) fn keep(&mut self, links: (Link, Link), tokens: &[u32], block: &Arc<Block>) -> bool {
        let new = !self.siblings(links.0).any(|(_, entry)| entry.tokens.starts_with(tokens));
        let new = new && !self.entries.contains_key(&links.1);
        if new {
            self.insert(links, tokens, block);
        }
        new
    }

    fn insert(&mut self, (parent, link): (Link, Link), tokens: &[u32], block: &Arc<Block>) {
        let entry = Entry { parent, tokens: tokens.into(), block: Arc::clone(block), unused_since: None };
        self.entries.insert(link, entry);
        self.following.entry(parent).or_default().push(link);
        if tokens.len() == self.block {
            self.events.stored((parent, link), tokens.len());
        }
    }

    /// Entries that nobody uses and whose tokens are the beginning of `tokens`: they can be found nowhere better than
    /// in the block that holds those.
    pub(super) fn covered(&mut self, (parent, link): (Link, Link), tokens: &[u32]) -> Vec<Block> {
        let covered = self.siblings(parent).filter(|(at, entry)| {
            *at != link && entry.unused_since.is_some() && tokens.starts_with(&entry.tokens)
        });
        let covered: Vec<Link> = covered.map(|(link, _)| link).collect();
        covered.into_iter().filter_map(|link| Arc::into_inner(self.remove(link)?.block)).collect()
    }

    fn siblings(&self, parent: Link) -> impl Iterator<Item = (Link, &Entry)> {
        let following = self.following.get(&parent).into_iter().flatten().rev().take(LOOKED_THROUGH_MAX);
        following.filter_map(|link| Some((*link, self.entries.get(link)?)))
    }

    /// A holder lets go. The block comes back where it is nobody's and cannot be found.
    pub(super) fn release(&mut self, block: Arc<Block>, link: Option<Link>) -> Option<Block> {
        let entry = link.and_then(|link| Some((link, self.entries.get_mut(&link)?)));
        let Some((link, entry)) = entry.filter(|(_, entry)| Arc::ptr_eq(&entry.block, &block)) else {
            return Arc::into_inner(block);
        };
        drop(block);
        if Arc::strong_count(&entry.block) == 1 {
            entry.unused_since = Some(self.clock);
            self.unused.insert(self.clock, link);
            self.clock += 1;
        }
        None
    }

    /// Gives up the block that nobody has used for the longest time.
    pub(super) fn give_up(&mut self) -> Option<Block> {
        let (_, link) = self.unused.pop_first()?;
        Arc::into_inner(self.remove(link)?.block)
    }

    /// Lets a block be found no more; it comes back where nobody uses it.
    pub(super) fn forget(&mut self, link: Link) -> Option<Block> {
        Arc::into_inner(self.remove(link)?.block)
    }

    fn using(&mut self, link: Link) -> Option<Arc<Block>> {
        let entry = self.entries.get_mut(&link)?;
        if let Some(since) = entry.unused_since.take() {
            self.unused.remove(&since);
        }
        Some(Arc::clone(&entry.block))
    }

    fn remove(&mut self, link: Link) -> Option<Entry> {
        let entry = self.entries.remove(&link)?;
        if let Some(since) = entry.unused_since {
            self.unused.remove(&since);
        }
        if let Some(following) = self.following.get_mut(&entry.parent) {
            following.retain(|other| *other != link);
            if following.is_empty() {
                self.following.remove(&entry.parent);
            }
        }
        if entry.tokens.len() == self.block {
            self.events.removed(link);
        }
        Some(entry)
    }
}
