//! Rounds of measurements in which the engines take turns, and which of them count.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use anyhow::{Result, ensure};

use super::other::{self, LlamaCpp, Repack};
use super::own::{Own, Said};
use super::task::Task;
use super::watch::{Watched, watch};

/// Tries of each engine for one run that counts.
const TRIES: usize = 3;

/// Who is measured, and how.
#[derive(Debug)]
pub(super) struct Rounds {
    pub(super) own: Own,
    pub(super) other: Option<LlamaCpp>,
    pub(super) quick: bool,
    /// The share of all processors that other processes may use during a run that counts.
    pub(super) foreign_max: f64,
}

/// The runs of one engine for one task.
#[derive(Debug, Default, Clone)]
pub(super) struct Runs {
    /// One value per run that counts, in the task's unit.
    pub(super) values: Vec<f64>,
    /// Runs that were disturbed.
    pub(super) dropped: usize,
    /// What other processes used during the dropped runs, at least.
    pub(super) foreign_min: Option<f64>,
}

/// Median, least and greatest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

/// One row of the table.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) task: Task,
    pub(super) own: Runs,
    /// llama.cpp as it comes, and with `--repack 0`.
    pub(super) others: Option<[Runs; 2]>,
    /// Why there is no comparison.
    pub(super) why: Option<String>,
    /// What our last run said.
    pub(super) said: Option<Said>,
    /// Seconds that our runs took to load the model.
    pub(super) loads: Vec<f64>,
}

// === impl Rounds ===

impl Rounds {
    /// Measures one row.
    pub(super) fn row(&mut self, task: Task) -> Result<Row> {
        let rounds = task.rounds(self.quick);
        let mut row = Row {
            task,
            own: Runs::default(),
            others: self.other.as_ref().map(|_| Default::default()),
            why: None,
            said: None,
            loads: Vec::new(),
        };
        let _busy_core = (task == Task::Contended).then(|| Spinners::start(self.own.threads)).transpose()?;
        for _ in 0..rounds * TRIES {
            if row.own.values.len() < rounds {
                let watched = watch(&mut self.own.command(task))?;
                let said = Said::parse(&watched.printed)?;
                row.loads.push(said.load_s);
                row.own.add(self.foreign_max, task, (&watched, &said.samples));
                row.said = Some(said);
            }
            let mut wanted = row.own.values.len() < rounds;
            let others = row.others.iter_mut().flatten().zip([Repack::Default, Repack::Off]);
            for (runs, repack) in others.filter(|(runs, _)| runs.values.len() < rounds) {
                if let Err(why) = self.other(task, repack, runs) {
                    row.why = Some(format!("{why:#}"));
                    break;
                }
                wanted |= runs.values.len() < rounds;
            }
            if row.why.is_some() {
                row.others = None;
            }
            if !wanted {
                break;
            }
        }
        Ok(row)
    }

    fn other(&self, task: Task, repack: Repack, runs: &mut Runs) -> Result<()> {
        let Some(engine) = &self.other else { return Ok(()) };
        let mut command = engine.command(task, repack).map_err(anyhow::Error::msg)?;
        let watched = watch(command.stderr(Stdio::null()))?;
        let samples = other::read(task, &watched.printed)?;
        runs.add(self.foreign_max, task, (&watched, &samples));
        Ok(())
    }
}

// === impl Runs ===

impl Runs {
    /// Takes a run if other processes left it alone.
    pub(super) fn add(&mut self, foreign_max: f64, task: Task, (watched, samples): (&Watched, &[f64])) {
        if task.can_be_disturbed() && watched.foreign > foreign_max {
            self.dropped += 1;
            self.foreign_min = Some(self.foreign_min.unwrap_or(f64::MAX).min(watched.foreign));
            return;
        }
        self.values.push(match task {
            Task::Memory => watched.peak_mib,
            Task::FirstToken => watched.wall.as_secs_f64(),
            _ => Spread::of(samples).map_or(0.0, |spread| spread.median),
        });
    }

    pub(super) fn spread(&self) -> Option<Spread> {
        Spread::of(&self.values)
    }
}

// === impl Row ===

impl Row {
    /// Ours over the better of the other engine's two ways.
    pub(super) fn ratio(&self) -> Option<f64> {
        let own = self.own.spread()?.median;
        let [default, off] = self.others.as_ref()?.each_ref().map(|runs| Some(runs.spread()?.median));
        let better = if self.task.unit().more_is_better() { default?.max(off?) } else { default?.min(off?) };
        Some(own / better)
    }

    /// Why there is no ratio.
    pub(super) fn missing(&self) -> Option<String> {
        if self.why.is_some() || self.ratio().is_some() {
            return self.why.clone();
        }
        let runs = [&self.own].into_iter().chain(self.others.iter().flatten());
        let disturbed = runs.filter(|runs| runs.values.is_empty()).filter_map(|runs| runs.foreign_min);
        let least = disturbed.fold(f64::NAN, f64::min);
        let said = format!("every run was disturbed, by {:.0} % of the processors at least", least * 100.0);
        (!least.is_nan()).then_some(said)
    }
}

// === impl Spread ===

impl Spread {
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = match sorted.len() {
            0 => return None,
            length if length.is_multiple_of(2) => f64::midpoint(sorted[middle - 1], sorted[middle]),
            _ => sorted[middle],
        };
        Some(Self { median, min: sorted[0], max: sorted[sorted.len() - 1] })
    }
}

/// Threads of this process that are busy, until this is dropped.
struct Spinners {
    ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Spinners {
    /// As many as leave an engine's `threads` one core too few.
    fn start(threads: usize) -> Result<Self> {
        let cores = std::thread::available_parallelism()?.get();
        ensure!(threads > 1, "decoding on a contended machine needs two threads or more");
        let ended = Arc::new(AtomicBool::new(false));
        let spin = || {
            let ended = Arc::clone(&ended);
            std::thread::spawn(move || while !ended.load(Ordering::Relaxed) {})
        };
        let threads = (0..(cores + 1).saturating_sub(threads).max(1)).map(|_| spin()).collect();
        Ok(Self { ended, threads })
    }
}

impl Drop for Spinners {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ended = thread.join();
        }
    }
}
