//! `causeway bench`: how fast the engine is, beside another one on the same file in the same minutes; how well the router
//! foresees its fleet; what the router adds to a call; what holds of it under load, loss and abuse.
//!
//! Every measurement of an engine is a process of its own, ours too, so that peak memory is one engine's and one
//! measurement's. The engines take turns. A measurement during which other processes used much of the processors is
//! dropped and repeated.

pub mod args;
pub mod task;
mod own;
mod other;
mod watch;
mod rounds;
mod report;
pub mod fleet;
mod router;
mod scorecard;
#[cfg(test)]
mod tests;

use std::io::{IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use inference::speed::Limits;

use args::{Bench, Inference};
use other::LlamaCpp;
use own::Own;
use rounds::{Rounds, Row};

/// Runs one of its commands.
pub(crate) fn run(command: &Bench, out: &mut impl Write) -> Result<ExitCode> {
    match command {
        Bench::Inference(asked) => inference(asked, out),
        Bench::Fleet(asked) => fleet::run(asked, out),
        Bench::Router(asked) => router::run(asked, out),
        Bench::Scorecard(asked) => scorecard::run(asked, out),
        Bench::Step(asked) => own::step(asked, out),
        Bench::Forward(asked) => router::forward::run(asked, out),
        Bench::Hop(asked) => Ok(router::hop(asked)),
    }
}

fn inference(asked: &Inference, out: &mut impl Write) -> Result<ExitCode> {
    ensure!(asked.model.exists(), "--model {}: no such file or folder", asked.model.display());
    let threads = match asked.threads {
        0 => std::thread::available_parallelism()?.get(),
        threads => threads,
    };
    let folder = tempfile::tempdir()?;
    let own = Own {
        program: PathBuf::from("/proc/self/exe"),
        model: asked.model.clone(),
        threads,
        form: asked.form,
        device: asked.device,
        packed_cache: Some(folder.path().to_path_buf()),
    };
    let other = asked.against.as_deref().map(|bench| against(bench, &asked.model, threads)).transpose()?;
    let limits = own.held(|| Limits::measure(threads))??;
    let first_load = own.first_load()?;
    let mut rounds = Rounds { own, other, quick: asked.quick, foreign_max: asked.foreign_max };
    let mut rows: Vec<Row> = Vec::new();
    for task in task::all(asked.quick) {
        if std::io::stderr().is_terminal() {
            writeln!(std::io::stderr(), "measuring {}", task.key())?;
        }
        rows.push(rounds.row(task)?);
    }
    let report = report::Report { rounds: &rounds, rows: &rows, limits, first_load };
    if asked.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report.json())?)?;
    } else {
        report.print(out)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn against(bench: &Path, model: &Path, threads: usize) -> Result<LlamaCpp> {
    ensure!(model.is_file(), "--against needs a .gguf file, which {} is not", model.display());
    let folder = bench.parent().context("--against is not a program's path")?;
    ensure!(bench.is_file(), "--against {}: no such program", bench.display());
    let batched = Some(folder.join("llama-batched-bench")).filter(|batched| batched.is_file());
    Ok(LlamaCpp { bench: bench.to_path_buf(), batched, model: model.to_path_buf(), threads })
}
