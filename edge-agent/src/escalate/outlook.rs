//! What the upstream expects of its tiers, and for how long it is believed.

use std::time::Duration;

use arc_swap::ArcSwapOption;
use mesh::connect::{Channel, ConnectOptions};
use policy::{Candidate, Latency, Load, Name, Price, Vector};
use proto::v1;
use proto::v1::prospect_client::ProspectClient;
use tokio::time::{Instant, sleep, timeout};
use tonic::Status;

use super::PUSHBACK_MAX;
use crate::config::UpstreamOptions;

/// What one outlook may hold, bytes.
const OUTLOOK_BYTES_MAX: usize = 1 << 18;

/// The last outlook.
#[derive(Debug)]
pub(crate) struct Outlook {
    heard: ArcSwapOption<Heard>,
    interval_ms: u32,
    stale_after: Duration,
    pause_min: Duration,
    pause_max: Duration,
}

#[derive(Debug)]
struct Heard {
    outlook: v1::Outlook,
    network: Duration,
    believed_until: Instant,
}

// === impl Outlook ===

impl Outlook {
    /// Nothing heard yet.
    pub(crate) fn new(options: &UpstreamOptions, connect: &ConnectOptions) -> Self {
        Self {
            heard: ArcSwapOption::empty(),
            interval_ms: options.outlook_interval_ms,
            stale_after: Duration::from_millis(options.stale_after_ms),
            pause_min: Duration::from_millis(connect.reconnect_min_ms),
            pause_max: Duration::from_millis(connect.reconnect_max_ms),
        }
    }

    /// Listens for ever, telling `quiet` for how long the upstream asks to be left alone, and after each failure again, with a pause that doubles while nothing is heard.
    pub(crate) async fn watch(&self, channel: Channel, quiet: impl Fn(Duration)) -> std::convert::Infallible {
        let mut pause = self.pause_min;
        loop {
            let begun = Instant::now();
            let status = self.listen(channel.clone(), &quiet).await;
            let heard_something =
                self.heard.load().as_ref().is_some_and(|heard| heard.believed_until > begun);
            tracing::debug!(address = %channel.address(), reason = status.message(), "the outlook ended");
            // Whoever was heard since is well; whoever was not is asked more and more seldom.
            pause = if heard_something { self.pause_min } else { (pause * 2).min(self.pause_max) };
            // Where it cannot be reached the channel keeps its own pauses, which need not be waited for twice.
            sleep(channel.retry_in().unwrap_or(pause)).await;
        }
    }

    /// One stream of outlooks, to its end.
    async fn listen(&self, channel: Channel, quiet: &impl Fn(Duration)) -> Status {
        if let Err(status) = channel.connect().await {
            return status;
        }
        let asked = Instant::now();
        let mut client = ProspectClient::new(channel).max_decoding_message_size(OUTLOOK_BYTES_MAX);
        let request = v1::WatchOutlookRequest { interval_ms: self.interval_ms };
        let mut outlooks = match client.watch_outlook(request).await {
            Ok(response) => response.into_inner(),
            Err(status) => return status,
        };
        // The headers come at once: this is the way there and back.
        let network = asked.elapsed();
        let mut patience = self.stale_after;
        loop {
            // A stream that says nothing for so long is opened anew.
            match timeout(patience, outlooks.message()).await {
                Ok(Ok(Some(outlook))) => {
                    let pushback = Duration::from_millis(outlook.pushback_ms.into()).min(PUSHBACK_MAX);
                    patience = self.hear(outlook, network);
                    if !pushback.is_zero() {
                        quiet(pushback);
                    }
                }
                Ok(Ok(None)) => return Status::unavailable("the upstream ended it"),
                Ok(Err(status)) => return status,
                Err(_) => return Status::unavailable("the upstream fell silent"),
            }
        }
    }

    /// Keeps an outlook; the time for which it is believed.
    fn hear(&self, outlook: v1::Outlook, network: Duration) -> Duration {
        let granted = Duration::from_millis(outlook.interval_ms.into());
        let believed = self.stale_after.max(granted * 2);
        let heard = Heard { outlook, network, believed_until: Instant::now() + believed };
        self.heard.store(Some(heard.into()));
        believed
    }

    /// A candidate with what the outlook says of its tier. Without a fresh one all of it stays unknown, which is
    /// costed conservatively. A tier that reaches the region in which the data must stay is one of that region: the
    /// upstream holds the same constraint against each worker.
    pub(crate) fn inform(&self, candidate: Candidate, residency: Option<&Name>) -> Candidate {
        let heard = self.heard.load();
        let now = Instant::now();
        match heard.as_ref().filter(|heard| heard.believed_until > now) {
            None => candidate,
            Some(heard) => {
                match heard.outlook.tiers.iter().find(|tier| tier.tier == candidate.tier.as_str()) {
                    Some(tier) => Candidate {
                        healthy: tier.workers > 0,
                        region: region(tier, residency),
                        ..told(candidate, tier, heard.network)
                    },
                    // An upstream names the tiers that it has.
                    None => Candidate { healthy: false, ..candidate },
                }
            }
        }
    }
}

fn told(candidate: Candidate, tier: &v1::TierOutlook, network: Duration) -> Candidate {
    let latency = Latency {
        queue_seconds: tier.queue_seconds.into(),
        network_seconds: network.as_secs_f64(),
        prefill_seconds_per_token: tier.prefill_seconds_per_token.into(),
        seconds_per_output_token: tier.seconds_per_output_token.into(),
    };
    let price = Price {
        input_usd_per_million_tokens: tier.input_usd_per_million_tokens,
        cached_input_usd_per_million_tokens: tier.cached_input_usd_per_million_tokens,
        output_usd_per_million_tokens: tier.output_usd_per_million_tokens,
    };
    Candidate {
        latency: latency.is_sound().then_some(latency),
        // The queue of the tier's best worker is told in seconds; what makes it up is the router's to know.
        load: latency.is_sound().then(Load::default),
        price: price.is_sound().then_some(price),
        ability: (!tier.ability.is_empty()).then(|| Vector::new(&tier.ability)),
        context_tokens_max: (tier.context_tokens_max > 0).then_some(tier.context_tokens_max),
        ..candidate
    }
}

/// The region in which the tier would compute this; of several that do not matter it is not known which.
fn region(tier: &v1::TierOutlook, residency: Option<&Name>) -> Option<Name> {
    match tier.regions.as_slice() {
        [region] => Some(region.as_str().into()),
        regions => residency.filter(|wanted| regions.iter().any(|region| region == wanted.as_str())).cloned(),
    }
}

#[cfg(test)]
mod tests;
