//! The order of those who wait for one tier, as a state machine without clock or task.
//!
//! Classes go before each other, but a class that waits is kept a share of what those above it take. Within a class
//! tenants take turns by deficit round robin over tokens (Shreedhar and Varghese, "Efficient Fair Queuing using Deficit
//! Round Robin", IEEE/ACM Transactions on Networking, 1996); within a tenant the earliest deadline is first. Where there is
//! no room, the lowest class loses first, and in a class the tenant that holds most for its weight.

mod class;

use policy::{Name, Priority};

use self::class::Class;

/// One class for each priority, the most urgent first.
pub(crate) const CLASSES: usize = 3;

/// Somebody who wants to wait.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asker {
    /// Its class, from 0, the most urgent.
    pub(crate) class: usize,
    /// Who pays.
    pub(crate) tenant: Name,
    /// Its share beside other tenants.
    pub(crate) weight: f64,
    /// What it is expected to take.
    pub(crate) tokens: u64,
    /// When it must be answered, microseconds; the greatest number: whenever.
    pub(crate) deadline_us: u64,
}

/// The place of one that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    class: usize,
    tenant: Name,
    key: Key,
}

/// Deadline, then arrival.
type Key = (u64, u64);

/// One that waits, with what its owner gave it to keep.
#[derive(Debug)]
pub(crate) struct Waiting<T> {
    /// What it is expected to take.
    pub(crate) tokens: u64,
    /// When it came, microseconds.
    pub(crate) came_us: u64,
    /// Its owner's.
    pub(crate) kept: T,
}

/// What may wait at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Requests.
    pub(crate) len: usize,
    /// Their tokens; one alone may have more.
    pub(crate) tokens: u64,
}

/// How what waits is shared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sharing {
    /// Tokens of one turn at weight 1.
    pub(crate) quantum: f64,
    /// What a class is kept of what those above it take.
    pub(crate) class_share_min: f64,
}

/// Everything that waits for one tier.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    sharing: Sharing,
    classes: [Class<T>; CLASSES],
    numbers: u64,
}

/// The class of a priority.
pub(crate) fn class_of(priority: Priority) -> usize {
    match priority {
        Priority::Interactive => 0,
        Priority::Normal => 1,
        Priority::Background => 2,
    }
}

// === impl Queue ===

impl<T> Queue<T> {
    /// Nothing waits.
    pub(crate) fn new(sharing: Sharing) -> Self {
        Self { sharing, classes: std::array::from_fn(|_| Class::new()), numbers: 0 }
    }

    /// Requests that wait.
    pub(crate) fn len(&self) -> usize {
        self.classes.iter().map(Class::len).sum()
    }

    /// Tokens that wait in a class.
    pub(crate) fn tokens_of(&self, class: usize) -> u64 {
        self.classes[class].tokens()
    }

    /// Tokens that wait.
    pub(crate) fn tokens(&self) -> u64 {
        self.classes.iter().map(Class::tokens).sum()
    }

    /// Takes one in. Those that had to leave for it come back with its spot; where it has to go itself, what it brought
    /// does.
    pub(crate) fn join(
        &mut self,
        asker: &Asker,
        bounds: Bounds,
        (now_us, kept): (u64, T),
    ) -> Result<(Spot, Vec<Waiting<T>>), T> {
        if !self.fits_if_others_leave(asker, bounds) {
            return Err(kept);
        }
        let mut left = Vec::new();
        while !self.fits(asker, bounds) {
            match self.last_for(asker) {
                Some(last) => left.extend(self.leave(&last)),
                None => break,
            }
        }
        self.numbers += 1;
        let key = (asker.deadline_us, self.numbers);
        self.classes[asker.class].push(asker, key, Waiting { tokens: asker.tokens, came_us: now_us, kept });
        Ok((Spot { class: asker.class, tenant: asker.tenant.clone(), key }, left))
    }

    /// Whether one would be refused.
    pub(crate) fn would_refuse(&self, asker: &Asker, bounds: Bounds) -> bool {
        !self.fits_if_others_leave(asker, bounds)
    }

    /// Whoever is next leaves.
    pub(crate) fn next(&mut self) -> Option<Waiting<T>> {
        let class = self.class_next()?;
        let waiting = self.classes[class].next(self.sharing.quantum)?;
        self.charge(class, waiting.tokens);
        Some(waiting)
    }

    /// Whoever waits longest, which is who would have to leave first for others, leaves to be served.
    pub(crate) fn next_last(&mut self) -> Option<Waiting<T>> {
        let class = (0..CLASSES).rev().find(|class| self.classes[*class].len() > 0)?;
        let waiting = self.classes[class].next_last()?;
        self.charge(class, waiting.tokens);
        Some(waiting)
    }

    /// One whose turn came, and who did not take it, is where it was; what was counted for it is given back.
    pub(crate) fn again(&mut self, asker: &Asker, spot: &Spot, (came_us, kept): (u64, T)) {
        let waiting = Waiting { tokens: asker.tokens, came_us, kept };
        self.classes[spot.class].again(asker, spot.key, waiting);
        for below in &mut self.classes[spot.class + 1..] {
            below.owe(-(asker.tokens as f64) * self.sharing.class_share_min);
        }
    }

    /// One leaves out of turn; `None`: it is not here any more.
    pub(crate) fn leave(&mut self, spot: &Spot) -> Option<Waiting<T>> {
        self.classes[spot.class].leave(&spot.tenant, spot.key)
    }

    /// Tokens that are served before this one's would be, did it join now: of classes above all, of its own tenant what is
    /// due earlier, of other tenants their shares meanwhile.
    pub(crate) fn ahead(&self, asker: &Asker) -> u64 {
        self.before(asker, (asker.deadline_us, u64::MAX))
    }

    /// The same for one that waits at this spot.
    pub(crate) fn ahead_of(&self, asker: &Asker, spot: &Spot) -> u64 {
        self.before(asker, spot.key)
    }

    fn before(&self, asker: &Asker, key: Key) -> u64 {
        let above: u64 = self.classes[..asker.class].iter().map(Class::tokens).sum();
        above.saturating_add(self.classes[asker.class].before((asker, key), self.sharing.quantum))
    }

    /// When the one that came first of a class did, microseconds.
    pub(crate) fn oldest_us(&self, class: usize) -> Option<u64> {
        self.classes[class].oldest_us()
    }

    fn fits(&self, asker: &Asker, bounds: Bounds) -> bool {
        let (len, tokens) = (self.len(), self.tokens());
        // Whoever is larger than all that may wait would otherwise never be taken.
        len == 0 || (len < bounds.len && tokens.saturating_add(asker.tokens) <= bounds.tokens)
    }

    /// Whether there is room, or would be if those left who go before this one does.
    fn fits_if_others_leave(&self, asker: &Asker, bounds: Bounds) -> bool {
        if self.fits(asker, bounds) {
            return true;
        }
        let below = &self.classes[asker.class + 1..];
        let (len, tokens) = below.iter().fold((0, 0), |(len, tokens): (usize, u64), class| {
            (len + class.len(), tokens.saturating_add(class.tokens()))
        });
        let (more_len, more_tokens) = self.classes[asker.class].yielded_to(asker);
        let len_left = self.len() - len - more_len;
        let tokens_left = self.tokens() - tokens - more_tokens;
        len_left == 0 || (len_left < bounds.len && tokens_left.saturating_add(asker.tokens) <= bounds.tokens)
    }

    /// Whoever leaves first for this one.
    fn last_for(&self, asker: &Asker) -> Option<Spot> {
        let below = (asker.class + 1..CLASSES).rev().find(|class| self.classes[*class].len() > 0);
        let (class, (tenant, key)) = match below {
            Some(class) => (class, self.classes[class].last()?),
            None => (asker.class, self.classes[asker.class].last_for(asker)?),
        };
        Some(Spot { class, tenant, key })
    }

    /// The most urgent class, unless one below it has been kept waiting for all of its share.
    fn class_next(&self) -> Option<usize> {
        let first = self.classes.iter().position(|class| class.len() > 0)?;
        let due = (first + 1..CLASSES).find(|class| self.classes[*class].is_due(self.sharing.quantum));
        Some(due.unwrap_or(first))
    }

    /// So many tokens went to a class: those below it that wait are owed their share of them.
    fn charge(&mut self, class: usize, tokens: u64) {
        let tokens = tokens as f64;
        self.classes[class].paid(tokens);
        for below in &mut self.classes[class + 1..] {
            below.owe(tokens * self.sharing.class_share_min);
        }
    }
}

#[cfg(test)]
mod tests;
