//! What a worker tells its router of itself, at the interval granted.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use inference::Handle;
use proto::v1::{Report, WatchReportsRequest};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{MissedTickBehavior, interval};
use tonic::{Request, Response, Status};

use crate::{Error, config};

/// Serves reports to routers.
#[derive(Debug, Clone)]
pub(crate) struct Reports {
    options: config::Report,
    handle: Handle,
    running_max: usize,
    watchers: Arc<Semaphore>,
}

// === impl Reports ===

impl Reports {
    pub(crate) fn new(options: config::Report, handle: Handle, running_max: usize) -> Self {
        let watchers = Arc::new(Semaphore::new(options.watchers_max));
        Self { options, handle, running_max, watchers }
    }

    fn stream(
        self,
        interval_ms: u32,
        watcher: OwnedSemaphorePermit,
    ) -> impl Stream<Item = Result<Report, Status>> {
        async_stream::stream! {
            let _watcher = watcher;
            let mut ticks = interval(Duration::from_millis(u64::from(interval_ms)));
            // A watcher that was slow wants the newest report, not those it missed.
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut before = Vec::new();
            loop {
                ticks.tick().await;
                yield Ok(self.report(interval_ms, &mut before));
            }
        }
    }

    /// The load now; expert rows are those since the report before.
    fn report(&self, interval_ms: u32, before: &mut Vec<u64>) -> Report {
        let load = self.handle.load();
        before.resize(load.expert_load.len(), 0);
        let rows = load.expert_load.iter().zip(before.iter());
        let expert_rows = rows.map(|(now, then)| now.saturating_sub(*then)).collect();
        before.clone_from(&load.expert_load);
        Report {
            interval_ms,
            model: Some(inference::wire::model(self.handle.model())),
            running: count(load.running),
            waiting: count(load.waiting),
            queued_tokens: load.queued_tokens as u64,
            prefill_tokens_per_second: load.prefill_tokens_per_s as f32,
            seconds_per_output_token: load.seconds_per_token as f32,
            cache_tokens_used: load.kv_tokens_used as u64,
            cache_tokens_max: load.kv_tokens_max as u64,
            expert_rows,
            running_max: count(self.running_max),
            draining: false,
        }
    }
}

#[tonic::async_trait]
impl proto::v1::fleet_server::Fleet for Reports {
    type WatchReportsStream = Pin<Box<dyn Stream<Item = Result<Report, Status>> + Send>>;

    async fn watch_reports(
        &self,
        request: Request<WatchReportsRequest>,
    ) -> Result<Response<Self::WatchReportsStream>, Status> {
        let (min, max) = (self.options.interval_min_ms, self.options.interval_max_ms);
        let interval_ms = request.get_ref().interval_ms.clamp(min, max);
        let Ok(watcher) = self.watchers.clone().try_acquire_owned() else {
            return Err(Error::Watchers { max: self.options.watchers_max }.into());
        };
        Ok(Response::new(Box::pin(self.clone().stream(interval_ms, watcher))))
    }
}

fn count(requests: usize) -> u32 {
    u32::try_from(requests).unwrap_or(u32::MAX)
}
