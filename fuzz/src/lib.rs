//! What comes from outside, made of arbitrary bytes. Each target is a function that must return whatever it is given.
//!
//! `causeway-fuzz` drives them on any toolchain: it changes inputs from the corpus at random. What measures coverage can
//! call the same functions, see [`targets`].

#![expect(
    clippy::expect_used,
    reason = "a target whose surroundings cannot be built has nothing better to do than to end"
)]

mod connection;
mod mutate;
pub mod targets;

pub use mutate::Mutator;
