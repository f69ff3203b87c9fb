//! From a model file to scores: the configuration, the weights, the cache and one ragged step.

mod cache;
mod config;
mod turns;
mod project;
mod attention;
mod latent;
mod decoder;
mod experts;
mod residency;
mod weights;
#[cfg(any(test, feature = "cuda"))]
mod device;
mod executor;
#[cfg(test)]
mod tests;

pub(crate) use cache::{Cache, Events, Link, Pool};
#[cfg(test)]
pub(crate) use config::Architecture;
pub(crate) use config::Config;
pub(crate) use decoder::{Decoder, Segment};
#[cfg(test)]
pub(crate) use device::refusal;
pub(crate) use executor::Executor;
pub(crate) use experts::{Choices, ExpertLoad};
pub(crate) use weights::Precision;
