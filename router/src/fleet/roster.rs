//! Who is in the fleet: by name for those who look for one, by number for those who draw some, kept up as workers join and
//! leave, so that no request copies or sorts them.

use std::sync::Arc;

use dashmap::DashMap;
use parking_lot::{Mutex, RwLock};
use policy::Name;

use super::entry::Entry;

/// Everyone.
#[derive(Debug, Default)]
pub(super) struct Roster {
    /// Asked several times for every request, by many threads at once.
    by_name: DashMap<Name, Arc<Entry>>,
    members: RwLock<Members>,
    numbers: Arc<Numbers>,
}

#[derive(Debug, Default)]
struct Members {
    by_number: Vec<Option<Arc<Entry>>>,
    /// By name, so that equal fleets give equal decisions.
    ordered: Vec<Arc<Entry>>,
}

/// Numbers that are in use: they stay small, however many workers come and go.
#[derive(Debug, Default)]
struct Numbers(Mutex<(u32, Vec<u32>)>);

/// A worker's number, its own until everything of it is dropped.
#[derive(Debug)]
pub struct Number {
    number: u32,
    numbers: Arc<Numbers>,
}

// === impl Roster ===

impl Roster {
    /// A number that nobody has.
    pub(super) fn number(&self) -> Arc<Number> {
        let number = {
            let (next, free) = &mut *self.numbers.0.lock();
            free.pop().unwrap_or_else(|| {
                *next += 1;
                *next - 1
            })
        };
        Arc::new(Number { number, numbers: self.numbers.clone() })
    }

    /// From now on this one is found; whoever had its name is not.
    pub(super) fn insert(&self, entry: Arc<Entry>) {
        let mut members = self.members.write();
        if let Some(before) = self.by_name.insert(entry.who.place.clone(), entry.clone()) {
            members.remove(&before);
        }
        let at = members.ordered.partition_point(|other| other.who.place < entry.who.place);
        members.ordered.insert(at, entry.clone());
        let number = entry.number() as usize;
        if number >= members.by_number.len() {
            members.by_number.resize(number + 1, None);
        }
        members.by_number[number] = Some(entry);
    }

    /// It is not found any more.
    pub(super) fn remove(&self, place: &Name) -> Option<Arc<Entry>> {
        let mut members = self.members.write();
        let (_, entry) = self.by_name.remove(place)?;
        members.remove(&entry);
        Some(entry)
    }

    /// The one of this name.
    pub(super) fn get(&self, place: &Name) -> Option<Arc<Entry>> {
        self.by_name.get(place).map(|entry| entry.value().clone())
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.members.read().ordered.len()
    }

    /// Everyone, by name.
    pub(super) fn all(&self) -> Vec<Arc<Entry>> {
        self.members.read().ordered.clone()
    }

    /// Those of these numbers that are there, in the order given.
    pub(super) fn of(&self, numbers: &[u32]) -> Vec<Arc<Entry>> {
        let members = self.members.read();
        let of = |number: &u32| members.by_number.get(*number as usize).cloned().flatten();
        numbers.iter().filter_map(of).collect()
    }

    /// Whether any is so.
    pub(super) fn any(&self, is: impl Fn(&Entry) -> bool) -> bool {
        self.members.read().ordered.iter().any(|entry| is(entry))
    }
}

// === impl Members ===

impl Members {
    fn remove(&mut self, entry: &Entry) {
        if let Ok(at) = self.ordered.binary_search_by(|other| other.who.place.cmp(&entry.who.place)) {
            self.ordered.remove(at);
        }
        if let Some(slot) = self.by_number.get_mut(entry.number() as usize) {
            *slot = None;
        }
    }
}

// === impl Number ===

impl Number {
    /// It.
    pub(super) fn get(&self) -> u32 {
        self.number
    }

    /// One outside of any fleet.
    #[must_use]
    pub fn alone(number: u32) -> Arc<Self> {
        Arc::new(Self { number, numbers: Arc::default() })
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        self.numbers.0.lock().1.push(self.number);
    }
}
