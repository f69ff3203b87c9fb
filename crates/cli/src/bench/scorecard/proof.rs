//! Rows E: what is proved by programs of their own, where there is a checkout to build them from.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::row::Measured;

/// E1: a thousand worlds.
pub(super) async fn simulation() -> Result<Measured> {
    cargo(&["test", "--quiet", "--package", "causeway-sim", "--", "--seeds", "1000"], "simulation:").await
}

/// E2: every target.
pub(super) async fn fuzz() -> Result<Measured> {
    cargo(&["run", "--quiet", "--package", "causeway-fuzz", "--", "--seconds", "10"], "inputs").await
}

/// Runs cargo in this folder; what it says on the lines with `word`.
async fn cargo(arguments: &[&str], word: &str) -> Result<Measured> {
    if !Path::new("tests/sim").exists() {
        return Ok(Measured { text: "not measured: this folder is no checkout".to_owned(), pass: false });
    }
    let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    let run = move || std::process::Command::new("cargo").args(arguments).output();
    let output = tokio::task::spawn_blocking(run).await?.context("cargo")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<&str> = said.lines().filter(|line| line.contains(word)).map(str::trim).collect();
    let squeezed = lines.join("; ").split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(Measured { text: squeezed.replace("simulation: ", ""), pass: output.status.success() })
}
