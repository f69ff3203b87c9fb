//! Load reports of any make: the messages of ORCA, and the names of the numbers that this project puts into them.

pub use crate::xds::data::orca::v3::OrcaLoadReport;
pub use crate::xds::service::orca::v3::{
    OrcaLoadReportRequest, open_rca_service_client, open_rca_service_server,
};

/// The trailer in which the answer to a call brings a report, by gRPC proposal A51.
pub const TRAILER: &str = "endpoint-load-metrics-bin";

/// A number in `named_metrics`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its key.
    pub name: &'static str,
    /// In UCUM; what it has no unit for stands in braces.
    pub unit: &'static str,
    /// One sentence for people.
    pub description: &'static str,
}

const fn metric(name: &'static str, unit: &'static str, description: &'static str) -> Metric {
    Metric { name, unit, description }
}

/// Sequences in the batch.
pub const RUNNING: Metric = metric("causeway.running", "{request}", "Requests being computed.");
/// Sequences that wait for it.
pub const WAITING: Metric = metric("causeway.waiting", "{request}", "Requests that wait for a place.");
/// Sequences that may run at once.
pub const RUNNING_MAX: Metric =
    metric("causeway.running_max", "{request}", "Requests that may be computed at once.");
/// Prompt tokens that wait.
pub const QUEUED_TOKENS: Metric =
    metric("causeway.queued_tokens", "{token}", "Prompt tokens that are not computed yet.");
/// Tokens of the requests that are being served.
pub const IN_FLIGHT_TOKENS: Metric = metric(
    "causeway.in_flight_tokens",
    "{token}",
    "Tokens in hand: those that requests hold in the cache, and prompt tokens that are not computed yet.",
);
/// Room for keys and values.
pub const CACHE_TOKENS_MAX: Metric =
    metric("causeway.cache.tokens_max", "{token}", "Room of the key and value cache.");
/// Room that requests hold.
pub const CACHE_TOKENS_USED: Metric =
    metric("causeway.cache.tokens_used", "{token}", "Room of the cache that requests hold.");
/// Room that nobody holds, with what may be asked again.
pub const CACHE_TOKENS_KEPT: Metric = metric(
    "causeway.cache.tokens_kept",
    "{token}",
    "Room of the cache with what nobody uses now and later requests may take over.",
);
/// Share of the prompts that was in the cache.
pub const CACHE_HIT_RATIO: Metric = metric(
    "causeway.cache.hit_ratio",
    "1",
    "Share of all prompt tokens since the start that was taken over from the cache.",
);
/// How fast prompts are computed.
pub const PREFILL_RATE: Metric =
    metric("causeway.prefill_tokens_per_second", "{token}/s", "Measured rate of computing prompts.");
/// How long a token takes.
pub const OUTPUT_TOKEN_SECONDS: Metric = metric(
    "causeway.seconds_per_output_token",
    "s",
    "Measured time per output token at the present batch; with `.N` behind it, at N requests at a time and more.",
);
/// How unevenly experts are asked.
pub const EXPERT_IMBALANCE: Metric =
    metric("causeway.expert.imbalance", "1", "The busiest expert's rows over the mean of all.");
/// Whether the worker is about to end.
pub const DRAINING: Metric =
    metric("causeway.draining", "1", "1 where the worker is ending and takes no new work.");
/// The interval granted.
pub const INTERVAL_SECONDS: Metric =
    metric("causeway.report_interval_seconds", "s", "Time until the next report.");

/// Every name, in the order in which it is explained above.
pub const METRICS: [Metric; 14] = [
    RUNNING,
    WAITING,
    RUNNING_MAX,
    QUEUED_TOKENS,
    IN_FLIGHT_TOKENS,
    CACHE_TOKENS_MAX,
    CACHE_TOKENS_USED,
    CACHE_TOKENS_KEPT,
    CACHE_HIT_RATIO,
    PREFILL_RATE,
    OUTPUT_TOKEN_SECONDS,
    EXPERT_IMBALANCE,
    DRAINING,
    INTERVAL_SECONDS,
];

#[cfg(test)]
mod tests;
