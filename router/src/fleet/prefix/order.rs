//! Who holds which beginning, in the order of use: over all workers, and of each.

/// No slot.
const NONE: u32 = u32::MAX;

/// One beginning at one worker.
#[derive(Debug)]
pub(super) struct Slot {
    /// Its name.
    pub(super) node: u64,
    /// The worker.
    pub(super) worker: u32,
    /// Tokens that it adds to the beginning before it.
    pub(super) tokens: u32,
    /// When it was last used; greater is later.
    pub(super) used: u64,
    /// The worker's names for the blocks that it needs and the beginning before it does not.
    pub(super) blocks: Vec<u64>,
    links: [Link; 2],
}

#[derive(Clone, Copy, Debug)]
struct Link {
    newer: u32,
    older: u32,
}

/// The newest and the oldest of a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    newest: u32,
    oldest: u32,
}

/// Which list.
#[derive(Clone, Copy, Debug)]
enum List {
    All = 0,
    Own = 1,
}

/// All slots.
#[derive(Debug)]
pub(super) struct Order {
    slots: Vec<Slot>,
    free: Vec<u32>,
    all: Ends,
    clock: u64,
}

// === impl Ends ===

impl Default for Ends {
    fn default() -> Self {
        Self { newest: NONE, oldest: NONE }
    }
}

impl Ends {
    /// The slot that was used least lately.
    pub(super) fn oldest(&self) -> Option<u32> {
        (self.oldest != NONE).then_some(self.oldest)
    }
}

// === impl Order ===

impl Order {
    pub(super) fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), all: Ends::default(), clock: 0 }
    }

    /// Slots in use.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The slot of all that was used least lately.
    pub(super) fn oldest(&self) -> Option<u32> {
        self.all.oldest()
    }

    pub(super) fn get(&self, at: u32) -> &Slot {
        &self.slots[at as usize]
    }

    pub(super) fn get_mut(&mut self, at: u32) -> &mut Slot {
        &mut self.slots[at as usize]
    }

    /// A new slot, used now; `own` is the list of its worker.
    pub(super) fn add(&mut self, (node, worker): (u64, u32), tokens: u32, own: &mut Ends) -> u32 {
        let links = [Link { newer: NONE, older: NONE }; 2];
        let slot = Slot { node, worker, tokens, used: 0, blocks: Vec::new(), links };
        let at = match self.free.pop() {
            Some(at) => {
                self.slots[at as usize] = slot;
                at
            }
            None => {
                self.slots.push(slot);
                u32::try_from(self.slots.len() - 1).unwrap_or(NONE)
            }
        };
        self.link(at, own);
        at
    }

    /// It is used now.
    pub(super) fn touch(&mut self, at: u32, own: &mut Ends) {
        self.unlink(at, own);
        self.link(at, own);
    }

    /// Frees a slot and says what was in it: its node, its worker, its tokens and its blocks.
    pub(super) fn remove(&mut self, at: u32, own: &mut Ends) -> (u64, u32, Vec<u64>) {
        self.unlink(at, own);
        self.free.push(at);
        let slot = self.get_mut(at);
        (slot.node, slot.tokens, std::mem::take(&mut slot.blocks))
    }

    fn link(&mut self, at: u32, own: &mut Ends) {
        self.clock += 1;
        self.slots[at as usize].used = self.clock;
        let mut all = self.all;
        push(&mut self.slots, &mut all, at, List::All);
        self.all = all;
        push(&mut self.slots, own, at, List::Own);
    }

    fn unlink(&mut self, at: u32, own: &mut Ends) {
        let mut all = self.all;
        take(&mut self.slots, &mut all, at, List::All);
        self.all = all;
        take(&mut self.slots, own, at, List::Own);
    }
}

fn push(slots: &mut [Slot], ends: &mut Ends, at: u32, list: List) {
    let list = list as usize;
    slots[at as usize].links[list] = Link { newer: NONE, older: ends.newest };
    match slots.get_mut(ends.newest as usize) {
        Some(newest) => newest.links[list].newer = at,
        None => ends.oldest = at,
    }
    ends.newest = at;
}

fn take(slots: &mut [Slot], ends: &mut Ends, at: u32, list: List) {
    let list = list as usize;
    let Link { newer, older } = slots[at as usize].links[list];
    match slots.get_mut(newer as usize) {
        Some(slot) => slot.links[list].older = older,
        None => ends.newest = older,
    }
    match slots.get_mut(older as usize) {
        Some(slot) => slot.links[list].newer = newer,
        None => ends.oldest = newer,
    }
}
