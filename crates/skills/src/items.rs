//! The endless sequence of items: which skill comes next, and no prompt twice in a while.

use crate::{
    frame::{Dice, Draw, Trace},
    skill::{Item, Skill},
    skills,
    split::{Key, Split},
};

/// Prompts remembered, as a direct-mapped table: 8 MiB that catch nearly every repeat among a million items.
const SEEN_MAX: usize = 1 << 20;
/// Draws before a repeat is let through, so that a skill with little to say cannot stop the sequence.
const TRIES_MAX: usize = 16;

/// The items of one split and seed. It never ends.
#[derive(Debug)]
pub struct Items {
    split: Split,
    dice: Dice,
    next_id: u64,
    seen: Vec<u64>,
}

/// The items of a split, the same for the same seed everywhere.
pub fn items(split: Split, seed: u64) -> Items {
    Items { split, dice: Dice::new(split, seed), next_id: 0, seen: vec![0; SEEN_MAX] }
}

impl Items {
    /// The next item with what it was made of.
    pub fn next_traced(&mut self) -> (Item, Trace) {
        let skill = Skill::ALL[self.dice.weighted(&Skill::ALL.map(Skill::share))];
        let mut tries = 0;
        loop {
            tries += 1;
            let mut draw = Draw::new(&mut self.dice, skill, self.split);
            let (prompt, answer) = skills::write(&mut draw);
            let trace = draw.trace();
            if self.is_new(&prompt) || tries == TRIES_MAX {
                let item = Item { id: self.next_id, skill, prompt, answer };
                self.next_id += 1;
                return (item, trace);
            }
        }
    }

    fn is_new(&mut self, prompt: &str) -> bool {
        let key = Key::new("prompt").text(prompt).done();
        let place = &mut self.seen[key as usize % SEEN_MAX];
        let new = *place != key;
        *place = key;
        new
    }
}

impl Iterator for Items {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        Some(self.next_traced().0)
    }
}
