//! The candle core: model files in, tokens out, many requests in one step.
//!
//! | | read and computed | else |
//! |---|---|---|
//! | files | Hugging Face folder (safetensors, sharded or not), GGUF 2 and 3 | refused by field |
//! | architectures | `llama`, `qwen3`, `qwen3moe`, in their plain forms (no biases, no rotation scaling) | refused by name |
//! | types | F32, F16, BF16; in GGUF also Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K to Q6_K | refused by name |
//! | tokenizer | byte-level pairs; GGUF's `qwen2`, `gpt-2`, `default` splits | refused by name |
//! | chat layout | ChatML | refused by the missing control token |

mod options;
mod request;
mod formats;
mod text;
mod kernels;
mod model;
mod scheduler;
mod sampling;
mod engine;
mod event;
mod report;
mod error;
#[cfg(test)]
mod tiny;
#[cfg(feature = "wire")]
pub mod wire;

pub use engine::{Handle, Service, Stream};
pub use error::Error;
pub use event::{Confidence, Done, Event, Finish, Usage};
pub use options::Options;
pub use report::{Counters, Load, ModelInfo};
pub use request::{Conversation, Request, Role, Sampling, Turn};
