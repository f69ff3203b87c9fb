//! Reports from workers of other makes.

use std::time::Duration;

use proto::orca::open_rca_service_client::OpenRcaServiceClient;
use proto::orca::{OrcaLoadReport, OrcaLoadReportRequest};
use proto::v1;
use proto::v1::generation_client::GenerationClient;
use tokio::time::Instant;
use tonic::{Status, Streaming};

use super::{REPORT_BYTES_MAX, Watching};
use crate::fleet::entry::Entry;
use crate::fleet::report::Circumstances;

/// The interval of a worker that has reported once: the shortest that servers grant unless they are told otherwise (gRPC
/// proposal A51).
const INTERVAL_UNKNOWN: Duration = Duration::from_secs(30);

/// The interval that a worker grants, which ORCA does not say: as long as the longest of late.
#[derive(Debug, Default)]
struct Granted {
    last_at: Option<Instant>,
    interval: Option<Duration>,
}

/// Takes reports until the stream ends, and says why it did.
pub(super) async fn reports(entry: &Entry, watching: &Watching) -> Status {
    let stream = match watching.opened(open(entry, watching.interval)).await {
        Ok(stream) => stream,
        Err(status) => return status,
    };
    let model = watching.opened(model(entry)).await.unwrap_or_default();
    let mut granted = Granted::default();
    let take = |report: OrcaLoadReport| {
        let now = Instant::now();
        let interval = granted.heard(now).max(watching.interval);
        entry.hear_orca(&report, Circumstances { interval, model: model.clone() }, now)
    };
    watching.take(stream, take).await
}

async fn open(entry: &Entry, interval: Duration) -> Result<Streaming<OrcaLoadReport>, Status> {
    let channel = entry.who.channel.clone();
    let mut client = OpenRcaServiceClient::new(channel).max_decoding_message_size(REPORT_BYTES_MAX);
    let report_interval = prost_types::Duration::try_from(interval).ok();
    let asked = OrcaLoadReportRequest { report_interval, request_cost_names: Vec::new() };
    Ok(client.stream_core_metrics(asked).await?.into_inner())
}

/// What a worker serves, where it has one model and tells of it.
async fn model(entry: &Entry) -> Result<Option<v1::ModelDescription>, Status> {
    let channel = entry.who.channel.clone();
    let mut client = GenerationClient::new(channel).max_decoding_message_size(REPORT_BYTES_MAX);
    let mut places = client.describe(v1::DescribeRequest {}).await?.into_inner().places;
    let only = places.pop().filter(|_| places.is_empty());
    Ok(only.and_then(|place| place.model))
}

// === impl Granted ===

impl Granted {
    fn heard(&mut self, now: Instant) -> Duration {
        let Some(last_at) = self.last_at.replace(now) else { return INTERVAL_UNKNOWN };
        let gap = now.saturating_duration_since(last_at);
        // One that came early, from a buffer say, promises nothing.
        let interval = self.interval.map_or(gap, |interval| gap.max(interval / 2));
        *self.interval.insert(interval)
    }
}
