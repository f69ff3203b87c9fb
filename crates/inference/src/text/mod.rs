//! Between text and token ids: encoding conversations, and giving back whole characters only.

mod byte_level;
mod splits;
mod gguf;
mod controls;
mod encoder;
mod tokenizer;
mod calendar;
mod python;
mod template;
mod chat;
mod reveal;
#[cfg(test)]
mod tests;

pub(crate) use encoder::Encoder;
pub(crate) use gguf::description as gguf_description;
pub(crate) use reveal::{Reveal, Shown};
pub(crate) use template::{Scene, Template};
pub(crate) use tokenizer::Tokenizer;
