//! Which core what is measured runs on, and which one the load and the worker: never the same.

use std::fs;
use std::num::NonZeroU64;
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity, set_current_timer_slack};

/// One core for what is measured, another for all else.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cores {
    measured: usize,
    load: usize,
}

// === impl Cores ===

impl Cores {
    /// Takes the first two cores that this process may use, and puts this thread, and all that it starts from now on, on
    /// the second.
    pub(super) fn take() -> Result<Self> {
        let allowed = sched_getaffinity(None).context("this process's cores cannot be read")?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        let found = cores.next().zip(cores.next());
        let (measured, load) =
            found.context("two cores are needed: one for what is measured, one for the load")?;
        let cores = Self { measured, load };
        pin(cores.load)?;
        // Timers fire when they are due, not up to 50 µs later. Without it lateness is greater, which is recorded.
        let _as_it_was = set_current_timer_slack(NonZeroU64::new(1));
        Ok(cores)
    }

    /// Starts a process on the core of what is measured.
    pub(super) fn spawn(self, command: &mut Command) -> Result<Child> {
        let name = command.get_program().to_string_lossy().into_owned();
        pin(self.measured)?;
        let child = command.spawn().with_context(|| format!("{name} does not start"));
        pin(self.load)?;
        child
    }
}

fn pin(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).with_context(|| format!("core {core} cannot be had"))
}

/// Lets this process, and those that it starts, open so many files, or says how many it may.
pub(super) fn open_files(wanted: u64) -> Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let allowed = maximum.unwrap_or(u64::MAX);
    ensure!(
        allowed >= wanted,
        "{wanted} open files are needed and {allowed} are allowed; raise `ulimit -Hn`"
    );
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).context("the limit of open files stays")
}

/// Processor time of all threads of a process that live.
pub(super) fn processor_time(pid: u32) -> Result<Duration> {
    let threads =
        fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("process {pid} is gone"))?;
    let mut sum = Duration::ZERO;
    for thread in threads {
        // A thread may end in between.
        let text = fs::read_to_string(thread?.path().join("schedstat")).unwrap_or_default();
        sum += on_core(&text).unwrap_or_default();
    }
    Ok(sum)
}

/// The first of a `schedstat`'s three numbers: nanoseconds on a core.
pub(super) fn on_core(schedstat: &str) -> Option<Duration> {
    schedstat.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// Memory of a process that is in use now, MiB.
pub(super) fn resident_mib(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kib.context("its status names no memory in use")? / 1024.0)
}
