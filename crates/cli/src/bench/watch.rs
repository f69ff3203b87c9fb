//! A process under watch: how long it ran, its peak memory, and what other processes took of the processors meanwhile.

use std::fs;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Between two looks at a process's peak memory.
const LOOK: Duration = Duration::from_millis(10);
/// A measurement that takes longer is ended.
const RUN_MAX: Duration = Duration::from_secs(300);
/// What a measurement may print.
const OUTPUT_MAX: u64 = 1 << 20;
/// Ticks per second in `/proc`, on every Linux.
const TICKS: f64 = 100.0;

/// What became of one process.
#[derive(Debug, Clone)]
pub(super) struct Watched {
    pub(super) printed: String,
    pub(super) wall: Duration,
    pub(super) peak_mib: f64,
    /// The share of all processors that neither it nor this process used.
    pub(super) foreign: f64,
}

/// Runs `command` to its end.
pub(super) fn watch(command: &mut Command) -> Result<Watched> {
    let name = command.get_program().to_string_lossy().into_owned();
    let (busy_before, own_before, started) = (busy()?, own()?, Instant::now());
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{name} does not start"))?;
    let (ended, ends) = mpsc::sync_channel(1);
    let output = child.stdout.take().context("its output is piped")?;
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        let read = output.take(OUTPUT_MAX).read_to_string(&mut text);
        let _nobody_waits_any_more = ended.send(());
        read.map(|_| text)
    });
    let mut peak_mib = 0.0;
    let status_file = format!("/proc/{}/status", child.id());
    while ends.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
        peak_mib = fs::read_to_string(&status_file).ok().and_then(|s| peak(&s)).unwrap_or(peak_mib);
        if started.elapsed() > RUN_MAX {
            child.kill()?;
        }
    }
    let status = child.wait()?;
    let wall = started.elapsed();
    let (busy_after, own_after) = (busy()?, own()?);
    if !status.success() {
        bail!("{name} ended with {status} after {wall:.1?}");
    }
    let printed = match reader.join() {
        Ok(text) => text.with_context(|| format!("{name} printed no text"))?,
        Err(_) => bail!("the output of {name} could not be read"),
    };
    let cores = std::thread::available_parallelism()?.get() as f64;
    let foreign =
        ((busy_after - busy_before) - (own_after - own_before)) / TICKS / cores / wall.as_secs_f64();
    Ok(Watched { printed, wall, peak_mib, foreign: foreign.clamp(0.0, 1.0) })
}

/// Ticks that all processors have been busy with anything.
fn busy() -> Result<f64> {
    busy_ticks(&fs::read_to_string("/proc/stat")?).context("/proc/stat has no line of all processors")
}

/// Ticks of this process and of those that it has waited for.
fn own() -> Result<f64> {
    own_ticks(&fs::read_to_string("/proc/self/stat")?).context("/proc/self/stat has no times")
}

/// user, nice, system, then not idle and not waiting for a disk, irq, softirq, steal.
pub(super) fn busy_ticks(stat: &str) -> Option<f64> {
    let numbers: Vec<f64> = stat
        .lines()
        .next()?
        .strip_prefix("cpu ")?
        .split_whitespace()
        .filter_map(|n| n.parse().ok())
        .collect();
    let busy = numbers.get(..3)?.iter().chain(numbers.get(5..8)?);
    Some(busy.sum())
}

/// Fields 14 to 17: its user and system time, and those of its children.
pub(super) fn own_ticks(stat: &str) -> Option<f64> {
    let after_name = stat.rsplit_once(')')?.1;
    let times: Vec<f64> =
        after_name.split_whitespace().skip(11).take(4).map_while(|n| n.parse().ok()).collect();
    (times.len() == 4).then(|| times.iter().sum())
}

/// VmHWM of a status file, in MiB.
pub(super) fn peak(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
}
