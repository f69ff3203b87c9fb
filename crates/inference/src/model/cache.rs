//! Keys and values of one sequence: a table of blocks, some its own and some shared with others of the same beginning.

mod events;
mod index;
mod link;
mod pool;
#[cfg(test)]
mod tests;

#[cfg(any(test, feature = "cuda"))]
use std::ops::Range;
use std::sync::Arc;

pub(crate) use events::Events;
pub(crate) use link::Link;
#[cfg(test)]
pub(crate) use pool::Fill;
pub(crate) use pool::Pool;

#[cfg(any(test, feature = "cuda"))]
use super::device::Blocks;
use crate::{
    Error,
    kernels::{Block, KeyShape, Past},
};

/// A sequence's KV cache; it holds what was computed and grows with it. Dropped, it gives its blocks back.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    /// None for the place of a cache that was taken away.
    pool: Option<Arc<Pool>>,
    /// The link that the first block follows, and that of each full block; empty where nothing is shared.
    chain: Vec<Link>,
    held: Vec<Held>,
    blocks: Vec<Arc<Block>>,
    /// The tokens whose keys and values are held.
    tokens: Vec<u32>,
    /// Rows of the step that is being computed.
    rows: usize,
}

/// What the books know of a held block: its link where others can find it.
type Held = Option<Link>;

impl Cache {
    /// An empty cache; with a root its blocks are shared with others of the same root.
    fn new(pool: Arc<Pool>, root: Option<Link>) -> Self {
        let chain = Vec::from_iter(root);
        Self { pool: Some(pool), chain, held: Vec::new(), blocks: Vec::new(), tokens: Vec::new(), rows: 0 }
    }

    /// Tokens computed in earlier steps.
    pub(crate) fn tokens(&self) -> usize {
        self.tokens.len()
    }

    /// Blocks that `more` tokens would take from the pool.
    pub(crate) fn need(&self, more: usize) -> usize {
        let Some(pool) = self.pool.as_ref().filter(|_| more > 0) else { return 0 };
        let blocks = (self.tokens.len() + more).div_ceil(pool.layout().block());
        blocks.saturating_sub(self.blocks.len()) + usize::from(self.to_copy().is_some())
    }

    /// The block that the next token is to be written to, where others hold it too.
    fn to_copy(&self) -> Option<usize> {
        let at = self.tokens.len() / self.pool.as_ref()?.layout().block();
        self.blocks.get(at).filter(|block| Arc::strong_count(block) > 1).map(|_| at)
    }

    /// Takes the blocks that `more` tokens need, which are computed next.
    pub(crate) fn make_room(&mut self, more: usize) -> Result<(), Error> {
        let Some(pool) = self.pool.clone() else { return Ok(()) };
        self.rows = more;
        if let Some(at) = self.to_copy().filter(|_| more > 0) {
            let mut own = pool.take()?;
            let copied = Arc::get_mut(&mut own).map(|own| pool.copy(&self.blocks[at], own));
            if let Some(Err(error)) = copied {
                pool.give_back(vec![(own, None)]);
                return Err(error);
            }
            let shared = std::mem::replace(&mut self.blocks[at], own);
            pool.give_back(vec![(shared, self.held[at].take())]);
        }
        for _ in 0..self.need(more) {
            let block = pool.take()?;
            self.push(block, None);
        }
        Ok(())
    }

    fn push(&mut self, block: Arc<Block>, held: Held) {
        self.blocks.push(block);
        self.held.push(held);
    }

    /// Adds the rows of this step to one layer, keys and values; there is room for them.
    pub(crate) fn extend(&mut self, layer: usize, shape: KeyShape, [keys, values]: [&[f32]; 2]) {
        let Some(pool) = &self.pool else { return };
        let block = pool.layout().block();
        let widths = [shape.heads * shape.key_width, shape.heads * shape.value_width];
        let mut at = 0;
        while at < self.rows {
            let position = self.tokens.len() + at;
            let rows = at..self.rows.min(at + block - position % block);
            // Nobody else holds it: room was made.
            if let Some(to) = self.blocks.get_mut(position / block).and_then(Arc::get_mut) {
                let of = |width: usize| rows.start * width..rows.end * width;
                let rows = [&keys[of(widths[0])], &values[of(widths[1])]];
                to.write(pool.layout(), (layer, position % block), rows);
            }
            at = rows.end;
        }
    }

    /// What one layer holds, the rows of this step among it.
    pub(crate) fn layer(&self, layer: usize) -> Option<Past<'_>> {
        let layout = self.pool.as_ref()?.layout();
        Some(Past { layout, blocks: &self.blocks, layer, positions: self.tokens.len() + self.rows })
    }

    /// Where the numbers of its blocks are, if that is on a device.
    #[cfg(any(test, feature = "cuda"))]
    pub(crate) fn device(&self) -> Option<&Arc<Blocks>> {
        self.pool.as_ref()?.device()
    }

    /// The slots of positions among those of all blocks of its pool.
    #[cfg(any(test, feature = "cuda"))]
    pub(crate) fn slots(&self, positions: Range<usize>) -> impl Iterator<Item = u32> {
        let block = self.pool.as_ref().map_or(1, |pool| pool.layout().block());
        let slot = move |at: usize| self.blocks.get(at / block).map(|of| of.place() * block + at % block);
        positions.map_while(slot).map(|slot| slot as u32)
    }

    /// Ends a step in which every layer was extended by the rows of `tokens`. Blocks that became full can be found by
    /// others from now on.
    pub(crate) fn advance(&mut self, tokens: &[u32]) {
        self.rows = 0;
        self.tokens.extend_from_slice(tokens);
        let Some(pool) = self.pool.clone() else { return };
        let block = pool.layout().block();
        while !self.chain.is_empty() && self.chain.len() * block <= self.tokens.len() {
            let at = self.chain.len() - 1;
            let tokens = &self.tokens[at * block..(at + 1) * block];
            let link = self.chain[at].then(tokens);
            if self.held[at] != Some(link) && Arc::strong_count(&self.blocks[at]) == 1 {
                if let Some(other) = pool.store((self.chain[at], link), tokens, &self.blocks[at]) {
                    pool.give_back(vec![(std::mem::replace(&mut self.blocks[at], other), None)]);
                }
                self.held[at] = Some(link);
            }
            self.chain.push(link);
        }
    }

    /// Forgets all but the first `tokens` tokens.
    pub(crate) fn truncate(&mut self, tokens: usize) {
        let Some(pool) = self.pool.clone() else { return };
        let block = pool.layout().block();
        self.rows = 0;
        self.tokens.truncate(tokens);
        let kept = self.tokens.len().div_ceil(block).min(self.blocks.len());
        pool.give_back(self.blocks.drain(kept..).zip(self.held.drain(kept..)).collect());
        self.chain.truncate(1 + self.tokens.len() / block);
        // The block that it goes on in is not copied where nobody else uses it.
        if let Some(at) = self.to_copy().filter(|at| Arc::strong_count(&self.blocks[*at]) == 2) {
            pool.forget(&self.held[at..=at]);
            // The other user may as well be a sequence, of a block that was disowned.
            self.held[at] = self.held[at].filter(|_| Arc::strong_count(&self.blocks[at]) > 1);
        }
    }

    /// Takes over what is known already of the beginning of `tokens`, into an empty cache. Says how many tokens.
    pub(crate) fn adopt(&mut self, tokens: &[u32]) -> usize {
        let Some(pool) = self.pool.clone().filter(|_| self.blocks.is_empty()) else { return 0 };
        let block = pool.layout().block();
        while let Some(&last) = self.chain.last() {
            let (whole, rest) = (self.tokens.len(), &tokens[self.tokens.len()..]);
            let Some((found, link, count)) = pool.find(last, rest) else { break };
            self.push(found, Some(link));
            self.tokens.extend_from_slice(&tokens[whole..whole + count]);
            if count < block {
                break;
            }
            self.chain.push(link);
        }
        self.tokens.len()
    }

    /// The names of its full blocks that others can find, up to the first that they cannot.
    pub(crate) fn names(&self) -> Vec<u64> {
        let full = self.chain.iter().skip(1).zip(&self.held);
        full.map_while(|(link, held)| (*held == Some(*link)).then(|| link.short())).collect()
    }

    /// Lets nobody find what this sequence has computed: its numbers are not to be trusted.
    pub(crate) fn disown(&mut self) {
        if let Some(pool) = &self.pool {
            pool.forget(&self.held);
        }
        self.chain.clear();
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        let Some(pool) = self.pool.take() else { return };
        let (block, tokens) = (pool.layout().block(), self.tokens.len());
        let full = tokens / block;
        // What the last block holds so far may be another's beginning as well.
        if !tokens.is_multiple_of(block)
            && let (Some(parent), Some(last), Some(None)) =
                (self.chain.get(full), self.blocks.get(full), self.held.get(full))
            && Arc::strong_count(last) == 1
        {
            let tokens = &self.tokens[full * block..];
            let link = parent.then(tokens);
            self.held[full] = pool.keep((*parent, link), tokens, last).then_some(link);
        }
        pool.give_back(self.blocks.drain(..).zip(self.held.drain(..)).collect());
    }
}
