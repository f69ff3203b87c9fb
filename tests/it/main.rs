//! One binary for every cross-process test, a module per behaviour.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has nothing better to do than to fail"
)]

mod tidy;
mod walk;
mod constraint;
mod decisions;
mod trace;
mod loss;
mod routers;
mod crowd;
mod marker;
mod resume;
mod stopped;
mod restart;
mod metrics;
mod patience;
mod refusal;
mod tokens;
mod authorize;
mod malformed;
mod presence;
mod orca;
mod settings;
mod tour;
