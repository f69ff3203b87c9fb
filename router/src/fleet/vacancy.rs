//! Which workers have room, and how long it takes until the others have.

use policy::{Candidate, Excluded, Name};

use super::Fleet;
use super::room::Room;
use crate::flow::Asker;

/// Where a request waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inside<'a> {
    /// For this tier.
    pub(crate) tier: &'a Name,
    /// For those before it; `None`: nobody knows for how long.
    pub(crate) wait_seconds: Option<f64>,
}

// === impl Fleet ===

impl Fleet {
    /// Whether a worker is there and has no room.
    pub(crate) fn is_full(&self, place: &Name) -> bool {
        self.roster.get(place).is_some_and(|entry| !entry.room(Room::has_room))
    }

    /// Those of these workers that have no room, with that reason.
    pub(crate) fn full(&self, candidates: &[Candidate]) -> Vec<Excluded> {
        let reason = |limit: u32| format!("it has all the {limit} requests that it takes at once");
        let full = |one: &Candidate| {
            let limit = self.roster.get(&one.place)?.room(Room::full_at)?;
            Some(Excluded::new(one.place.clone(), reason(limit)))
        };
        candidates.iter().filter_map(full).collect()
    }

    /// Adds what one that would wait for a tier waits for those before it to what its workers are expected to take. `inside`:
    /// the tier in which it waits already, and the seconds. Room that they declined, or that is offered to it, is waited for
    /// by nobody.
    pub(crate) fn inform(&self, candidates: &mut [Candidate], asker: &Asker, inside: Option<Inside<'_>>) {
        for lane in self.lanes.busy() {
            let (wait_seconds, spare) = match inside {
                Some(inside) if inside.tier == lane.tier() => (inside.wait_seconds, true),
                _ => (lane.wait_seconds(asker), lane.is_declined()),
            };
            let Some(wait_seconds) = wait_seconds else { continue };
            let here = candidates.iter_mut().filter(|one| one.tier == *lane.tier());
            for one in here.filter(|one| !spare || self.is_full(&one.place)) {
                if let Some(latency) = &mut one.latency {
                    latency.queue_seconds += wait_seconds;
                }
            }
        }
    }
}
