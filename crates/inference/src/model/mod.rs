//! From a model file to scores: the configuration, the weights, the cache and one ragged step.

mod cache;
mod config;
mod attention;
mod decoder;
mod experts;
mod weights;
#[cfg(test)]
mod tests;

pub(crate) use cache::Cache;
pub(crate) use config::Config;
pub(crate) use decoder::{Decoder, Segment};
pub(crate) use experts::ExpertLoad;
