//! What is measured of one way: at a rate, as fast as it goes, in long streams, and what memory it takes.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use mesh::tls::Identity;
use proto::v1::DescribeRequest;
use proto::v1::generation_client::GenerationClient;
use tokio::time::{Instant, interval, sleep, timeout};

use super::caller::{Caller, Counted};
use super::load::{Rate, Times, keep, listen};
use super::subject::{Bench, Subject};
use super::way::{Parts, Way};
use super::wire::Template;
use super::worker::{CHUNKS_MAX, Script, Worker};

/// Requests a second where times are measured.
const RATE: f64 = 2_000.0;
/// Connections of the caller.
const CONNECTIONS: usize = 8;
/// Calls at once where throughput is measured: short answers, and streams.
const AT_ONCE: (usize, usize) = (64, 32);
/// Chunks of a stream; of one whose first token is timed at the rate.
const CHUNKS: (u32, u32) = (100, 8);
/// Streams at once that are paced as an engine would, and how.
const PACED: (usize, Duration) = (200, Duration::from_millis(20));
/// Answers that are left open where memory is measured, and connections.
const HELD: usize = 1_000;
const OPEN: usize = 10_000;
/// Bytes of a held answer's prompt.
const HELD_PROMPT_BYTES: usize = 1_000;
/// How long a way may take until it answers.
const READY_MAX: Duration = Duration::from_secs(60);
/// Before a measurement begins, its load has run as long.
const WARM: Duration = Duration::from_millis(300);
/// Until memory that was taken stands in the statistics.
const SETTLE: Duration = Duration::from_millis(500);

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Short answers at the rate.
    UnaryAtRate,
    /// Short answers as fast as they go.
    Unary,
    /// The first token of streams at the rate.
    StreamAtRate,
    /// Streams as fast as they go.
    Stream,
    /// Streams paced as an engine would.
    Paced,
    /// Memory: idle, and with answers that are held.
    Memory,
    /// Memory with many connections.
    Connections,
}

/// One run of one phase.
#[derive(Debug, Clone, Default)]
pub(super) struct Run {
    /// Processor time of what is between caller and worker, µs, and of how many answers and chunks.
    pub(super) cpu_us: f64,
    pub(super) answers: f64,
    pub(super) chunks: f64,
    /// How long it was measured, seconds.
    pub(super) seconds: f64,
    /// Median and 99th percentile of what was timed, and of how late the load was, µs.
    pub(super) times: Option<([f64; 2], [f64; 2])>,
    /// Memory in use, MiB: idle, and at the end.
    pub(super) memory: Option<[f64; 2]>,
    /// Bytes of question and answer for each that was held.
    pub(super) own_bytes: f64,
}

/// A way that answers.
pub(super) struct Ready<'a> {
    worker: &'a Worker,
    way: Way,
    subject: Subject,
    identity: Option<Identity>,
    /// Memory in use before anything was asked, MiB.
    idle_mib: Option<f64>,
}

impl Phase {
    /// Whether times are what it is about.
    pub(super) fn is_timed(self) -> bool {
        matches!(self, Self::UnaryAtRate | Self::StreamAtRate)
    }

    /// How many of what its memory is shared by.
    pub(super) fn held(self) -> f64 {
        if self == Self::Connections { OPEN as f64 } else { HELD as f64 }
    }
}

// === impl Ready ===

impl<'a> Ready<'a> {
    /// Starts it and waits until it answers.
    pub(super) async fn start(bench: &Bench, worker: &'a Worker, way: Way) -> Result<Self> {
        let subject = bench.start(way)?;
        let identity =
            way.is_secured().then(|| bench.authority.issue("agent/bench")?.identity()).transpose()?;
        let mut ready = Self { worker, way, subject, identity, idle_mib: None };
        worker.follow(Script { chunks: 1, pace: Duration::ZERO });
        timeout(READY_MAX, ready.answers())
            .await
            .with_context(|| format!("{} does not answer; it said: {}", way.key(), ready.subject.said()))??;
        sleep(SETTLE).await;
        ready.idle_mib = ready.subject.resident_mib()?;
        Ok(ready)
    }

    async fn answers(&self) -> Result<()> {
        let mut ticks = interval(Duration::from_millis(20));
        let caller = self.caller(1, 0);
        while caller.connect().await.is_err() {
            ticks.tick().await;
        }
        if let Way::Router(Parts { workers, .. }) = self.way {
            let mut client = GenerationClient::new(caller.channel().context("there is a channel")?);
            loop {
                ticks.tick().await;
                let described = client.describe(DescribeRequest {}).await?.into_inner();
                let heard = described.places.iter().filter(|place| place.model.is_some()).count();
                if heard == workers as usize {
                    break;
                }
            }
        }
        caller.ask(1).await.map(drop)
    }

    fn caller(&self, connections: usize, prompt_bytes: usize) -> Caller {
        let template = Template::new(self.way.signals_given(), prompt_bytes);
        Caller::new(&self.subject.address, self.identity.as_ref(), connections, template)
    }

    /// Measures for so long.
    pub(super) async fn run(&self, phase: Phase, time: Duration) -> Result<Run> {
        let caller = self.caller(CONNECTIONS, 0);
        caller.connect().await?;
        let run = match phase {
            Phase::UnaryAtRate => self.at_rate(&caller, 1, time).await,
            Phase::StreamAtRate => self.at_rate(&caller, CHUNKS.1, time).await,
            Phase::Unary => {
                self.worker.follow(Script { chunks: 1, pace: Duration::ZERO });
                keep(&caller, (AT_ONCE.0, 1), self.watch(&caller, WARM, time)).await
            }
            Phase::Stream => {
                self.worker.follow(Script { chunks: CHUNKS.0, pace: Duration::ZERO });
                keep(&caller, (AT_ONCE.1, CHUNKS.0), self.watch(&caller, WARM, time)).await
            }
            Phase::Paced => {
                self.worker.follow(Script { chunks: CHUNKS_MAX, pace: PACED.1 });
                // The streams do not beat as one.
                let spread = PACED.1 * 7;
                listen(&caller, (PACED.0, spread), self.watch(&caller, WARM + spread, time)).await
            }
            Phase::Memory => self.held().await,
            Phase::Connections => self.connections().await,
        };
        run.with_context(|| format!("{}, {phase:?}", self.way.key()))
    }

    /// So many answers, eight at a time.
    pub(super) async fn answer(&self, count: u32, chunks: u32) -> Result<()> {
        let caller = self.caller(CONNECTIONS, 0);
        self.worker.follow(Script { chunks, pace: Duration::ZERO });
        let one_after_another = async |share: u32| {
            for _ in 0..share {
                caller.ask(chunks).await?;
            }
            anyhow::Ok(())
        };
        let share = count / CONNECTIONS as u32;
        try_join_all((0..CONNECTIONS).map(|_| one_after_another(share))).await.map(drop)
    }

    /// Ends it, while the worker serves on; the instructions that it took, where they were counted.
    pub(super) async fn end(self) -> Result<Option<f64>> {
        let subject = self.subject;
        tokio::task::spawn_blocking(move || subject.end()).await?
    }

    /// Counts processor time and answers for so long, after a while.
    async fn watch(&self, caller: &Caller, warm: Duration, time: Duration) -> Result<Run> {
        sleep(warm).await;
        let began = self.snapshot(caller)?;
        sleep(time).await;
        Ok(Run::between(&began, &self.snapshot(caller)?))
    }

    fn snapshot(&self, caller: &Caller) -> Result<(Instant, Duration, Counted)> {
        Ok((Instant::now(), self.subject.processor_time()?, caller.counted()))
    }

    async fn at_rate(&self, caller: &Caller, chunks: u32, time: Duration) -> Result<Run> {
        self.worker.follow(Script { chunks, pace: Duration::ZERO });
        Rate { per_second: RATE, time: WARM }.run(caller, chunks).await?;
        let began = self.snapshot(caller)?;
        let times = Rate { per_second: RATE, time }.run(caller, chunks).await?;
        let mut run = Run::between(&began, &self.snapshot(caller)?);
        let Times { whole, first, lateness } = times;
        let timed = if chunks == 1 { whole } else { first };
        let quantiles = |of: &hdrhistogram::Histogram<u64>| {
            [0.5, 0.99].map(|quantile| of.value_at_quantile(quantile) as f64 / 1e3)
        };
        run.times = Some((quantiles(&timed), quantiles(&lateness)));
        Ok(run)
    }

    async fn held(&self) -> Result<Run> {
        self.worker.follow(Script { chunks: 2, pace: Duration::from_secs(600) });
        let caller = self.caller(CONNECTIONS, HELD_PROMPT_BYTES);
        caller.connect().await?;
        let mut held = Vec::with_capacity(HELD);
        for _ in 0..HELD {
            held.push(caller.begin().await?);
        }
        sleep(SETTLE).await;
        let own_bytes = held.iter().map(|one| one.own_bytes as f64).sum::<f64>() / HELD as f64;
        let run = Run { own_bytes, ..self.memory()? };
        drop(held);
        Ok(run)
    }

    async fn connections(&self) -> Result<Run> {
        let caller = self.caller(OPEN, 0);
        caller.connect().await?;
        // The last of them is as good as the first.
        self.worker.follow(Script { chunks: 1, pace: Duration::ZERO });
        for _ in 0..16 {
            caller.ask(1).await?;
        }
        sleep(SETTLE).await;
        self.memory()
    }

    fn memory(&self) -> Result<Run> {
        let now = self.subject.resident_mib()?;
        let memory = self.idle_mib.zip(now).map(|(idle, now)| [idle, now]);
        ensure!(memory.is_some(), "there is no process between");
        Ok(Run { memory, ..Run::default() })
    }
}

// === impl Run ===

impl Run {
    fn between(began: &(Instant, Duration, Counted), ended: &(Instant, Duration, Counted)) -> Self {
        Self {
            cpu_us: ended.1.saturating_sub(began.1).as_secs_f64() * 1e6,
            answers: (ended.2.answers - began.2.answers) as f64,
            chunks: (ended.2.chunks - began.2.chunks) as f64,
            seconds: (ended.0 - began.0).as_secs_f64(),
            ..Self::default()
        }
    }

    /// Whether the load was late by so much less than what was timed that its share does not matter.
    pub(super) fn is_sound(&self) -> bool {
        self.times
            .is_none_or(|(timed, late)| timed.iter().zip(late).all(|(timed, late)| late * LATE < *timed))
    }
}

/// What was timed is so many times the load's own lateness, or does not count.
const LATE: f64 = 3.0;
