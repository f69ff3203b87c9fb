//! The router between scripted workers and a caller, over connections within the process or real sockets.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod worker;
mod caching;
mod road;
mod choice;
mod failure;
mod retry;
mod breaker;
mod flapping;
mod hedge;
mod many;
mod resume;
mod ending;
mod record;
mod rollout;
mod budget;
mod tokens;
mod flow;
mod prospects;
mod foreign;
mod membership;
mod kubernetes;
mod sockets;
mod prefix;
mod drawn;
mod uneven;
mod slow;
mod odd;
