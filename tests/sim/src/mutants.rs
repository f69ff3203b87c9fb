//! Breaks a copy of the tree in ways that the simulation has to notice, or it proves nothing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use serde::Deserialize;

/// Worlds in which a mutant has to be noticed.
const SEEDS: &str = "200";
/// What no build of the simulation reads.
const LEFT_OUT: [&str; 3] = ["deploy/models/", "docs/", ".git"];

/// The version of every package, and that of the copy.
const VERSION: &str = concat!("version = \"", env!("CARGO_PKG_VERSION"), "\"");
const MUTANT: &str = concat!("version = \"", env!("CARGO_PKG_VERSION"), "-mutant\"");

#[derive(Debug, Deserialize)]
struct Mutants {
    mutant: Vec<Mutant>,
}

/// One way in which the shipped code could be wrong.
#[derive(Debug, Deserialize)]
struct Mutant {
    name: String,
    what: String,
    edit: Vec<Edit>,
}

#[derive(Debug, Deserialize)]
struct Edit {
    file: PathBuf,
    find: String,
    replace: String,
}

/// Whether every edit still finds its place in this tree.
pub(crate) fn fit() -> Result<(), String> {
    for mutant in read()? {
        for edit in &mutant.edit {
            edit.applied(&root()).map_err(|problem| format!("the mutant `{}`: {problem}", mutant.name))?;
        }
    }
    Ok(())
}

/// Builds and runs every mutant, and prints what became of each.
pub(crate) fn run() -> ExitCode {
    match all() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            println!("mutants: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn all() -> Result<bool, String> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let tree = target.join("mutants");
    copied(&tree).map_err(|error| format!("the tree cannot be copied: {error}"))?;
    let mut all = true;
    println!("| mutant | what it does | noticed | by |\n|---|---|---|---|");
    for mutant in read()? {
        let noticed = mutant.run(&tree, target)?;
        all &= noticed.is_some();
        let (yes, by) = noticed.map_or(("no", String::new()), |by| ("yes", by));
        println!("| {} | {} | {yes} | {by} |", mutant.name, mutant.what);
    }
    Ok(all)
}

fn read() -> Result<Vec<Mutant>, String> {
    let text = include_str!("../mutants.toml");
    let mutants: Mutants = toml::from_str(text).map_err(|error| format!("mutants.toml: {error}"))?;
    Ok(mutants.mutant)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Copies what stands under version control, or could. Files that are already so are left alone, and so is their time:
/// what did not change need not be built again.
fn copied(tree: &Path) -> io::Result<()> {
    let mut list = Command::new("git");
    list.current_dir(root()).args(["ls-files", "-z", "-co", "--exclude-standard"]);
    let listed = list.output()?;
    let names = String::from_utf8_lossy(&listed.stdout).into_owned();
    let wanted =
        |name: &&str| !name.is_empty() && !LEFT_OUT.iter().any(|left_out| name.starts_with(left_out));
    for name in names.split('\0').filter(wanted) {
        let (from, to) = (root().join(name), tree.join(name));
        let Ok(mut bytes) = fs::read(&from) else { continue };
        if name == "Cargo.toml" {
            // Cargo takes two trees of the same versions for the same, wherever they stand, and would mix what it built.
            bytes = String::from_utf8_lossy(&bytes).replacen(VERSION, MUTANT, 1).into_bytes();
        }
        if fs::read(&to).is_ok_and(|there| there == bytes) {
            continue;
        }
        to.parent().map(fs::create_dir_all).transpose()?;
        fs::write(to, bytes)?;
    }
    Ok(())
}

// === impl Mutant ===

impl Mutant {
    /// What noticed it; `None`: nothing did.
    fn run(&self, tree: &Path, target: &Path) -> Result<Option<String>, String> {
        let failed = |error: io::Error| format!("the copy cannot be edited: {error}");
        let mut before = Vec::new();
        for edit in &self.edit {
            let file = tree.join(&edit.file);
            before.push((file.clone(), fs::read(&file).map_err(failed)?));
            fs::write(file, edit.applied(tree)?).map_err(failed)?;
        }
        let said = simulate(tree, target);
        // The first to be kept is as it was before all of them.
        for (file, bytes) in before.into_iter().rev() {
            fs::write(file, bytes).map_err(failed)?;
        }
        let said = said?;
        let Some((_, wrong)) = said.split_once("simulation:") else {
            return Err(format!("`{}` could not be built or run:\n{said}", self.name));
        };
        let by = wrong.lines().find(|line| line.starts_with("  at "));
        Ok(by.map(|by| by.trim().chars().take(120).collect()))
    }
}

/// Runs the worlds of a tree up to the first in which something is wrong; what was printed.
fn simulate(tree: &Path, target: &Path) -> Result<String, String> {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(tree).args(["test", "--quiet", "--package", "causeway-sim", "--no-default-features"]);
    command.arg("--target-dir").arg(target.parent().unwrap_or(target));
    command.args(["--", "--seeds", SEEDS, "--twice-every", "0", "--until-wrong", "--mutated"]);
    let output = command.output().map_err(|error| format!("cargo cannot be started: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(text(&output.stdout) + &text(&output.stderr))
}

// === impl Edit ===

impl Edit {
    /// The file with the edit, where it has exactly one place in it.
    fn applied(&self, tree: &Path) -> Result<String, String> {
        let name = self.file.display();
        let text = fs::read_to_string(tree.join(&self.file)).map_err(|error| format!("{name}: {error}"))?;
        match text.matches(&self.find).count() {
            1 => Ok(text.replacen(&self.find, &self.replace, 1)),
            count => Err(format!("{name} has `{}` {count} times, and not once", self.find)),
        }
    }
}
