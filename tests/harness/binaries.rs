//! Builds the binaries under test once a test run, with the cargo that runs the tests.
//!
//! The tests are named along with the binaries so that dependencies have the features that `cargo test --workspace`
//! built them with; otherwise all of them would be built a second time.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The path of a binary, which is built if it is stale.
///
/// # Panics
///
/// It cannot be built.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(build).join(name)
}

/// What cargo tells a test of its package. Build scripts that ask for these run again when they change, so that each
/// build from within a test would undo the one before it.
const OF_THE_TEST: [&str; 7] = [
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_LINKS",
    "CARGO_PKG_NAME",
    "CARGO_PKG_VERSION_MAJOR",
    "CARGO_PKG_VERSION_MINOR",
    "CARGO_PKG_VERSION_PATCH",
    "CARGO_PKG_VERSION_PRE",
];

fn build() -> PathBuf {
    let mut cargo = Command::new(option_env!("CARGO").unwrap_or("cargo"));
    for name in OF_THE_TEST {
        cargo.env_remove(name);
    }
    let built = cargo
        .args(["build", "--workspace", "--bins", "--tests", "--message-format=json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .current_dir(super::root())
        .output()
        .expect("cargo runs");
    assert!(built.status.success(), "the binaries do not build");
    let messages = String::from_utf8_lossy(&built.stdout);
    let executable = messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let binary =
            message.pointer("/target/kind/0")? == "bin" && message.pointer("/profile/test")? == false;
        binary.then(|| message.get("executable")?.as_str().map(PathBuf::from))?
    });
    let folder = executable.as_deref().and_then(Path::parent).map(Path::to_owned);
    folder.unwrap_or_else(|| panic!("cargo names no binary"))
}
