//! What agents should expect of each tier: prices, abilities, and the times of its best worker.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_stream::stream;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use hop::Desk;
use policy::{Candidate, Facts, Latency, Rules, Tier};
use proto::v1;
use proto::v1::prospect_server::Prospect;
use tokio::sync::{Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval};
use tonic::{Request, Response, Status};

use crate::config::OutlookOptions;
use crate::error::Error;
use crate::fleet::prefix::Prompt;
use crate::fleet::{Ask, Fleet, Wanted};
use crate::predict::Work;

/// The longest interval that is granted.
const INTERVAL_MAX: Duration = Duration::from_secs(10);
/// The request by which the workers of a tier are compared: tokens of prompt and of answer.
const TYPICAL: Work = Work { prompt_tokens: 64, cached_tokens: 0, output_tokens: 64.0 };
/// What stands for a time that is not known. No zero: what is not known is costed conservatively.
const UNKNOWN: f32 = f32::NAN;

/// Serves outlooks to a bounded number of agents.
#[derive(Clone, Debug)]
pub(crate) struct Outlooks {
    fleet: Arc<Fleet>,
    desk: Desk,
    interval_min: Duration,
    watchers: Arc<Semaphore>,
    watchers_max: usize,
    /// Becomes true when the router ends: a watch would otherwise hold up its drain.
    ended: watch::Receiver<bool>,
}

// === impl Outlooks ===

impl Outlooks {
    /// Outlooks of a fleet under its policy, until `ended` becomes true.
    pub(crate) fn new(
        options: &OutlookOptions,
        fleet: Arc<Fleet>,
        desk: Desk,
        ended: watch::Receiver<bool>,
    ) -> Self {
        let watchers_max = options.watchers_max.min(Semaphore::MAX_PERMITS);
        let interval_min = Duration::from_millis(options.interval_ms.into());
        let watchers = Arc::new(Semaphore::new(watchers_max));
        Self { fleet, desk, interval_min, watchers, watchers_max, ended }
    }

    fn granted(&self, wanted_ms: u32) -> Duration {
        Duration::from_millis(wanted_ms.into()).clamp(self.interval_min, INTERVAL_MAX.max(self.interval_min))
    }

    fn now(&self, granted: Duration) -> v1::Outlook {
        let rules = self.desk.live();
        let typical = typical(&rules);
        let (lanes, tokens) = (self.fleet.lanes(), typical.work.tokens() as f64);
        let mut candidates = self.fleet.offer_all(&typical).candidates;
        self.fleet.inform(&mut candidates, &lanes.asker(&Facts::default(), tokens, None), None);
        v1::Outlook {
            interval_ms: u32::try_from(granted.as_millis()).unwrap_or(u32::MAX),
            tiers: tiers(&rules, &candidates),
            pushback_ms: lanes.pushback_ms(tokens),
        }
    }
}

#[tonic::async_trait]
impl Prospect for Outlooks {
    type WatchOutlookStream = BoxStream<'static, Result<v1::Outlook, Status>>;

    async fn watch_outlook(
        &self,
        request: Request<v1::WatchOutlookRequest>,
    ) -> Result<Response<Self::WatchOutlookStream>, Status> {
        let full = |_| Error::OutlookFull { watchers_max: self.watchers_max }.status();
        let permit = self.watchers.clone().try_acquire_owned().map_err(full)?;
        let granted = self.granted(request.into_inner().interval_ms);
        let outlooks = self.clone();
        let stream = stream! {
            let _permit = permit;
            let mut ended = outlooks.ended.clone();
            let mut ticks = interval(granted);
            // After a pause the newest outlook is worth more than all that were missed.
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = ended.wait_for(|ended| *ended) => return,
                    _ = ticks.tick() => {}
                }
                yield Ok(outlooks.now(granted));
            }
        };
        Ok(Response::new(stream.boxed()))
    }
}

fn typical(rules: &Rules) -> Ask<'_> {
    const NOTHING: &Prompt = &Prompt::NONE;
    Ask { rules, work: TYPICAL, prompt: NOTHING, wanted: Wanted::default(), seed: 0 }
}

/// The tiers that have workers, in the order of the policy.
fn tiers(rules: &Rules, candidates: &[Candidate]) -> Vec<v1::TierOutlook> {
    let tier = |tier: &Tier| {
        let workers: Vec<_> = candidates.iter().filter(|candidate| candidate.tier == tier.name).collect();
        (!workers.is_empty()).then(|| outlook(tier, &workers))
    };
    rules.tiers().iter().filter_map(tier).collect()
}

fn outlook(tier: &Tier, workers: &[&Candidate]) -> v1::TierOutlook {
    let able: Vec<_> = workers.iter().filter(|worker| worker.healthy).collect();
    let timed = able.iter().filter_map(|worker| Some((*worker, worker.latency?)));
    let best = timed.min_by(|(_, a), (_, b)| typical_seconds(a).total_cmp(&typical_seconds(b)));
    let contexts = able.iter().filter_map(|worker| worker.context_tokens_max);
    let regions: BTreeSet<String> = match tier.regions.as_slice() {
        [] => able.iter().filter_map(|worker| worker.region.as_ref()).map(ToString::to_string).collect(),
        regions => regions.iter().map(ToString::to_string).collect(),
    };
    let time = |of: fn(&Latency) -> f64| best.as_ref().map_or(UNKNOWN, |(_, latency)| of(latency) as f32);
    v1::TierOutlook {
        tier: tier.name.to_string(),
        input_usd_per_million_tokens: tier.price.input_usd_per_million_tokens,
        cached_input_usd_per_million_tokens: tier.price.cached_input_usd_per_million_tokens,
        output_usd_per_million_tokens: tier.price.output_usd_per_million_tokens,
        queue_seconds: time(|latency| latency.queue_seconds + latency.network_seconds),
        prefill_seconds_per_token: time(|latency| latency.prefill_seconds_per_token),
        seconds_per_output_token: time(|latency| latency.seconds_per_output_token),
        ability: tier.abilities.map(|abilities| abilities.as_slice().to_vec()).unwrap_or_default(),
        context_tokens_max: contexts.max().or(tier.context_tokens_max).unwrap_or_default(),
        regions: regions.into_iter().collect(),
        workers: u32::try_from(able.len()).unwrap_or(u32::MAX),
    }
}

fn typical_seconds(latency: &Latency) -> f64 {
    let (prompt, answer) = (f64::from(TYPICAL.prompt_tokens), TYPICAL.output_tokens);
    latency.queue_seconds
        + latency.network_seconds
        + prompt * latency.prefill_seconds_per_token
        + answer * latency.seconds_per_output_token
}
