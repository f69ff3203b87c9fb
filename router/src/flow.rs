//! Whose turn is it? Where the workers of a tier are full, requests wait here for one to have room: by class, by tenant,
//! by deadline, in queues that are bounded in the tokens that their requests are expected to take.
//!
//! A request takes its predicted tokens: those of its prompt that no worker holds, and those of its answer as policy
//! expects them. While workers have room nothing of this is asked but two atomic numbers; a worker's limit adapts to the
//! time that its first tokens take (`fleet::limit`), so that what it cannot begin waits where it may still go elsewhere.

mod options;
mod queue;
mod rate;
mod lane;
mod lanes;
mod refusal;
pub(crate) mod gauge;

pub(crate) use self::lane::{Lane, Taken, Turn, Worker};
pub(crate) use self::lanes::Lanes;
pub use self::options::{FlowOptions, LimitOptions};
pub(crate) use self::queue::Asker;
pub use self::refusal::{Refusal, Why};
