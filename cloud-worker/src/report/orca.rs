//! The same load for whoever speaks ORCA: at an interval, and in the trailers of answers.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::Stream;
use http::{HeaderMap, HeaderValue};
use inference::{Counters, Load};
use prost::Message as _;
use proto::orca::open_rca_service_server::OpenRcaService;
use proto::orca::{self, Metric, OrcaLoadReport, OrcaLoadReportRequest};
use tokio::time::Instant;
use tonic::metadata::{Binary, MetadataValue};
use tonic::{Code, Request, Response, Status};

use super::{Reports, Told};

/// Answers that have ended, and those of them that failed by this worker's fault.
#[derive(Debug, Default)]
pub(super) struct Answered {
    all: AtomicU64,
    failed: AtomicU64,
}

/// What the last report to a watcher counted, and when.
#[derive(Debug)]
struct Counted {
    at: Instant,
    all: u64,
    failed: u64,
}

// === impl Reports ===

impl Reports {
    /// Puts a report into the trailers of an answer, and counts it.
    pub(crate) fn into_trailers(self) -> impl Fn(&mut HeaderMap) + Clone + Send + Sync + 'static {
        let this = Arc::new(self);
        move |trailers| {
            this.answered.count(trailers);
            if !this.options.trailers {
                return;
            }
            let report = in_trailers(&this.handle.load(), this.running_max);
            let value = MetadataValue::<Binary>::from_bytes(&report.encode_to_vec());
            // Base64 is in every header's alphabet, so that this holds always.
            if let Ok(mut value) = HeaderValue::from_bytes(value.as_encoded_bytes()) {
                // It is never the same twice: the tables by which headers are compressed have better to hold.
                value.set_sensitive(true);
                trailers.insert(orca::TRAILER, value);
            }
        }
    }

    fn orca_interval_ms(&self, asked: &OrcaLoadReportRequest) -> u32 {
        let min = self.options.interval_min_ms;
        let max = self.options.orca_interval_max_ms.max(min);
        let wanted = asked.report_interval.and_then(|wanted| Duration::try_from(wanted).ok());
        let wanted_ms = wanted.map_or(0, |wanted| wanted.as_millis());
        u32::try_from(wanted_ms).unwrap_or(u32::MAX).clamp(min, max)
    }

    fn orca(&self, interval_ms: u32, told: &mut Told, counted: &mut Counted) -> OrcaLoadReport {
        let (load, work) = (self.handle.load(), self.handle.counters());
        told.expert_rows(&load);
        let mut report = of(&load, &work, self.running_max);
        report.set(orca::EXPERT_IMBALANCE, told.expert_imbalance);
        report.set(orca::INTERVAL_SECONDS, f64::from(interval_ms) / 1e3);
        (report.rps_fractional, report.eps) = counted.rates(&self.answered);
        report
    }
}

#[tonic::async_trait]
impl OpenRcaService for Reports {
    type StreamCoreMetricsStream = Pin<Box<dyn Stream<Item = Result<OrcaLoadReport, Status>> + Send>>;

    async fn stream_core_metrics(
        &self,
        request: Request<OrcaLoadReportRequest>,
    ) -> Result<Response<Self::StreamCoreMetricsStream>, Status> {
        let interval_ms = self.orca_interval_ms(request.get_ref());
        let watcher = self.watcher()?;
        let (mut told, mut counted) = (Told::default(), Counted::now(&self.answered));
        let tell = move |this: &Self, draining| {
            let mut report = this.orca(interval_ms, &mut told, &mut counted);
            report.set(orca::DRAINING, f64::from(u8::from(draining)));
            report
        };
        Ok(Response::new(Box::pin(self.clone().stream(interval_ms, watcher, tell))))
    }
}

// === impl Answered ===

impl Answered {
    fn count(&self, trailers: &HeaderMap) {
        self.all.fetch_add(1, Ordering::Relaxed);
        let status = trailers.get(Status::GRPC_STATUS).map(|code| Code::from_bytes(code.as_bytes()));
        let failed = [Code::Unknown, Code::Internal, Code::Unavailable, Code::DataLoss];
        if status.is_none_or(|code| failed.contains(&code)) {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

// === impl Counted ===

impl Counted {
    fn now(answered: &Answered) -> Self {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Self { at: Instant::now(), all: read(&answered.all), failed: read(&answered.failed) }
    }

    /// Answers and failures a second since the report before.
    fn rates(&mut self, answered: &Answered) -> (f64, f64) {
        let now = Self::now(answered);
        let seconds = now.at.saturating_duration_since(self.at).as_secs_f64();
        if seconds == 0.0 {
            return (0.0, 0.0);
        }
        let before = std::mem::replace(self, now);
        let rate = |now: u64, then: u64| now.saturating_sub(then) as f64 / seconds;
        (rate(self.all, before.all), rate(self.failed, before.failed))
    }
}

trait Named {
    fn set(&mut self, metric: Metric, value: f64);
    fn set_measured(&mut self, metric: Metric, value: f64);
}

impl Named for OrcaLoadReport {
    fn set(&mut self, metric: Metric, value: f64) {
        self.named_metrics.insert(metric.name.to_owned(), value);
    }

    /// Of what was not measured yet, nothing is said.
    fn set_measured(&mut self, metric: Metric, value: f64) {
        if value > 0.0 {
            self.set(metric, value);
        }
    }
}

/// Everything that an engine tells of its load.
fn of(load: &Load, work: &Counters, running_max: usize) -> OrcaLoadReport {
    let mut report = in_trailers(load, running_max);
    report.set(orca::CACHE_TOKENS_USED, load.kv_tokens_used as f64);
    report.set(orca::CACHE_TOKENS_KEPT, load.kv_tokens_kept as f64);
    if work.prompt_tokens > 0 {
        report.set(orca::CACHE_HIT_RATIO, work.cached_tokens as f64 / work.prompt_tokens as f64);
    }
    let by_batch = load.seconds_per_token_at.iter().filter(|(_, seconds)| *seconds > 0.0);
    let name = orca::OUTPUT_TOKEN_SECONDS.name;
    let by_batch = by_batch.map(|(requests, seconds)| (format!("{name}.{requests}"), *seconds));
    report.named_metrics.extend(by_batch);
    report
}

/// What one who sends a request now must know: trailers are paid for with every answer.
fn in_trailers(load: &Load, running_max: usize) -> OrcaLoadReport {
    let requests = load.running + load.waiting;
    let cache = share(load.kv_tokens_used, load.kv_tokens_max);
    let mut report = OrcaLoadReport {
        mem_utilization: cache.min(1.0),
        // A place in the batch and room in the cache: whichever is scarcer.
        application_utilization: share(requests, running_max).max(cache),
        ..Default::default()
    };
    report.set(orca::RUNNING, load.running as f64);
    report.set(orca::WAITING, load.waiting as f64);
    report.set(orca::RUNNING_MAX, running_max as f64);
    report.set(orca::QUEUED_TOKENS, load.queued_tokens as f64);
    report.set(orca::IN_FLIGHT_TOKENS, (load.kv_tokens_used + load.queued_tokens) as f64);
    report.set(orca::CACHE_TOKENS_MAX, load.kv_tokens_max as f64);
    report.set_measured(orca::PREFILL_RATE, load.prefill_tokens_per_s);
    report.set_measured(orca::OUTPUT_TOKEN_SECONDS, load.seconds_per_token);
    report
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests;
