//! Starts real processes of the three services, built once, and speaks to them as a device would.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has nothing better to do than to fail"
)]

mod binaries;
mod process;
mod house;
mod script;
mod routers;
mod otlp;
mod files;

pub use binaries::binary;
pub use files::allow_files;
pub use house::{House, HouseOptions, text_request};
pub use otlp::Collector;
pub use process::Process;
pub use routers::Routers;
pub use script::Counting;

use std::path::{Path, PathBuf};

/// The root of the workspace.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}
