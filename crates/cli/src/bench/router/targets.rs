//! What the router has to reach, and whether it did in this run.

use super::phase::Phase;
use super::results::Results;

/// One number to reach: at most so much.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Target {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    pub(super) most: f64,
    /// `None`: what it is compared with was not measured.
    pub(super) measured: Option<f64>,
}

impl Target {
    /// Whether it is reached.
    pub(super) fn is_met(&self) -> Option<bool> {
        self.measured.map(|measured| measured <= self.most)
    }
}

/// All of them.
pub(super) fn targets(results: &Results) -> Vec<Target> {
    let of = |key: &str, phase| results.of(key, phase);
    let cpu = |key: &str| of(key, Phase::Unary).map(|figures| figures.cpu_us);
    let over_forwarder = |key: &str| Some(cpu(key)? - cpu("forwarder")?);
    let paced = |key: &str| of(key, Phase::Paced).map(|figures| figures.cpu_us_per_chunk);
    let added = |key: &str, at: usize| results.added(key, Phase::UnaryAtRate).map(|added| added[at]);
    let memory = of("router", Phase::Memory);
    let target = |name, unit, most, measured| Target { name, unit, most, measured };
    vec![
        target("a short answer, above the forwarder", "CPU µs", 18.0, over_forwarder("router")),
        target("the same with mTLS and traces", "CPU µs", 29.0, over_forwarder("router_mtls")),
        target(
            "a chunk of a stream",
            "CPU µs",
            1.3,
            of("router", Phase::Stream).map(|figures| figures.cpu_us_per_chunk),
        ),
        target(
            "a paced chunk, over the forwarder's",
            "×",
            1.15,
            paced("router").zip(paced("forwarder")).map(|(own, floor)| own / floor),
        ),
        target(
            "added median time, over HAProxy's",
            "×",
            1.3,
            added("router", 0).zip(added("haproxy", 0)).map(|(own, other)| own / other),
        ),
        target("added 99th percentile", "µs", 700.0, added("router", 1)),
        target("memory, idle", "MiB", 40.0, memory.and_then(|figures| Some(figures.memory?[0]))),
        target(
            "a held stream, without its question and answer",
            "KiB",
            16.0,
            memory.and_then(|figures| figures.kib_each.map(|[all, own]| all - own)),
        ),
    ]
}
