//! Between text and token ids: encoding conversations, and giving back whole characters only.

mod byte_level;
mod chat;
mod reveal;
mod tokenizer;
#[cfg(test)]
mod tests;

pub(crate) use reveal::{Reveal, Shown};
pub(crate) use tokenizer::Tokenizer;
