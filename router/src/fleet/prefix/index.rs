//! Which worker holds which beginnings: what was sent to it, less what it gave up or must have given up since.

use std::collections::HashMap;

use super::chain::{Chain, Cut};
use super::order::{Ends, Order};

/// Bounds of an index. A hold is one beginning at one worker.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Holds of all workers; the least lately used is forgotten for a new one.
    pub holds_max: usize,
    /// Holds of one worker.
    pub worker_holds_max: usize,
    /// Workers that are known for one beginning.
    pub holders_max: usize,
}

/// How much of a prompt one worker holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The worker.
    pub worker: u32,
    /// Beginnings, of the prompt's.
    pub cuts: usize,
    /// Where the longest of them ends.
    pub end: u32,
}

/// What an answer came to, so that its worker's blocks can be told apart.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// Names of the full blocks of prompt and answer, in order.
    pub blocks: &'a [u64],
    /// Tokens of a block.
    pub block_tokens: u32,
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Tokens of the answer.
    pub output_tokens: u32,
}

/// The index. Nothing in it is text, and no name in it can be made without its chains' secret.
#[derive(Debug)]
pub struct Index {
    bounds: Bounds,
    /// Who holds each beginning: worker and slot, by worker.
    nodes: HashMap<u64, Vec<(u32, u32)>>,
    order: Order,
    shelves: Vec<Shelf>,
    /// The slot that needs a worker's block.
    blocks: HashMap<(u32, u64), u32>,
}

/// What one worker holds.
#[derive(Debug, Default)]
struct Shelf {
    order: Ends,
    holds: usize,
    tokens: u64,
    /// Room of its cache, tokens.
    room: u64,
}

// === impl Index ===

impl Index {
    /// Nobody holds anything.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        let (nodes, blocks) = (HashMap::new(), HashMap::new());
        Self { bounds, nodes, order: Order::new(), shelves: Vec::new(), blocks }
    }

    /// Holds of all workers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether nobody holds anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A worker's cache has room for so many tokens.
    pub fn room(&mut self, worker: u32, tokens: u64) {
        self.shelf(worker).room = tokens;
        self.trim(worker);
    }

    /// How much of a prompt each worker holds that holds any of it, by worker.
    #[must_use]
    pub fn found(&self, cuts: &[Cut]) -> Vec<Found> {
        let mut found: Vec<Found> = Vec::new();
        for (depth, cut) in cuts.iter().enumerate() {
            let Some(holders) = self.nodes.get(&cut.node) else { break };
            if depth == 0 {
                found.extend(holders.iter().map(|(worker, _)| Found {
                    worker: *worker,
                    cuts: 1,
                    end: cut.end,
                }));
                continue;
            }
            // Both are by worker, so that they are walked together.
            let mut holders = holders.iter().map(|(worker, _)| *worker).peekable();
            let mut any = false;
            for one in found.iter_mut().filter(|one| one.cuts == depth) {
                while holders.next_if(|worker| *worker < one.worker).is_some() {}
                if holders.next_if_eq(&one.worker).is_some() {
                    (one.cuts, one.end, any) = (depth + 1, cut.end, true);
                }
            }
            if !any {
                break;
            }
        }
        found
    }

    /// A prompt is sent to a worker, which will hold it. Says how many of its beginnings it held already.
    pub fn store(&mut self, worker: u32, cuts: &[Cut], tokens_per_unit: f64) -> usize {
        let held = cuts.iter().take_while(|cut| self.slot(worker, cut.node).is_some()).count();
        // The shortest ends as the newest: what follows a beginning is given up before it.
        for index in (0..cuts.len()).rev() {
            let Cut { node, end } = cuts[index];
            let from = index.checked_sub(1).map_or(0, |before| cuts[before].end);
            // The cast saturates.
            let tokens = (f64::from(end.saturating_sub(from)) * tokens_per_unit).round() as u32;
            match self.slot(worker, node) {
                Some(slot) => {
                    let shelf = &mut self.shelves[worker as usize];
                    self.order.touch(slot, &mut shelf.order);
                }
                None => self.add(worker, node, tokens),
            }
        }
        self.trim(worker);
        held
    }

    /// These beginnings are not at the worker after all.
    pub fn forget(&mut self, worker: u32, cuts: &[Cut]) {
        for cut in cuts {
            if let Some(slot) = self.slot(worker, cut.node) {
                self.remove(slot);
            }
        }
    }

    /// Nothing is known of what a worker holds.
    pub fn forget_all(&mut self, worker: u32) {
        while let Some(oldest) = self.shelf(worker).order.oldest() {
            self.remove(oldest);
        }
    }

    /// A worker told its names for the blocks of a prompt and its answer: beginnings are held for as long as those are, and
    /// those that would need more blocks than it has are not held.
    pub fn join(&mut self, worker: u32, chain: &Chain, told: &Told<'_>) {
        let block_tokens = f64::from(told.block_tokens.max(1));
        let prompt_end = f64::from(chain.prompt_end().max(1));
        let answer_bytes = chain.cuts().last().map_or(0, |cut| cut.end) - chain.prompt_end();
        let tokens_at = |end: u32| match end.checked_sub(chain.prompt_end()) {
            None | Some(0) => f64::from(told.prompt_tokens) * f64::from(end) / prompt_end,
            Some(more) => {
                let share = f64::from(more) / f64::from(answer_bytes.max(1));
                f64::from(told.prompt_tokens) + f64::from(told.output_tokens) * share
            }
        };
        let mut joined = 0;
        for cut in chain.cuts() {
            let tokens = tokens_at(cut.end);
            let Some(slot) = self.slot(worker, cut.node) else { continue };
            // What no full block holds is computed anew at any worker.
            if tokens >= (told.blocks.len() + 1) as f64 * block_tokens {
                self.remove(slot);
                continue;
            }
            let needed = ((tokens / block_tokens).ceil() as usize).min(told.blocks.len());
            self.name(slot, told.blocks.get(joined..needed).unwrap_or_default());
            joined = joined.max(needed);
        }
    }

    /// A worker gave up a block.
    pub fn removed(&mut self, worker: u32, block: u64) {
        if let Some(slot) = self.blocks.get(&(worker, block)) {
            self.remove(*slot);
        }
    }

    fn name(&mut self, slot: u32, blocks: &[u64]) {
        let worker = self.order.get(slot).worker;
        self.unname(slot);
        for block in blocks {
            if let Some(before) = self.blocks.insert((worker, *block), slot).filter(|before| *before != slot)
            {
                self.order.get_mut(before).blocks.retain(|one| one != block);
            }
        }
        self.order.get_mut(slot).blocks = blocks.to_vec();
    }

    fn unname(&mut self, slot: u32) {
        let one = self.order.get_mut(slot);
        let worker = one.worker;
        for block in std::mem::take(&mut one.blocks) {
            self.blocks.remove(&(worker, block));
        }
    }

    fn slot(&self, worker: u32, node: u64) -> Option<u32> {
        let holders = self.nodes.get(&node)?;
        let at = holders.binary_search_by_key(&worker, |(worker, _)| *worker).ok()?;
        Some(holders[at].1)
    }

    fn add(&mut self, worker: u32, node: u64, tokens: u32) {
        if self.bounds.holds_max == 0 || self.bounds.holders_max == 0 {
            return;
        }
        if self.order.len() >= self.bounds.holds_max
            && let Some(oldest) = self.order.oldest()
        {
            self.remove(oldest);
        }
        let holders = self.nodes.get(&node).map_or(&[][..], Vec::as_slice);
        if holders.len() >= self.bounds.holders_max
            && let Some((_, oldest)) = holders.iter().min_by_key(|(_, slot)| self.order.get(*slot).used)
        {
            self.remove(*oldest);
        }
        self.shelf(worker);
        let shelf = &mut self.shelves[worker as usize];
        let slot = self.order.add((node, worker), tokens, &mut shelf.order);
        shelf.holds += 1;
        shelf.tokens += u64::from(tokens);
        let holders = self.nodes.entry(node).or_insert_with(|| Vec::with_capacity(1));
        let at = holders.partition_point(|(other, _)| *other < worker);
        holders.insert(at, (worker, slot));
    }

    fn remove(&mut self, slot: u32) {
        self.unname(slot);
        let worker = self.order.get(slot).worker;
        let shelf = &mut self.shelves[worker as usize];
        let (node, tokens, _) = self.order.remove(slot, &mut shelf.order);
        shelf.holds -= 1;
        shelf.tokens -= u64::from(tokens);
        if let Some(holders) = self.nodes.get_mut(&node) {
            holders.retain(|(other, _)| *other != worker);
            if holders.is_empty() {
                self.nodes.remove(&node);
            }
        }
    }

    /// What its cache cannot hold a worker has given up, the least lately used first.
    fn trim(&mut self, worker: u32) {
        let holds_max = self.bounds.worker_holds_max;
        while let Some(shelf) = self.shelves.get(worker as usize)
            && (shelf.tokens > shelf.room || shelf.holds > holds_max)
            && let Some(oldest) = shelf.order.oldest()
        {
            self.remove(oldest);
        }
    }

    fn shelf(&mut self, worker: u32) -> &mut Shelf {
        let index = worker as usize;
        if index >= self.shelves.len() {
            self.shelves.resize_with(index + 1, Shelf::default);
        }
        &mut self.shelves[index]
    }
}
