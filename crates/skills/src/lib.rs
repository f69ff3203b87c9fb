//! The demo models' exercises: a seeded writer of questions with their right answers.
//!
//! `items(split, seed)` never ends and always says the same for the same arguments. The three splits share
//! no name, place, room or device, no combination of numbers, no translated phrase and no composed wording,
//! so a model that answers the test set has learnt to copy, combine and compute, not to recall.

mod split;
mod skill;
mod score;
mod pool;
mod frame;
mod skills;
mod items;
mod drills;

pub use drills::{Drill, Drills, Turn, drills};
pub use frame::Trace;
pub use items::{Items, items};
pub use score::is_right;
pub use skill::{Item, Skill};
pub use split::{Error, Split};

/// The text's version: it goes up whenever the same seed would write different items.
pub const VERSION: u32 = 2;
