//! Builds the binaries under test once a test run, with the cargo that runs the tests.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

const PACKAGES: [&str; 3] = ["causeway-edge-agent", "causeway-router", "causeway-worker"];

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
    let mut command = Command::new(cargo);
    command.arg("build").arg("--message-format=json").stdout(Stdio::piped()).stderr(Stdio::inherit());
    for package in PACKAGES {
        command.args(["--package", package]);
    }
    let built = command.current_dir(super::root()).output().expect("cargo runs");
    assert!(built.status.success(), "the binaries do not build");
    let messages = String::from_utf8_lossy(&built.stdout);
    let executable = messages.lines().rev().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message.get("executable")?.as_str()?))
    });
    let folder = executable.as_deref().and_then(Path::parent).map(Path::to_owned);
    folder.unwrap_or_else(|| panic!("cargo names no executable"))
}
