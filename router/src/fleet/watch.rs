//! Keeps one stream of reports open per worker, and says when a worker cannot be reached.

mod orca;
mod health;

use std::sync::Arc;
use std::time::Duration;

use proto::v1;
use proto::v1::fleet_client::FleetClient;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Status, Streaming};

use super::entry::Entry;
use crate::config::LoadSource;

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
    /// Told when a worker is lost.
    pub(super) lost: Arc<Notify>,
}

/// Watches until dropped.
pub(super) async fn watch(entry: Arc<Entry>, watching: Watching, random: impl FnMut() -> f64) {
    let health = health::watch(entry.clone(), watching.clone());
    tokio::join!(health, listen(entry, watching, random));
}

/// Listens to reports, whichever way they come.
async fn listen(entry: Arc<Entry>, watching: Watching, mut random: impl FnMut() -> f64) {
    let mut wait = watching.retry.0;
    loop {
        let before = Instant::now();
        let ended = match entry.who.load {
            LoadSource::Causeway => either(&entry, &watching).await,
            LoadSource::Orca => orca::reports(&entry, &watching).await,
        };
        if judge(&entry, &ended) {
            watching.lost.notify_waiters();
        }
        // A stream that held for a while was no failure to connect.
        if before.elapsed() > watching.retry.1 {
            wait = watching.retry.0;
        }
        // Workers that fell together must not be called together.
        sleep(wait.mul_f64(0.5 + random().clamp(0.0, 1.0) * 0.5)).await;
        wait = (wait * 2).min(watching.retry.1);
    }
}

/// Reports of this project's own, and by ORCA from a worker that does not have them.
async fn either(entry: &Entry, watching: &Watching) -> Status {
    let ended = reports(entry, watching).await;
    if ended.code() == Code::Unimplemented { orca::reports(entry, watching).await } else { ended }
}

/// Takes reports until the stream ends, and says why it did.
async fn reports(entry: &Entry, watching: &Watching) -> Status {
    let interval = watching.interval;
    let stream = watching.opened(open(entry, interval)).await;
    let take = |report| entry.hear(report, interval, Instant::now());
    match stream {
        Ok(stream) => watching.take(stream, take).await,
        Err(status) => status,
    }
}

async fn open(entry: &Entry, interval: Duration) -> Result<Streaming<v1::Report>, Status> {
    let interval_ms = u32::try_from(interval.as_millis()).unwrap_or(u32::MAX);
    let mut client = FleetClient::new(entry.who.channel.clone()).max_decoding_message_size(REPORT_BYTES_MAX);
    let (cache_id, changes_from) = entry.following();
    let wanted = v1::WatchReportsRequest { interval_ms, changes_from, cache_id };
    Ok(client.watch_reports(wanted).await?.into_inner())
}

// === impl Watching ===

impl Watching {
    /// What is asked for, if it comes in time.
    async fn opened<T>(&self, opening: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
        timeout(self.silence_max, opening).await.unwrap_or_else(|_| Err(self.silent()))
    }

    /// Gives every report to `take`, which says when the next is due, until the stream ends or is silent for too long.
    async fn take<T>(&self, mut stream: Streaming<T>, mut take: impl FnMut(T) -> Duration) -> Status {
        let mut silence_max = self.silence_max;
        loop {
            match timeout(silence_max, stream.message()).await {
                Ok(Ok(Some(report))) => {
                    silence_max = self.silence_max.max(take(report) * INTERVALS_SILENT_MAX);
                }
                Ok(Ok(None)) => return Status::unavailable("the worker ended the stream of its reports"),
                Ok(Err(status)) => return status,
                Err(_) => return self.silent(),
            }
        }
    }

    fn silent(&self) -> Status {
        Status::unavailable(format!("nothing was heard for {:?}", self.silence_max))
    }
}

/// A worker that refuses to report is there all the same, and one whose own deadline for the stream passed will take
/// the next; any other end means that it may be gone, which this returns.
fn judge(entry: &Entry, ended: &Status) -> bool {
    match ended.code() {
        Code::Unimplemented | Code::PermissionDenied | Code::Unauthenticated | Code::ResourceExhausted => {
            entry.reached();
        }
        Code::DeadlineExceeded => {}
        _ => {
            entry.lost(ended.message());
            return true;
        }
    }
    false
}
