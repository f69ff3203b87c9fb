//! The candle core: model files in, tokens out, many requests in one step.
//!
//! Which architectures, tensor types, tokenizers and templates are supported stands in the crate's `README.md`, which a
//! test holds to the code; everything else is refused by the name of what is missing.

mod options;
mod device;
mod request;
mod hub;
mod formats;
mod text;
mod kernels;
mod packed;
mod model;
mod scheduler;
mod sampling;
mod constraint;
mod engine;
mod event;
mod report;
pub mod speed;
mod error;
pub mod parity;
#[cfg(test)]
mod tiny;
#[cfg(feature = "wire")]
pub mod wire;

pub use device::Device;
pub use engine::{Handle, Service, Stream};
pub use error::Error;
pub use event::{Confidence, Done, Event, Finish, Logprobs, TopLogprob, Usage};
pub use hub::HubOptions;
pub use options::{KvType, Options};
pub use report::{
    BlockChange, BlockChanges, Counters, ExpertCounters, Load, LoadReport, ModelInfo, Packed, imbalance,
};
pub use request::{Constraint, Conversation, Request, Role, Sampling, Turn};
