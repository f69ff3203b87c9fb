//! Sets up logs, traces and metrics of a process once, and ends them.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{ExporterBuildError, MetricExporter, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, SpanLimits, TracerProviderBuilder,
};
use tracing::Dispatch;
use tracing::dispatcher::{SetGlobalDefaultError, set_global_default};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer, Registry};

use super::filter::{LineFilter, Wanted, traced_targets};
use super::logs;
use super::meters::Meter;
use super::options::TelemetryOptions;
use super::traces::Traces;

/// Attributes of one span; what a decision has to say fits, and a bug does not fill the memory.
const SPAN_LIMIT: u32 = 128;

/// Starts telemetry; see [`Telemetry::start`].
#[derive(Debug)]
pub struct Telemetry;

/// Keeps telemetry running; ends it when dropped.
#[derive(Debug)]
#[must_use = "telemetry ends when the guard is dropped"]
pub struct TelemetryGuard {
    provider: Option<SdkTracerProvider>,
    meters: Option<SdkMeterProvider>,
    flush_timeout: Duration,
}

/// Telemetry could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter of log lines cannot be read.
    #[error("the log filter `{filter}` cannot be read: {source}; write a level such as `info`")]
    Filter {
        /// The filter as given.
        filter: String,
        /// Why.
        source: tracing_subscriber::filter::ParseError,
    },
    /// The endpoint for traces and metrics cannot be used.
    #[error("traces and metrics cannot be sent to `{endpoint}`: {source}")]
    Endpoint {
        /// The endpoint as given.
        endpoint: String,
        /// Why.
        source: ExporterBuildError,
    },
    /// Telemetry runs already.
    #[error("telemetry was started in this process already: {0}")]
    Started(#[from] SetGlobalDefaultError),
}

// === impl Telemetry ===

impl Telemetry {
    /// Starts logs, traces and metrics for the whole process; `service` names it unless the options do.
    ///
    /// With an endpoint this must be called within a tokio runtime. Without one, spans still get identifiers, so that
    /// logs carry them and traces go on through this hop.
    ///
    /// # Errors
    /// A filter or an endpoint that cannot be used, or a second start.
    pub fn start(options: &TelemetryOptions, service: &'static str) -> Result<TelemetryGuard, Error> {
        let filter = LineFilter::parse(&options.log_filter)
            .map_err(|source| Error::Filter { filter: options.log_filter.clone(), source })?;
        let provider = provider(options, service)?.build();
        let traces = Traces::new(provider.tracer("causeway"), traced_targets());
        set_global_default(dispatch(traces, |shown| logs::layer(options.log_format, shown), filter))?;
        let meters = meters(options, service)?;
        if let Some(meters) = &meters {
            Meter::install(meters.meter("causeway"));
        }
        Ok(TelemetryGuard {
            provider: Some(provider),
            meters,
            flush_timeout: Duration::from_millis(options.flush_timeout_ms),
        })
    }
}

/// Traces and lines of what is let through. `lines` writes what it is given, or all that comes.
pub(super) fn dispatch<L>(
    traces: Traces,
    lines: impl FnOnce(Option<Targets>) -> L,
    filter: LineFilter,
) -> Dispatch
where
    L: Layer<Registry> + Send + Sync,
{
    let registry = Registry::default();
    match filter {
        LineFilter::Shared(shown) => {
            let wanted = Wanted::new(shown.clone());
            Dispatch::new(registry.with(lines(Some(shown))).with(traces).with(wanted))
        }
        LineFilter::Targets(shown) => {
            let traces = traces.with_filter(traced_targets());
            Dispatch::new(registry.with(lines(None).with_filter(shown)).with(traces))
        }
        LineFilter::Spans(shown) => {
            let traces = traces.with_filter(traced_targets());
            Dispatch::new(registry.with(lines(None).with_filter(*shown)).with(traces))
        }
    }
}

fn resource(options: &TelemetryOptions, service: &'static str) -> Resource {
    let name = options.service_name.clone().unwrap_or_else(|| service.to_owned());
    // Built without detectors: they read the process's environment.
    Resource::builder_empty()
        .with_attributes([
            KeyValue::new("service.name", name),
            KeyValue::new("service.namespace", "causeway"),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        ])
        .build()
}

fn provider(options: &TelemetryOptions, service: &'static str) -> Result<TracerProviderBuilder, Error> {
    let ratio = options.sample_ratio.clamp(0.0, 1.0);
    let builder = SdkTracerProvider::builder()
        .with_resource(resource(options, service))
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio))))
        .with_span_limits(SpanLimits {
            max_events_per_span: SPAN_LIMIT,
            max_attributes_per_span: SPAN_LIMIT,
            max_links_per_span: SPAN_LIMIT,
            max_attributes_per_event: SPAN_LIMIT,
            max_attributes_per_link: SPAN_LIMIT,
        });
    let Some(endpoint) = &options.otlp_endpoint else { return Ok(builder) };
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .with_timeout(Duration::from_millis(options.flush_timeout_ms))
        .build()
        .map_err(|source| Error::Endpoint { endpoint: endpoint.clone(), source })?;
    let batch_len = options.queue_len_max.min(512);
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(options.queue_len_max)
        .with_max_export_batch_size(batch_len)
        .with_scheduled_delay(Duration::from_millis(500))
        .build();
    Ok(builder.with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batches).build()))
}

/// What sends metrics; `None`: there is nowhere to send them, or none are wanted.
fn meters(options: &TelemetryOptions, service: &'static str) -> Result<Option<SdkMeterProvider>, Error> {
    let Some(endpoint) = options.otlp_endpoint.as_ref().filter(|_| options.metrics_interval_ms > 0) else {
        return Ok(None);
    };
    let exporter = MetricExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .with_timeout(Duration::from_millis(options.flush_timeout_ms))
        .build()
        .map_err(|source| Error::Endpoint { endpoint: endpoint.clone(), source })?;
    let interval = Duration::from_millis(options.metrics_interval_ms);
    let reader = PeriodicReader::builder(exporter).with_interval(interval).build();
    let builder = SdkMeterProvider::builder().with_resource(resource(options, service));
    Ok(Some(builder.with_reader(reader).build()))
}

// === impl TelemetryGuard ===

impl TelemetryGuard {
    /// Sends what is left and ends traces and metrics, without blocking the runtime.
    pub async fn shutdown(mut self) {
        let (provider, meters) = (self.provider.take(), self.meters.take());
        let timeout = self.flush_timeout;
        // A failure to send is told by what ends it.
        let _ = tokio::task::spawn_blocking(move || end(provider, meters, timeout)).await;
    }
}

impl Drop for TelemetryGuard {
    /// Blocks for at most the flush timeout; [`TelemetryGuard::shutdown`] is for runtimes with one thread, where
    /// nothing can be sent while this waits.
    fn drop(&mut self) {
        end(self.provider.take(), self.meters.take(), self.flush_timeout);
    }
}

fn end(provider: Option<SdkTracerProvider>, meters: Option<SdkMeterProvider>, timeout: Duration) {
    if let Some(Err(error)) = provider.map(|provider| provider.shutdown_with_timeout(timeout)) {
        tracing::warn!(%error, "the last spans were not sent");
    }
    if let Some(Err(error)) = meters.map(|meters| meters.shutdown_with_timeout(timeout)) {
        tracing::warn!(%error, "the last metrics were not sent");
    }
}
