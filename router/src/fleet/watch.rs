//! Keeps one stream of reports open per worker, and says when a worker cannot be reached.

use std::sync::Arc;
use std::time::Duration;

use proto::v1;
use proto::v1::fleet_client::FleetClient;
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Status, Streaming};

use super::entry::Entry;

/// Largest report taken, bytes: a model of a thousand experts needs a tenth of it.
const REPORT_BYTES_MAX: usize = 64 << 10;

/// A worker is silent when this many of its granted intervals have passed, if that is longer than the options say.
const INTERVALS_SILENT_MAX: u32 = 3;

/// How a worker is watched.
#[derive(Clone, Debug)]
pub(super) struct Watching {
    /// Between reports.
    pub(super) interval: Duration,
    /// For the stream to open, and between what arrives on it, before it is opened again.
    pub(super) silence_max: Duration,
    /// The first and the longest wait after a failure.
    pub(super) retry: (Duration, Duration),
}

/// Watches until dropped.
pub(super) async fn watch(entry: Arc<Entry>, watching: Watching, mut random: impl FnMut() -> f64) {
    let mut wait = watching.retry.0;
    loop {
        let before = Instant::now();
        let ended = reports(&entry, &watching).await;
        judge(&entry, &ended);
        // A stream that held for a while was no failure to connect.
        if before.elapsed() > watching.retry.1 {
            wait = watching.retry.0;
        }
        // Workers that fell together must not be called together.
        sleep(wait.mul_f64(0.5 + random().clamp(0.0, 1.0) * 0.5)).await;
        wait = (wait * 2).min(watching.retry.1);
    }
}

/// Takes reports until the stream ends, and says why it did.
async fn reports(entry: &Entry, watching: &Watching) -> Status {
    let silent = || Status::unavailable(format!("nothing was heard for {:?}", watching.silence_max));
    let mut stream = match timeout(watching.silence_max, open(entry, watching.interval)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(status)) => return status,
        Err(_) => return silent(),
    };
    let mut silence_max = watching.silence_max;
    loop {
        match timeout(silence_max, stream.message()).await {
            Ok(Ok(Some(report))) => {
                let granted = entry.hear(report, watching.interval, Instant::now());
                silence_max = watching.silence_max.max(granted * INTERVALS_SILENT_MAX);
            }
            Ok(Ok(None)) => return Status::unavailable("the worker ended the stream of its reports"),
            Ok(Err(status)) => return status,
            Err(_) => return silent(),
        }
    }
}

async fn open(entry: &Entry, interval: Duration) -> Result<Streaming<v1::Report>, Status> {
    let interval_ms = u32::try_from(interval.as_millis()).unwrap_or(u32::MAX);
    let mut client = FleetClient::new(entry.who.channel.clone()).max_decoding_message_size(REPORT_BYTES_MAX);
    Ok(client.watch_reports(v1::WatchReportsRequest { interval_ms }).await?.into_inner())
}

/// A worker that refuses to report is there all the same, and one whose own deadline for the stream passed will take
/// the next; any other end means that it may be gone.
fn judge(entry: &Entry, ended: &Status) {
    match ended.code() {
        Code::Unimplemented | Code::PermissionDenied | Code::Unauthenticated | Code::ResourceExhausted => {
            entry.reached();
        }
        Code::DeadlineExceeded => {}
        _ => entry.lost(ended.message()),
    }
}
