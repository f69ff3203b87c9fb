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

fn build() -> PathBuf {
    let cargo = option_env!("CARGO").unwrap_or("cargo");
    let built = Command::new(cargo)
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
