//! Every run, and what of each way is taken from those that count: medians.

use super::phase::{Phase, Run};
use super::way::Way;

/// Every run, in order.
#[derive(Debug, Default)]
pub(super) struct Results {
    runs: Vec<(Way, Phase, Run)>,
}

/// The medians of one phase of one way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Figures {
    /// Processor time for each answer and for each chunk, µs.
    pub(super) cpu_us: f64,
    pub(super) cpu_us_per_chunk: f64,
    pub(super) answers_per_second: f64,
    pub(super) chunks_per_second: f64,
    /// The share of its core that was used: well below 1, the load is what is measured.
    pub(super) busy: f64,
    /// Median and 99th percentile of times, µs, and of the load's lateness.
    pub(super) times: Option<[f64; 2]>,
    pub(super) lateness: Option<[f64; 2]>,
    /// Memory in use, MiB: idle, and held by what is held.
    pub(super) memory: Option<[f64; 2]>,
    /// For each that was held, KiB: all, and its own question and answer.
    pub(super) kib_each: Option<[f64; 2]>,
    /// Runs that count.
    pub(super) runs: usize,
    /// Runs in which the load was too late.
    pub(super) dropped: usize,
    /// Every run was so, and so they count all the same.
    pub(super) disturbed: bool,
}

// === impl Results ===

impl Results {
    pub(super) fn add(&mut self, way: Way, phase: Phase, run: Run) {
        self.runs.push((way, phase, run));
    }

    /// The way of this key, if it was measured so.
    pub(super) fn of(&self, key: &str, phase: Phase) -> Option<Figures> {
        let all: Vec<&Run> =
            self.runs.iter().filter(|run| run.0.key() == key && run.1 == phase).map(|run| &run.2).collect();
        let sound: Vec<&Run> = all.iter().copied().filter(|run| run.is_sound()).collect();
        let disturbed = sound.is_empty();
        let dropped = all.len() - sound.len();
        let counted = if disturbed { all } else { sound };
        let figures = Figures::of(phase, &counted)?;
        Some(Figures { dropped, disturbed: disturbed && phase.is_timed(), ..figures })
    }

    /// What a way adds to the time of a call that goes straight to the worker: median and 99th percentile, µs.
    pub(super) fn added(&self, key: &str, phase: Phase) -> Option<[f64; 2]> {
        let [own, direct] = [self.of(key, phase)?.times?, self.of(Way::Direct.key(), phase)?.times?];
        Some([own[0] - direct[0], own[1] - direct[1]])
    }
}

// === impl Figures ===

impl Figures {
    fn of(phase: Phase, runs: &[&Run]) -> Option<Self> {
        let over = |read: &dyn Fn(&Run) -> f64| median(runs.iter().map(|run| read(run)).collect());
        let pair = |read: &dyn Fn(&Run) -> Option<[f64; 2]>| {
            let both: Vec<[f64; 2]> = runs.iter().filter_map(|run| read(run)).collect();
            Some([0, 1].map(|at| median(both.iter().map(|one| one[at]).collect())))
                .and_then(|[a, b]| Some([a?, b?]))
        };
        let memory = pair(&|run| run.memory);
        let kib_each = memory.and_then(|[idle, now]| {
            let own = over(&|run| run.own_bytes)? / 1024.0;
            Some([(now - idle) * 1024.0 / phase.held(), own])
        });
        Some(Self {
            cpu_us: over(&|run| run.cpu_us / run.answers.max(1.0))?,
            cpu_us_per_chunk: over(&|run| run.cpu_us / run.chunks.max(1.0))?,
            answers_per_second: over(&|run| run.answers / run.seconds.max(1e-9))?,
            chunks_per_second: over(&|run| run.chunks / run.seconds.max(1e-9))?,
            busy: over(&|run| run.cpu_us / 1e6 / run.seconds.max(1e-9))?,
            times: pair(&|run| run.times.map(|times| times.0)),
            lateness: pair(&|run| run.times.map(|times| times.1)),
            memory,
            kib_each,
            runs: runs.len(),
            dropped: 0,
            disturbed: false,
        })
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        length if length.is_multiple_of(2) => Some(f64::midpoint(values[middle - 1], values[middle])),
        _ => Some(values[middle]),
    }
}
