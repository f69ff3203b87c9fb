//! Runs tests of the source tree by their names, and reads what they tell of the scorecard.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use score::Told;
use serde_json::Value;

use super::row::Measured;

/// Tests that cargo runs at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Suite {
    /// The rules of policies.
    Policy,
    /// What every process is made of.
    Mesh,
    /// The agent, over scripted routers.
    Agent,
    /// The router, over scripted workers.
    Router,
    /// Real processes.
    Processes,
}

/// What the tests of a suite told: by test, by row.
pub(super) type Heard = BTreeMap<(Suite, String), Tested>;

/// What a test told, and whether it passed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tested {
    told: Vec<Told>,
    passed: bool,
}

/// What cargo tells a program that it runs. Build scripts that ask for these would run again at each turn.
const OF_CARGO: [&str; 7] = [
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_LINKS",
    "CARGO_PKG_NAME",
    "CARGO_PKG_VERSION_MAJOR",
    "CARGO_PKG_VERSION_MINOR",
    "CARGO_PKG_VERSION_PATCH",
    "CARGO_PKG_VERSION_PRE",
];

/// The source tree: this folder, or the one that this program was built from.
pub(super) fn tree() -> Option<PathBuf> {
    let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    [PathBuf::from("."), built_from].into_iter().find(|folder| folder.join("crates/score").is_dir())
}

/// Cargo in a source tree.
pub(super) fn cargo(tree: &Path) -> Command {
    let mut cargo = Command::new("cargo");
    for name in OF_CARGO {
        cargo.env_remove(name);
    }
    cargo.current_dir(tree);
    cargo
}

/// Builds the tests of suites, and gives the programs that hold them. What cargo says goes where this process's errors go.
///
/// All packages are named, so that what they share has the features that it has in a run of all tests, and is not built
/// a second time.
///
/// # Errors
///
/// Cargo cannot be run, or the tests do not build.
pub(super) fn build(tree: &Path, suites: impl Iterator<Item = Suite>) -> Result<BTreeMap<Suite, PathBuf>> {
    let suites: Vec<Suite> = suites.collect();
    let chosen: BTreeSet<&str> = suites.iter().map(|suite| suite.argument()).collect();
    let built = cargo(tree)
        .args(["test", "--workspace", "--locked", "--no-run", "--message-format=json-render-diagnostics"])
        .args(chosen)
        .stderr(Stdio::inherit())
        .output()
        .context("cargo cannot be run")?;
    ensure!(built.status.success(), "the tests do not build");
    let built = String::from_utf8_lossy(&built.stdout);
    let programs: Vec<(String, PathBuf)> = built.lines().filter_map(program).collect();
    let found = |suite: Suite| {
        let found = programs.iter().find(|(target, _)| target == suite.target());
        let (_, program) = found.with_context(|| format!("cargo names no tests of {}", suite.target()))?;
        Ok((suite, program.clone()))
    };
    suites.into_iter().map(found).collect()
}

/// The target and the path of the tests that a line of cargo's names.
fn program(line: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(line).ok()?;
    if message.pointer("/profile/test")? != true {
        return None;
    }
    let text = |path: &str| Some(message.pointer(path)?.as_str()?.to_owned());
    Some((text("/target/name")?, text("/executable")?.into()))
}

/// Runs tests of one suite, one after the other.
///
/// # Errors
///
/// They cannot be run. A test that fails is no error.
pub(super) fn run(tree: &Path, (suite, program): (Suite, &Path), names: &[&str]) -> Result<Heard> {
    let output = Command::new(program)
        .current_dir(tree.join(suite.package()))
        .args(["--exact", "--include-ignored", "--nocapture", "--test-threads=1"])
        .args(names)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| program.display().to_string())?;
    let said = String::from_utf8_lossy(&output.stdout);
    Ok(read(&said).into_iter().map(|(name, tested)| ((suite, name), tested)).collect())
}

/// What a run of tests without threads said, by test.
pub(super) fn read(said: &str) -> BTreeMap<String, Tested> {
    let mut tests: BTreeMap<String, Tested> = BTreeMap::new();
    let mut name = None;
    for line in said.lines() {
        let rest = match line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... ")) {
            Some((begun, rest)) => {
                name = Some(begun.to_owned());
                rest
            }
            None => line,
        };
        let Some(name) = &name else { continue };
        let tested = tests.entry(name.clone()).or_default();
        tested.told.extend(Told::read(rest));
        tested.passed |= rest.trim() == "ok";
    }
    tests
}

/// What a test came to for a row.
pub(super) fn measured(heard: &Heard, (suite, name): (Suite, &str), id: &str) -> Measured {
    let Some(tested) = heard.get(&(suite, name.to_owned())) else {
        return Measured { text: format!("{name} was not run"), pass: false };
    };
    let of_row: Vec<&Told> = tested.told.iter().filter(|told| told.id == id).collect();
    let mut said: Vec<&str> = of_row.iter().map(|told| told.measured.as_str()).collect();
    if of_row.is_empty() {
        said.push("nothing was told");
    }
    let failed = format!("{name} fails");
    if !tested.passed {
        said.push(&failed);
    }
    let pass = tested.passed && !of_row.is_empty() && of_row.iter().all(|told| told.pass);
    Measured { text: said.join("; "), pass }
}

// === impl Suite ===

impl Suite {
    /// What cargo is told to build.
    fn argument(self) -> &'static str {
        match self {
            Self::Policy | Self::Mesh | Self::Agent => "--lib",
            Self::Router => "--test=road",
            Self::Processes => "--test=it",
        }
    }

    /// What cargo calls it.
    fn target(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Mesh => "mesh",
            Self::Agent => "edge_agent",
            Self::Router => "road",
            Self::Processes => "it",
        }
    }

    /// The folder of its package, from the source tree.
    fn package(self) -> &'static str {
        match self {
            Self::Policy => "crates/policy",
            Self::Mesh => "crates/mesh",
            Self::Agent => "edge-agent",
            Self::Router => "router",
            Self::Processes => "tests",
        }
    }

    /// Where its modules are, from the source tree.
    #[cfg(test)]
    pub(super) fn folder(self) -> &'static str {
        match self {
            Self::Policy => "crates/policy/src",
            Self::Mesh => "crates/mesh/src",
            Self::Agent => "edge-agent/src",
            Self::Router => "router/tests/road",
            Self::Processes => "tests/it",
        }
    }
}
