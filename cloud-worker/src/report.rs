//! What a worker tells its router of itself, at the interval granted.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use inference::Handle;
use proto::v1::{Report, WatchReportsRequest};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
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
    /// Becomes true when the worker ends: a watch would otherwise hold up its drain.
    ended: watch::Receiver<bool>,
}

// === impl Reports ===

impl Reports {
    /// Reports of an engine that runs at most `running_max` requests at once, until `ended` becomes true.
    pub(crate) fn new(
        options: config::Report,
        handle: Handle,
        running_max: usize,
        ended: watch::Receiver<bool>,
    ) -> Self {
        let watchers = Arc::new(Semaphore::new(options.watchers_max.min(Semaphore::MAX_PERMITS)));
        Self { options, handle, running_max, watchers, ended }
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
            let mut ended = self.ended.clone();
            let mut before = Vec::new();
            loop {
                let draining = tokio::select! {
                    _ = ended.wait_for(|ended| *ended) => true,
                    _ = ticks.tick() => false,
                };
                yield Ok(Report { draining, ..self.report(interval_ms, &mut before) });
                if draining {
                    return;
                }
            }
        }
    }

    /// The load now; expert rows are those since the report before.
    fn report(&self, interval_ms: u32, before: &mut Vec<u64>) -> Report {
        let (load, work) = (self.handle.load(), self.handle.counters());
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
            output_tokens: work.output_tokens,
            cancelled: work.cancelled,
            tokens_after_cancel: work.tokens_after_cancel,
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
