//! The rows: what is tested, what is aimed at, and what measures it.

use anyhow::Error;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::{abuse, loss, overload, proof};

/// One test.
pub(super) struct Row {
    pub(super) id: &'static str,
    pub(super) test: &'static str,
    pub(super) target: &'static str,
    /// It takes more than half a minute.
    pub(super) slow: bool,
    /// `None`: nothing measures it yet.
    pub(super) measure: Option<Measure>,
}

/// Measures a row.
pub(super) type Measure = fn() -> BoxFuture<'static, Result<Measured, Error>>;

/// What a row came to.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    pub(super) text: String,
    pub(super) pass: bool,
}

// === impl Measured ===

impl Measured {
    /// A row that could not be measured.
    pub(super) fn failed(error: &Error) -> Self {
        Self { text: format!("could not be measured: {error:#}"), pass: false }
    }
}

const fn row(id: &'static str, test: &'static str, target: &'static str) -> Row {
    Row { id, test, target, slow: false, measure: None }
}

impl Row {
    const fn by(self, measure: Measure) -> Self {
        Self { measure: Some(measure), ..self }
    }

    const fn slowly(self, measure: Measure) -> Self {
        Self { measure: Some(measure), slow: true, ..self }
    }
}

/// Every row, by id.
pub(super) const ROWS: [Row; 38] = [
    row("A1", "goodput at 4 times what it can carry", "≥ 90 % of the peak; at 10 times ≥ 80 %"),
    row("A2", "rejections are cheap", "p99 ≤ 10 ms, all with a pushback, CPU ≤ 10 % of a served request")
        .by(|| overload::rejections().boxed()),
    row("A3", "priorities at 4 times", "interactive ≥ 99 %, batch goes first"),
    row("A4", "recovery after the burst", "p99 ≤ 1.2 × within 5 s, queue empty within 2 s"),
    row("A5", "retries while all workers fail", "attempts ≤ 1.2 × requests + 10/s")
        .by(|| overload::amplification().boxed()),
    row("A6", "agents throttle themselves where a quarter is taken", "≤ 2 × what is taken, ± 10 %"),
    row("A7", "hedging, one of 4 workers 10 times as slow", "p99 to the first token − 50 %, ≤ 5 % more work"),
    row("A8", "a failing worker among 3, 2 requests/s", "ejected after ≤ 7 failures, ≤ 5 reach callers")
        .slowly(|| overload::ejection().boxed()),
    row("A9", "all workers fail", "never all ejected, agents answer themselves ≤ 300 ms"),
    row("A10", "load reports go stale", "no worker above 1.5 × its share"),
    row("A11", "4 workers of speeds 1 : 2 : 4 : 8", "p99 ≤ 1.5 × ideal, round robin ≥ 2 × that"),
    row("B1", "rolling restart of 4 workers, 200 streams", "none fails, none is cut short"),
    row("B2", "rolling restart of 2 routers, 200 agents", "no token lost or twice, drains end in time"),
    row("B3", "worker killed in the midst of an answer, 500 times", "all go on elsewhere, within 500 ms")
        .slowly(|| loss::kills().boxed()),
    row("B4", "worker stopped", "avoided within 2 s, no call outlives its deadline by 100 ms"),
    row("B5", "black hole", "found ≤ 5 s"),
    row("B6", "router killed", "agents answer ≤ 300 ms, back p99 ≤ 2 s"),
    row("B7", "10,000 agents come back at once", "all ≤ 30 s, memory ≤ 2 ×"),
    row("B10", "discovery down for 10 minutes", "no request fails, its age is told"),
    row("B11", "clocks wrong by 10 minutes, jumps of an hour", "no deadline error"),
    row(
        "B12",
        "10,000 callers leave in the midst",
        "worker stops ≤ 100 ms, nothing is left, money comes back",
    )
    .by(|| loss::cancels().boxed()),
    row("B13", "one reader stopped among 99", "no connection is lost, others keep ≥ 99 %"),
    row(
        "C1",
        "policy cut at every byte, 200 bits flipped",
        "the last good one stays, with file, line and column",
    ),
    row("C2", "policies that are valid and dangerous", "all refused"),
    row("C3", "canary that doubles errors", "taken back ≤ 30 s, ≤ 5 % exposed"),
    row("C4", "a reload each second for 5 minutes", "no request fails, p99 + ≤ 5 %"),
    row("D1", "24 malformed inputs", "no panic, no hang, the right status"),
    row("D2", "floods", "closed and counted, memory + ≤ 16 MiB"),
    row("D3", "slowloris, 1,000 connections", "all gone ≤ 15 s"),
    row("D4", "10,000 idle connections with mTLS", "≤ 64 KiB each, p99 + ≤ 5 ms"),
    row("D5", "no file descriptors left", "accepts ≤ 1 s after there are"),
    row("D6", "100 rotations of certificates under 200 streams", "none dropped, a broken one ignored"),
    row("D7", "one tenant's cache seen by another, 250 pairs", "Kolmogorov–Smirnov p > 0.01"),
    row(
        "D8",
        "50 prefixes that look hard; 64 streams at once",
        "up-routing + ≤ 5 points; overshoot ≤ 1 request",
    )
    .by(|| abuse::wallet().boxed()),
    row("E1", "simulation of 1,000 seeds", "nothing wrong, the same course twice")
        .slowly(|| proof::simulation().boxed()),
    row("E2", "fuzz targets, 10 s each", "nothing fails").slowly(|| proof::fuzz().boxed()),
    row("E3", "a marker in 10,000 requests", "in no log, trace or metric"),
    row("E4", "an hour at 70 %", "memory + ≤ 5 %"),
];
