//! What a worker tells its router of itself, at the interval granted.

mod orca;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use inference::{Counters, Handle, Load};
use proto::v1::{
    BatchTime, BlockChange, BlockStored, CacheReport, CacheSharing, Report, WatchReportsRequest, block_change,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval};
use tonic::{Request, Response, Status};

use self::orca::Answered;
use crate::{Error, config};

/// What the last report to a watcher said.
#[derive(Debug, Default)]
struct Told {
    expert_rows: Vec<u64>,
    expert_imbalance: f64,
    /// The number of the next change of the cache's blocks.
    changes: u64,
}

/// What is told of the cache beside what is in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept {
    /// Tells this cache from those before it.
    pub(crate) id: u64,
    /// Who may take over what.
    pub(crate) sharing: CacheSharing,
}

/// Serves reports to routers.
#[derive(Debug, Clone)]
pub(crate) struct Reports {
    options: config::Report,
    handle: Handle,
    running_max: usize,
    kept: Kept,
    watchers: Arc<Semaphore>,
    answered: Arc<Answered>,
    /// Becomes true when the worker ends: a watch would otherwise hold up its drain.
    ended: watch::Receiver<bool>,
}

// === impl Reports ===

impl Reports {
    /// Reports of an engine that runs at most `running_max` requests at once, until `ended` becomes true.
    pub(crate) fn new(
        options: config::Report,
        handle: Handle,
        (running_max, kept): (usize, Kept),
        ended: watch::Receiver<bool>,
    ) -> Self {
        let watchers = Arc::new(Semaphore::new(options.watchers_max.min(Semaphore::MAX_PERMITS)));
        Self { options, handle, running_max, kept, watchers, answered: Arc::default(), ended }
    }

    fn watcher(&self) -> Result<OwnedSemaphorePermit, Status> {
        let full = |_| Error::Watchers { max: self.options.watchers_max }.into();
        self.watchers.clone().try_acquire_owned().map_err(full)
    }

    /// What is told at once, then at the interval, and once more when the worker ends.
    fn stream<T: Send>(
        self,
        interval_ms: u32,
        watcher: OwnedSemaphorePermit,
        mut tell: impl FnMut(&Self, bool) -> T + Send,
    ) -> impl Stream<Item = Result<T, Status>> + Send {
        async_stream::stream! {
            let _watcher = watcher;
            let mut ticks = interval(Duration::from_millis(u64::from(interval_ms)));
            // A watcher that was slow wants the newest report, not those it missed.
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut ended = self.ended.clone();
            loop {
                let draining = tokio::select! {
                    _ = ended.wait_for(|ended| *ended) => true,
                    _ = ticks.tick() => false,
                };
                yield Ok(tell(&self, draining));
                if draining {
                    return;
                }
            }
        }
    }

    /// The load now; expert rows and changes of blocks are those since the report before.
    fn report(&self, interval_ms: u32, told: &mut Told) -> Report {
        let (load, work) = (self.handle.load(), self.handle.counters());
        let cache = self.cache(&load, &work, told);
        let expert_rows = told.expert_rows(&load);
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
            cache: Some(cache),
            batch_times: load.seconds_per_token_at.iter().map(batch_time).collect(),
            expert_imbalance: told.expert_imbalance as f32,
        }
    }

    fn cache(&self, load: &Load, work: &Counters, told: &mut Told) -> CacheReport {
        let news = self.handle.block_changes(told.changes, self.options.block_changes_max);
        // Nothing was known before the first report.
        let changes_missed = news.missed && told.changes > 0;
        told.changes = news.next;
        CacheReport {
            tokens_kept: load.kv_tokens_kept as u64,
            prompt_tokens: work.prompt_tokens,
            cached_prompt_tokens: work.cached_tokens,
            evictions: work.evictions,
            preemptions: work.preemptions,
            block_tokens: count(load.kv_block_tokens),
            changes: news.changes.iter().map(change).collect(),
            changes_missed,
            changes_next: news.next,
            cache_id: self.kept.id,
            sharing: self.kept.sharing.into(),
        }
    }
}

// === impl Told ===

impl Told {
    /// Rows of each expert since the report before.
    fn expert_rows(&mut self, load: &Load) -> Vec<u64> {
        self.expert_rows.resize(load.expert_load.len(), 0);
        let rows = load.expert_load.iter().zip(self.expert_rows.iter());
        let expert_rows: Vec<u64> = rows.map(|(now, then)| now.saturating_sub(*then)).collect();
        if expert_rows.iter().any(|rows| *rows > 0) {
            self.expert_imbalance = inference::imbalance(&expert_rows);
        }
        self.expert_rows.clone_from(&load.expert_load);
        expert_rows
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
        let asked = request.get_ref();
        let interval_ms = asked.interval_ms.clamp(min, max);
        // What was told of another cache says nothing of this one.
        let changes = if asked.cache_id == self.kept.id { asked.changes_from } else { 0 };
        let watcher = self.watcher()?;
        let mut told = Told { changes, ..Told::default() };
        let tell = move |this: &Self, draining| Report { draining, ..this.report(interval_ms, &mut told) };
        Ok(Response::new(Box::pin(self.clone().stream(interval_ms, watcher, tell))))
    }
}

fn batch_time((requests, seconds): &(usize, f64)) -> BatchTime {
    BatchTime { requests: count(*requests), seconds_per_output_token: *seconds as f32 }
}

fn change(change: &inference::BlockChange) -> BlockChange {
    let change = match *change {
        inference::BlockChange::Stored { block, after, .. } => {
            block_change::Change::Stored(BlockStored { block, after })
        }
        inference::BlockChange::Removed { block } => block_change::Change::Removed(block),
    };
    BlockChange { change: Some(change) }
}

fn count(requests: usize) -> u32 {
    u32::try_from(requests).unwrap_or(u32::MAX)
}
