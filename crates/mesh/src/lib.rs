//! What makes a process a peer: configuration, identity, serving, deadlines, telemetry.
//!
//! tonic is used for its generated code and its codecs only. Connections are driven here, over hyper, because a
//! peer must know why a connection failed, must end a call at its deadline while the body still runs, and must be
//! able to stop within a bounded time.

pub mod config;
pub mod transport;
pub mod tls;
pub mod serve;
pub mod connect;
pub mod deadline;
pub mod message;
pub mod trailers;
pub mod token;
pub mod authorize;
pub mod admit;
pub mod retry;
pub mod presence;
pub mod telemetry;
pub mod process;
pub mod journal;
pub mod rollout;
mod status;
#[cfg(test)]
mod rig;
