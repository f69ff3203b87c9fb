//! Our engine's side: the command of one measurement, and the measurement itself.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use inference::speed::{Model, hold_forms};
use inference::{Device, Options};
use serde::{Deserialize, Serialize};

use super::args::{Form, Step};
use super::task::{SESSION, SHORT_PROMPT, Task};
use super::watch::watch;

/// How to start our engine for one measurement.
#[derive(Debug, Clone)]
pub(super) struct Own {
    /// This program.
    pub(super) program: PathBuf,
    pub(super) model: PathBuf,
    pub(super) threads: usize,
    pub(super) form: Option<Form>,
    pub(super) device: Device,
    /// Where packed weights are kept from one measurement to the next.
    pub(super) packed_cache: Option<PathBuf>,
}

/// What one measurement says, as one line of JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Said {
    /// The kernels' form.
    pub(super) form: String,
    /// To load the model, seconds.
    pub(super) load_s: f64,
    /// Tokens per second.
    pub(super) samples: Vec<f64>,
    /// Bytes of weights that a token reads.
    pub(super) bytes_per_token: f64,
    /// Weights that a token is multiplied with.
    pub(super) weights_per_token: f64,
}

/// Rows of a step of a prompt; the other engine's default.
const STEP_TOKENS: usize = 512;

impl Own {
    pub(super) fn command(&self, task: Task) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["bench", "step", "--task", &task.key(), "--threads", &self.threads.to_string()]);
        command.arg("--model").arg(&self.model);
        if self.device != Device::Cpu {
            command.args(["--device", &self.device.to_string()]);
        }
        if let Some(form) = self.form {
            command.args(["--form", form.name()]);
        }
        if let Some(folder) = &self.packed_cache {
            command.arg("--packed-cache").arg(folder);
        }
        command
    }

    /// Seconds that a load takes which packs the weights; later ones find them packed.
    pub(super) fn first_load(&self) -> Result<f64> {
        Ok(Said::parse(&watch(&mut self.command(Task::FirstToken))?.printed)?.load_s)
    }

    /// Calls `work` with this process held to the form.
    pub(super) fn held<T>(&self, work: impl FnOnce() -> T) -> Result<T> {
        hold(self.form)?;
        Ok(work())
    }
}

impl Said {
    pub(super) fn parse(text: &str) -> Result<Self> {
        serde_json::from_str(text.trim()).context("our own measurement said something else than its JSON")
    }
}

impl Form {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }
}

/// Holds this process to a form and names the one in use; refused where the processor does not have it.
fn hold(form: Option<Form>) -> Result<String> {
    let used = hold_forms(form.map_or(usize::MAX, |form| form as usize + 1));
    if let Some(form) = form {
        let has = used.eq_ignore_ascii_case(form.name());
        ensure!(has, "--form {}: this processor's best is {used}", form.name());
    }
    Ok(used)
}

/// `causeway bench step`
pub(super) fn step(asked: &Step, out: &mut impl Write) -> Result<ExitCode> {
    let form = hold(asked.form)?;
    let options = Options {
        model: asked.model.clone(),
        threads: asked.threads,
        device: asked.device,
        step_tokens_max: STEP_TOKENS,
        packed_cache: asked.packed_cache.clone(),
        ..Options::default()
    };
    let started = Instant::now();
    let model = Model::load(&options)?;
    let load_s = started.elapsed().as_secs_f64();
    let samples = samples(&model, asked.task)?;
    let work = model.work();
    let said = Said { form, load_s, samples, bytes_per_token: work.bytes, weights_per_token: work.weights };
    writeln!(out, "{}", serde_json::to_string(&said)?)?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Tokens per second, after a warm-up where speed is what counts.
fn samples(model: &Model, task: Task) -> Result<Vec<f64>> {
    let (steps, count) = task.steps();
    if task.can_be_disturbed() && task != Task::FirstToken {
        model.prefill(SHORT_PROMPT)?;
        model.decode(1, 0, 2)?;
    }
    let repeat = |one: &dyn Fn() -> Result<Duration, inference::Error>| -> Result<Vec<Duration>> {
        (0..count).map(|_| Ok(one()?)).collect()
    };
    let (tokens, times) = match task {
        Task::Prefill(tokens) => (tokens, repeat(&|| model.prefill(tokens))?),
        Task::Decode(1) | Task::Contended => (steps, repeat(&|| model.decode(1, 0, steps))?),
        Task::Decode(batch) => (batch * steps, repeat(&|| model.decode(batch, SHORT_PROMPT, steps))?),
        // All on one prompt, as the other engine takes them: it is the prompt that takes long.
        Task::Context(tokens) => (steps, model.decode_on(tokens, steps, count)?),
        Task::FirstToken => (steps, repeat(&|| model.decode(1, SHORT_PROMPT, steps))?),
        Task::Memory => (steps, repeat(&|| model.decode(1, SESSION.0, steps))?),
    };
    Ok(times.into_iter().map(|took| tokens as f64 / took.as_secs_f64()).collect())
}
