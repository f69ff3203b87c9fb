//! Rows that are proved by programs of their own, where there is a source tree to build them from.

use anyhow::{Context as _, Result};

use super::row::Measured;
use super::suite;

/// E1: a thousand worlds.
pub(super) async fn simulation() -> Result<Measured> {
    cargo(&["test", "--quiet", "--package", "causeway-sim", "--", "--seeds", "1000"], "simulation:").await
}

/// B11: worlds in which the wall clock jumps by up to an hour, either way, while answers have deadlines.
pub(super) async fn jumps() -> Result<Measured> {
    let (text, passed) =
        said(&["test", "--quiet", "--package", "causeway-sim", "--", "--seeds", "200"]).await?;
    let jumps = text.split(", ").find_map(|one| one.trim().strip_prefix("clock_jumps "));
    let jumps: u32 = jumps.and_then(|count| count.split_whitespace().next()?.parse().ok()).unwrap_or(0);
    let wrong = lines(&text, "simulation:").replace("simulation: ", "");
    Ok(Measured { text: format!("{jumps} jumps of up to an hour: {wrong}"), pass: passed && jumps > 0 })
}

/// E2: every target.
pub(super) async fn fuzz() -> Result<Measured> {
    cargo(&["run", "--quiet", "--package", "causeway-fuzz", "--", "--seconds", "10"], "inputs").await
}

/// Runs cargo; what it says on the lines with `word`.
async fn cargo(arguments: &'static [&'static str], word: &str) -> Result<Measured> {
    let (said, pass) = said(arguments).await?;
    Ok(Measured { text: lines(&said, word).replace("simulation: ", ""), pass })
}

/// Runs cargo in the source tree; what it says, and whether it succeeds.
async fn said(arguments: &'static [&'static str]) -> Result<(String, bool)> {
    let tree = suite::tree().context("no source tree here")?;
    let run = move || suite::cargo(&tree).args(arguments).output();
    let output = tokio::task::spawn_blocking(run).await?.context("cargo")?;
    Ok((String::from_utf8_lossy(&output.stdout).into_owned(), output.status.success()))
}

/// The lines with `word` in one.
fn lines(said: &str, word: &str) -> String {
    let lines: Vec<&str> = said.lines().filter(|line| line.contains(word)).map(str::trim).collect();
    lines.join("; ").split_whitespace().collect::<Vec<_>>().join(" ")
}
