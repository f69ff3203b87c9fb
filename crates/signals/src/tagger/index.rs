//! Finds which of a token's features weigh something. Most do not, and which do follows no pattern: so nothing branches on
//! that before a map of bits has sorted out nearly all that do not.

use super::tokens::FEATURES_MAX;

/// Bits of the map; the upper half of a feature is its bit.
const BITS: usize = 1 << 16;

/// Where each feature that weighs something has its row of weights.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Index {
    /// Whether any such feature has this upper half.
    bits: Vec<u64>,
    /// At the place of a feature or the next free one: the feature and its row plus one. Three quarters of it are free.
    slots: Vec<(u32, u16)>,
}

// === impl Index ===

impl Index {
    /// Of features that are fewer than half the range of 16 bits; the row of each is its place among them.
    pub(super) fn of(keys: &[u32]) -> Self {
        let mut bits = vec![0; BITS / 64];
        let mut slots = vec![(0, 0); (keys.len() * 4 + 1).next_power_of_two()];
        let mask = slots.len() - 1;
        for (row, key) in keys.iter().enumerate() {
            bits[(key >> 22) as usize] |= bit(*key);
            let mut slot = *key as usize & mask;
            while slots[slot].1 != 0 {
                slot = (slot + 1) & mask;
            }
            slots[slot] = (*key, row as u16 + 1);
        }
        Self { bits, slots }
    }

    /// The rows of the features that weigh something, in their order.
    pub(super) fn found<'a>(&self, features: &[u32], rows: &'a mut [u16; FEATURES_MAX]) -> &'a [u16] {
        let mut likely = [0; FEATURES_MAX];
        let mut count = 0;
        for feature in features {
            likely[count % FEATURES_MAX] = *feature;
            count += usize::from(self.bits[(feature >> 22) as usize] & bit(*feature) != 0);
        }
        let mut found = 0;
        for feature in &likely[..count] {
            if let Some(row) = self.row(*feature) {
                rows[found] = row;
                found += 1;
            }
        }
        &rows[..found]
    }

    fn row(&self, feature: u32) -> Option<u16> {
        let mask = self.slots.len() - 1;
        let mut slot = feature as usize & mask;
        loop {
            let (key, row) = self.slots[slot];
            let row = row.checked_sub(1)?;
            if key == feature {
                return Some(row);
            }
            slot = (slot + 1) & mask;
        }
    }
}

/// The bit of a feature in its part of the map.
fn bit(feature: u32) -> u64 {
    1 << (feature >> 16 & 63)
}
