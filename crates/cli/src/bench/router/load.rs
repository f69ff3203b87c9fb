//! The load: calls at a fixed rate whatever becomes of them, or as many at once as are asked for.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::caller::Caller;

/// Longest time that is kept, nanoseconds.
const TIME_MAX_NS: u64 = 60_000_000_000;
/// What is left in flight at the end of a run may take so long.
const LEFT_MAX: Duration = Duration::from_secs(10);

/// Times of calls at a rate, each counted from when it was due, so that one that came late because another took long
/// counts that time as well.
#[derive(Debug, Clone)]
pub(super) struct Times {
    /// To the end of the answer.
    pub(super) whole: Histogram<u64>,
    /// To the first token.
    pub(super) first: Histogram<u64>,
    /// From when it was due to when it was sent: the load's own fault.
    pub(super) lateness: Histogram<u64>,
}

/// Calls at a rate for some time, evenly spaced.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    pub(super) per_second: f64,
    pub(super) time: Duration,
}

// === impl Times ===

impl Times {
    fn new() -> Result<Self> {
        let empty = Histogram::new_with_bounds(1, TIME_MAX_NS, 3)?;
        Ok(Self { whole: empty.clone(), first: empty.clone(), lateness: empty })
    }
}

// === impl Rate ===

impl Rate {
    /// Calls of answers with so many chunks.
    pub(super) async fn run(self, caller: &Caller, chunks: u32) -> Result<Times> {
        let times = Arc::new(Mutex::new(Times::new()?));
        let mut calls = JoinSet::new();
        let timer = Timer::new()?;
        let began = Instant::now();
        let gap = Duration::from_secs_f64(1.0 / self.per_second);
        let count = (self.time.as_secs_f64() * self.per_second) as u32;
        for number in 0..count {
            let due = began + gap * number;
            timer.until(due).await?;
            let (caller, times) = (caller.clone(), times.clone());
            calls.spawn(async move {
                let sent = Instant::now();
                let came = caller.ask(chunks).await?;
                let mut times = times.lock();
                times.lateness.saturating_record(nanos(sent - due));
                times.first.saturating_record(nanos(came.first - due));
                times.whole.saturating_record(nanos(came.end - due));
                anyhow::Ok(())
            });
            while let Some(ended) = calls.try_join_next() {
                ended.context("a call was lost")??;
            }
        }
        let left = async {
            while let Some(ended) = calls.join_next().await {
                ended.context("a call was lost")??;
            }
            anyhow::Ok(())
        };
        timeout(LEFT_MAX, left).await.context("calls are still under way long after the last was sent")??;
        let times = times.lock().clone();
        Ok(times)
    }
}

/// Keeps so many calls of answers with so many chunks under way while `meanwhile` runs.
pub(super) async fn keep<T>(
    caller: &Caller,
    (at_once, chunks): (usize, u32),
    meanwhile: impl Future<Output = Result<T>>,
) -> Result<T> {
    let mut calls = JoinSet::new();
    for _ in 0..at_once {
        let caller = caller.clone();
        calls.spawn(async move {
            loop {
                caller.ask(chunks).await?;
            }
        });
    }
    until_one_fails(calls, meanwhile).await
}

/// Reads so many answers, each begun a little after the one before, while `meanwhile` runs.
pub(super) async fn listen<T>(
    caller: &Caller,
    (answers, spread): (usize, Duration),
    meanwhile: impl Future<Output = Result<T>>,
) -> Result<T> {
    let mut calls = JoinSet::new();
    for number in 0..answers {
        let caller = caller.clone();
        let wait = spread.mul_f64(number as f64 / answers as f64);
        calls.spawn(async move {
            sleep(wait).await;
            caller.begin().await?.read_on(caller).await?;
            bail!("an answer ended before it should")
        });
    }
    until_one_fails(calls, meanwhile).await
}

async fn until_one_fails<T>(
    mut calls: JoinSet<Result<()>>,
    meanwhile: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::select! {
        done = meanwhile => done,
        ended = calls.join_next() => match ended {
            Some(Ok(Err(error))) => Err(error),
            _ => bail!("a caller ended"),
        },
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(TIME_MAX_NS)
}

/// Wakes at a moment, not at the next millisecond as the runtime's own timers do.
struct Timer(AsyncFd<std::os::fd::OwnedFd>);

impl Timer {
    fn new() -> Result<Self> {
        let fd = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        #[expect(
            deprecated,
            reason = "its doubt is a descriptor that changes meanwhile; an owned one does not"
        )]
        Ok(Self(AsyncFd::new(fd)?))
    }

    async fn until(&self, due: Instant) -> Result<()> {
        let wait = due.saturating_duration_since(Instant::now());
        if wait.is_zero() {
            // Those that are under way must come on, however late this one is.
            tokio::task::yield_now().await;
            return Ok(());
        }
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let value = Timespec { tv_sec: wait.as_secs().try_into()?, tv_nsec: wait.subsec_nanos().into() };
        // Setting it again clears what it told before.
        timerfd_settime(
            &self.0,
            TimerfdTimerFlags::empty(),
            &Itimerspec { it_interval: zero, it_value: value },
        )?;
        loop {
            let mut ready = self.0.readable().await?;
            ready.clear_ready();
            if Instant::now() >= due {
                return Ok(());
            }
        }
    }
}
