//! What is told, to whom, and how much of it.

use serde::{Deserialize, Serialize};

use crate::config::Invalid;

/// Settings of logs, traces and metrics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryOptions {
    /// Where traces and metrics go, as `http://host:port` of an OTLP receiver over gRPC; unset, they go nowhere.
    pub otlp_endpoint: Option<String>,
    /// The share of traces that this process begins and records, from 0 to 1. A trace that another hop began is
    /// recorded if that hop does.
    pub sample_ratio: f64,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Which lines are written, as `level` or `target=level`, joined by commas. Set nowhere, it is the environment's
    /// `RUST_LOG`, if there is one.
    pub log_filter: String,
    /// `service.name` of traces and metrics; unset, the service's own name.
    pub service_name: Option<String>,
    /// Milliseconds between two exports of metrics; 0: none are kept.
    pub metrics_interval_ms: u64,
    /// Spans that wait to be sent; further ones are dropped.
    pub queue_len_max: usize,
    /// Time that sending what is left may take at the end, in milliseconds.
    pub flush_timeout_ms: u64,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, with trace and span identifiers.
    Json,
}

impl Default for TelemetryOptions {
    fn default() -> Self {
        TelemetryOptions {
            otlp_endpoint: None,
            sample_ratio: 1.0,
            log_format: LogFormat::Text,
            log_filter: "info".to_owned(),
            service_name: None,
            metrics_interval_ms: 10_000,
            queue_len_max: 2048,
            flush_timeout_ms: 3_000,
        }
    }
}

impl TelemetryOptions {
    /// Checks the ranges; `table` is the dotted key that holds these fields.
    #[must_use]
    pub fn invalid(&self, table: &str) -> Vec<Invalid> {
        let mut found = Vec::new();
        let mut rule = |holds: bool, field: &str, problem: &str, mend: &str| {
            Invalid::unless(&mut found, holds, &format!("{table}.{field}"), problem, mend);
        };
        rule(
            (0.0..=1.0).contains(&self.sample_ratio),
            "sample_ratio",
            "is not from 0 to 1",
            "give a fraction",
        );
        let filter = tracing_subscriber::EnvFilter::try_new(&self.log_filter);
        let problem = filter.err().map(|error| format!("cannot be read: {error}"));
        let mend = "write a level such as `info`, or `router=debug,info`";
        rule(problem.is_none(), "log_filter", problem.as_deref().unwrap_or_default(), mend);
        let endpoint = self.otlp_endpoint.as_deref().map(is_endpoint);
        let mend = "write http://host:port of an OTLP receiver over gRPC";
        rule(endpoint != Some(false), "otlp_endpoint", "is not a plain http URL", mend);
        rule(self.queue_len_max > 0, "queue_len_max", "is zero, so nothing could be sent", "give 1 or more");
        found
    }
}

fn is_endpoint(text: &str) -> bool {
    text.parse::<http::Uri>().is_ok_and(|uri| uri.scheme_str() == Some("http") && uri.host().is_some())
}
