//! Drives the targets on any toolchain: inputs from the corpus, changed at random, for so many seconds each.

use std::fs;
use std::io::Write as _;
use std::panic;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use fuzz::Mutator;
use fuzz::targets::{ALL, Target};

/// Time in which a target must return, on a machine that has much else to do.
const SLOW: Duration = Duration::from_secs(5);

/// Feeds arbitrary bytes to what takes bytes from outside.
#[derive(Debug, Parser)]
#[command(name = "causeway-fuzz", max_term_width = 110)]
struct Arguments {
    /// Only these targets.
    targets: Vec<String>,
    /// For each of them.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    seconds: f64,
    /// Begins the random numbers.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Runs the bytes of this file, once.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
}

/// What became of a target.
struct Run {
    inputs: u64,
    longest: Duration,
    /// The file with the bytes that it failed on.
    failed: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut out = std::io::stdout();
    let mut sound = true;
    for target in ALL.iter().filter(|target| wanted(target, &arguments)) {
        let run = match &arguments.input {
            Some(file) => once(target, file),
            None => drive(target, &arguments),
        };
        let end = match &run.failed {
            Some(file) => {
                sound = false;
                let name = target.name;
                format!("FAILED; again: cargo run -p causeway-fuzz -- {name} --input {}", file.display())
            }
            None => "sound".to_owned(),
        };
        let Run { inputs, longest, .. } = run;
        // A reader that has gone wants to know no more.
        let _ = writeln!(out, "{:<12} {inputs:>9} inputs, longest {longest:.1?}: {end}", target.name);
    }
    if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn wanted(target: &Target, arguments: &Arguments) -> bool {
    arguments.targets.is_empty() || arguments.targets.iter().any(|name| name == target.name)
}

fn once(target: &Target, file: &Path) -> Run {
    let bytes = fs::read(file).unwrap_or_default();
    let before = Instant::now();
    let failed = fails(target, &bytes).then(|| file.to_owned());
    Run { inputs: 1, longest: before.elapsed(), failed }
}

fn drive(target: &Target, arguments: &Arguments) -> Run {
    let corpus = corpus(target);
    let mut mutator = Mutator::new(arguments.seed);
    let until = Instant::now() + Duration::from_secs_f64(arguments.seconds.clamp(0.0, 86_400.0));
    let mut run = Run { inputs: 0, longest: Duration::ZERO, failed: None };
    let mut unchanged = corpus.iter();
    while Instant::now() < until {
        let bytes = unchanged.next().cloned().unwrap_or_else(|| mutator.next(&corpus));
        let before = Instant::now();
        let failed = fails(target, &bytes);
        run.inputs += 1;
        run.longest = run.longest.max(before.elapsed());
        if failed || run.longest > SLOW {
            run.failed = Some(kept(target, &bytes));
            break;
        }
    }
    run
}

fn fails(target: &Target, bytes: &[u8]) -> bool {
    panic::catch_unwind(|| (target.run)(bytes)).is_err()
}

/// What the target takes as it is meant, and what it once failed on.
fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let mut corpus = (target.seeds)();
    let mut files: Vec<_> = fs::read_dir(folder().join("corpus").join(target.name))
        .into_iter()
        .flatten()
        .flatten()
        .map(|file| file.path())
        .collect();
    files.sort();
    corpus.extend(files.iter().filter_map(|file| fs::read(file).ok()));
    corpus
}

/// Writes an input beside the corpus.
fn kept(target: &Target, bytes: &[u8]) -> PathBuf {
    let folder = folder().join("failed");
    let file = folder.join(format!("{}-{}", target.name, bytes.len()));
    // Where it cannot be written, the name of the file still tells which seed finds it again.
    let _ = fs::create_dir_all(&folder).and_then(|()| fs::write(&file, bytes));
    file
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
