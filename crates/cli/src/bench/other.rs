//! llama.cpp's side: the commands of its two benchmarks, and what they print.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::task::{SESSION, SHORT_PROMPT, Task};

/// How to start llama.cpp for one measurement.
#[derive(Debug, Clone)]
pub(super) struct LlamaCpp {
    /// `llama-bench`.
    pub(super) bench: PathBuf,
    /// `llama-batched-bench`, where it was found.
    pub(super) batched: Option<PathBuf>,
    pub(super) model: PathBuf,
    pub(super) threads: usize,
}

/// Whether weights are packed anew when they are loaded, its default, or stay as in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repack {
    Default,
    Off,
}

/// One test of `llama-bench -o json`; the fields that are read.
#[derive(Debug, Deserialize)]
struct Test {
    samples_ts: Vec<f64>,
}

/// One line of `llama-batched-bench --output-format jsonl`; the fields that are read.
#[derive(Debug, Deserialize)]
struct Batch {
    pl: usize,
    speed_tg: f64,
}

impl LlamaCpp {
    /// The command that measures the task; an error says what is missing.
    pub(super) fn command(&self, task: Task, repack: Repack) -> Result<Command, String> {
        match task {
            Task::Decode(batch) if batch > 1 => {
                let Some(program) = &self.batched else {
                    return Err("llama-batched-bench is not beside llama-bench".to_owned());
                };
                Ok(self.batches(program, (task, batch), repack))
            }
            _ => Ok(self.single(task, repack)),
        }
    }

    fn single(&self, task: Task, repack: Repack) -> Command {
        let (steps, count) = task.steps();
        let mut command = Command::new(&self.bench);
        command.arg("-m").arg(&self.model).args(["-o", "json", "-t", &self.threads.to_string()]);
        command.args(["-r", &count.to_string()]);
        let steps = steps.to_string();
        match task {
            Task::Prefill(tokens) => command.args(["-n", "0", "-p", &tokens.to_string()]),
            Task::Context(tokens) => command.args(["-p", "0", "-n", &steps, "-d", &tokens.to_string()]),
            Task::Decode(_) | Task::Contended => command.args(["-p", "0", "-n", &steps]),
            Task::FirstToken => {
                let pair = format!("{SHORT_PROMPT},{steps}");
                command.args(["--no-warmup", "-p", "0", "-n", "0", "-pg", &pair])
            }
            Task::Memory => {
                let pair = format!("{},{}", SESSION.0, SESSION.1);
                command.args(["--no-warmup", "-p", "0", "-n", "0", "-pg", &pair])
            }
        };
        if repack == Repack::Off {
            command.args(["--repack", "0"]);
        }
        command
    }

    fn batches(&self, program: &PathBuf, (task, batch): (Task, usize), repack: Repack) -> Command {
        let (steps, _) = task.steps();
        let mut command = Command::new(program);
        command.arg("-m").arg(&self.model).args(["--output-format", "jsonl"]);
        command.args(["-t", &self.threads.to_string(), "-npl", &batch.to_string()]);
        command.args(["-npp", &SHORT_PROMPT.to_string(), "-ntg", &steps.to_string()]);
        command.args(["-c", &(batch * (SHORT_PROMPT + steps)).to_string()]);
        if repack == Repack::Off {
            command.arg("--no-repack");
        }
        command
    }
}

/// The samples, in tokens per second, of the one test that was asked for. Lines around the JSON are passed over.
pub(super) fn read(task: Task, text: &str) -> Result<Vec<f64>> {
    let samples = match task {
        Task::Decode(batch) if batch > 1 => {
            let lines = text.lines().filter_map(|line| serde_json::from_str::<Batch>(line.trim()).ok());
            lines.filter(|line| line.pl == batch).map(|line| line.speed_tg).collect()
        }
        _ => {
            let start = text.find('[').context("llama-bench printed no JSON")?;
            let mut found = serde_json::Deserializer::from_str(&text[start..]).into_iter::<Vec<Test>>();
            let tests = found.next().context("llama-bench printed no JSON")?;
            let tests = tests.context("llama-bench printed other JSON than expected")?;
            ensure!(tests.len() == 1, "llama-bench printed {} tests where one was asked for", tests.len());
            tests.into_iter().flat_map(|test| test.samples_ts).collect::<Vec<f64>>()
        }
    };
    let sound = !samples.is_empty() && samples.iter().all(|speed| speed.is_finite() && *speed > 0.0);
    ensure!(sound, "the other engine gave no speed for {}", task.key());
    Ok(samples)
}
