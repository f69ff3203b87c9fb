//! The first stage on the device: a grammar over registered entities that knows a command when it hears one.
//!
//! A command is matched whole or not at all: every word is accounted for, the entity is known and is the only one
//! meant, and it has the ability. Whatever else was said goes on to a model.

mod home;
mod token;
mod language;
mod english;
mod phrase;
mod trie;
mod quantity;
mod reference;
mod verb;
mod grammar;
mod reply;

pub use grammar::{Grammar, Match};
pub use home::{Ability, Entity, Home, Kind, Room};
pub use verb::{Argument, Verb};

#[cfg(test)]
mod tests;
