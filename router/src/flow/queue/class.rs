//! Those of one class that wait: tenants in turn, and of each the earliest deadline first.

use std::collections::{BTreeMap, HashMap, VecDeque};

use policy::Name;

use super::{Asker, Key, Waiting};

/// One class.
#[derive(Debug)]
pub(super) struct Class<T> {
    tenants: HashMap<Name, Tenant<T>>,
    /// Tenants that have something waiting, whoever's turn it is first.
    ring: VecDeque<Name>,
    len: usize,
    tokens: u64,
    /// Tokens that classes above it have had at its cost.
    owed: f64,
}

#[derive(Debug)]
struct Tenant<T> {
    waiting: BTreeMap<Key, Waiting<T>>,
    tokens: u64,
    weight: f64,
    /// Tokens that it may still take in this turn.
    deficit: f64,
    /// It is its turn, and it was given its quantum.
    served: bool,
}

// === impl Class ===

impl<T> Class<T> {
    pub(super) fn new() -> Self {
        Self { tenants: HashMap::new(), ring: VecDeque::new(), len: 0, tokens: 0, owed: 0.0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn tokens(&self) -> u64 {
        self.tokens
    }

    pub(super) fn push(&mut self, asker: &Asker, key: Key, waiting: Waiting<T>) {
        let Self { tenants, ring, .. } = self;
        let tenant = tenants.entry(asker.tenant.clone()).or_insert_with(|| {
            ring.push_back(asker.tenant.clone());
            Tenant { waiting: BTreeMap::new(), tokens: 0, weight: asker.weight, deficit: 0.0, served: false }
        });
        tenant.tokens += waiting.tokens;
        self.tokens += waiting.tokens;
        self.len += 1;
        tenant.waiting.insert(key, waiting);
    }

    /// The first of the tenant whose turn it is.
    pub(super) fn next(&mut self, quantum: f64) -> Option<Waiting<T>> {
        let mut passed = 0;
        loop {
            let name = self.ring.front()?.clone();
            let tenant = self.tenants.get_mut(&name)?;
            if !std::mem::replace(&mut tenant.served, true) {
                tenant.deficit += quantum * tenant.weight;
            }
            let (key, tokens) = tenant.first()?;
            if tokens as f64 <= tenant.deficit {
                tenant.deficit -= tokens as f64;
                return self.leave(&name, key);
            }
            tenant.served = false;
            self.ring.rotate_left(1);
            passed += 1;
            if passed == self.ring.len() {
                passed = 0;
                self.skip_rounds(quantum);
            }
        }
    }

    /// The last, at the cost of its tenant's turn.
    pub(super) fn next_last(&mut self) -> Option<Waiting<T>> {
        let (name, key) = self.last()?;
        let waiting = self.leave(&name, key)?;
        if let Some(tenant) = self.tenants.get_mut(&name) {
            tenant.deficit -= waiting.tokens as f64;
        }
        Some(waiting)
    }

    /// One that was served after all was not.
    pub(super) fn again(&mut self, asker: &Asker, key: Key, waiting: Waiting<T>) {
        let tokens = waiting.tokens as f64;
        let known = self.tenants.contains_key(&asker.tenant);
        self.push(asker, key, waiting);
        if let Some(tenant) = self.tenants.get_mut(&asker.tenant).filter(|_| known) {
            tenant.deficit += tokens;
        }
    }

    pub(super) fn leave(&mut self, name: &Name, key: Key) -> Option<Waiting<T>> {
        let tenant = self.tenants.get_mut(name)?;
        let waiting = tenant.waiting.remove(&key)?;
        tenant.tokens -= waiting.tokens;
        self.tokens -= waiting.tokens;
        self.len -= 1;
        if tenant.waiting.is_empty() {
            // What it did not use of its turn is gone with it.
            self.tenants.remove(name);
            self.ring.retain(|one| one != name);
        }
        if self.len == 0 {
            self.owed = self.owed.min(0.0);
        }
        Some(waiting)
    }

    pub(super) fn before(&self, (asker, key): (&Asker, Key), quantum: f64) -> u64 {
        let due =
            |tenant: &Tenant<T>| -> u64 { tenant.waiting.range(..key).map(|(_, one)| one.tokens).sum() };
        let own = self.tenants.get(&asker.tenant).map_or(0, due);
        let turns = (own.saturating_add(asker.tokens)) as f64 / asker.weight;
        let others = self.tenants.iter().filter(|(name, _)| **name != asker.tenant);
        let theirs =
            others.map(|(_, one)| (one.tokens as f64).min((turns + quantum) * one.weight)).sum::<f64>();
        own.saturating_add(theirs as u64)
    }

    pub(super) fn oldest_us(&self) -> Option<u64> {
        self.tenants.values().flat_map(|one| one.waiting.values()).map(|one| one.came_us).min()
    }

    /// Whoever leaves first for a class above.
    pub(super) fn last(&self) -> Option<(Name, Key)> {
        let most = self.tenants.iter().max_by(|a, b| most_first(a, b))?;
        Some((most.0.clone(), most.1.last()?))
    }

    /// Whoever leaves first for another of the class: of the tenant that holds most for its weight, if that is more than
    /// this one's would hold.
    pub(super) fn last_for(&self, asker: &Asker) -> Option<(Name, Key)> {
        let others = self.tenants.iter().filter(|(_, one)| self.yields(one, asker));
        let most = others.max_by(|a, b| most_first(a, b))?;
        Some((most.0.clone(), most.1.last()?))
    }

    /// Requests and tokens that leave for this one at most: what tenants hold above what it would hold.
    pub(super) fn yielded_to(&self, asker: &Asker) -> (usize, u64) {
        let share = self.share_with(asker);
        let others = self.tenants.iter().filter(|(name, _)| **name != asker.tenant);
        others.fold((0, 0), |(len, tokens), (_, tenant)| {
            let mut kept = tenant.tokens;
            let mut gone = 0;
            for one in tenant.waiting.values().rev() {
                if kept as f64 / tenant.weight <= share {
                    break;
                }
                kept -= one.tokens;
                gone += 1;
            }
            (len + gone, tokens + tenant.tokens - kept)
        })
    }

    pub(super) fn is_due(&self, quantum: f64) -> bool {
        self.len > 0 && self.owed >= quantum
    }

    pub(super) fn owe(&mut self, tokens: f64) {
        if self.len > 0 {
            self.owed += tokens;
        }
    }

    /// It was served; only what it was owed counts.
    pub(super) fn paid(&mut self, tokens: f64) {
        self.owed = if self.owed > 0.0 { self.owed - tokens } else { self.owed };
    }

    fn yields(&self, tenant: &Tenant<T>, asker: &Asker) -> bool {
        let own = self.tenants.get(&asker.tenant).is_some_and(|own| std::ptr::eq(own, tenant));
        !own && tenant.held() > self.share_with(asker)
    }

    /// What its tenant would hold for its weight with this one.
    fn share_with(&self, asker: &Asker) -> f64 {
        let held = self.tenants.get(&asker.tenant).map_or(0, |one| one.tokens);
        held.saturating_add(asker.tokens) as f64 / asker.weight
    }

    /// After a round in which no turn was enough: as many rounds at once as the nearest of the firsts needs.
    fn skip_rounds(&mut self, quantum: f64) {
        let needs = |tenant: &Tenant<T>| {
            let short = tenant.first().map_or(0.0, |(_, tokens)| tokens as f64 - tenant.deficit);
            (short / (quantum * tenant.weight)).ceil()
        };
        let rounds = self.tenants.values().map(needs).fold(f64::INFINITY, f64::min) - 1.0;
        if rounds.is_finite() && rounds > 0.0 {
            self.tenants.values_mut().for_each(|one| one.deficit += rounds * quantum * one.weight);
        }
    }
}

// === impl Tenant ===

impl<T> Tenant<T> {
    fn first(&self) -> Option<(Key, u64)> {
        self.waiting.first_key_value().map(|(key, one)| (*key, one.tokens))
    }

    fn last(&self) -> Option<Key> {
        self.waiting.last_key_value().map(|(key, _)| *key)
    }

    fn held(&self) -> f64 {
        self.tokens as f64 / self.weight
    }
}

/// By what tenants hold for their weight; by name among equals, so that equal queues lose alike.
fn most_first<T>(a: &(&Name, &Tenant<T>), b: &(&Name, &Tenant<T>)) -> std::cmp::Ordering {
    a.1.held().total_cmp(&b.1.held()).then_with(|| b.0.cmp(a.0))
}
