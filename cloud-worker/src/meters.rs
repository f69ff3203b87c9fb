//! What a worker measures of its engine, read whenever metrics are sent.

use inference::Handle;
use mesh::telemetry::{About, Attribute, Meter, Observed};

const REQUESTS: About = about("causeway.worker.requests", "{request}", "Requests, running or waiting.");
const CACHE_TOKENS: About =
    about("causeway.worker.cache.tokens", "{token}", "Room in the key and value cache: used, kept or free.");
const PROMPT_TOKENS: About = about(
    "causeway.worker.prompt_tokens",
    "{token}",
    "Prompt tokens, computed or taken over from the cache.",
);
const EVICTIONS: About =
    about("causeway.worker.cache.evictions", "{block}", "Blocks of the cache given up for others.");
const PREEMPTIONS: About = about(
    "causeway.worker.preemptions",
    "{preemption}",
    "Times that a request lost its blocks to others and had to wait.",
);
const PREFILL_RATE: About =
    about("causeway.worker.prefill_rate", "{token}/s", "Prompt tokens computed per second, smoothed.");
const TOKEN_SECONDS: About = about(
    "causeway.worker.time_per_output_token",
    "s",
    "Time per output token, smoothed, by the requests computed at a time: so many up to twice as many.",
);
const IMBALANCE: About = about(
    "causeway.worker.expert.imbalance",
    "1",
    "The busiest expert's rows over the mean of all since the start.",
);

const fn about(name: &'static str, unit: &'static str, description: &'static str) -> About {
    About { name, unit, description }
}

/// Tells of an engine from now on, where somebody listens.
pub(crate) fn watch(handle: &Handle) {
    let Some(meter) = Meter::of_process() else { return };
    let counts = |about: About, of: fn(&Handle) -> Observed<u64>| {
        let handle = handle.clone();
        meter.counts(about, move || of(&handle));
    };
    counts(PROMPT_TOKENS, |handle| {
        let work = handle.counters();
        let computed = work.prompt_tokens.saturating_sub(work.cached_tokens);
        [("cached", work.cached_tokens), ("computed", computed)].map(by("result")).into()
    });
    counts(EVICTIONS, |handle| vec![(handle.counters().evictions, Vec::new())]);
    counts(PREEMPTIONS, |handle| vec![(handle.counters().preemptions, Vec::new())]);
    let levels = |about: About, of: fn(&Handle) -> Observed<f64>| {
        let handle = handle.clone();
        meter.levels(about, move || of(&handle));
    };
    levels(REQUESTS, |handle| {
        let load = handle.load();
        [("running", load.running as f64), ("waiting", load.waiting as f64)].map(by("state")).into()
    });
    levels(CACHE_TOKENS, |handle| {
        let load = handle.load();
        let (used, kept) = (load.kv_tokens_used, load.kv_tokens_kept);
        let free = load.kv_tokens_max.saturating_sub(used + kept);
        [("used", used as f64), ("kept", kept as f64), ("free", free as f64)].map(by("state")).into()
    });
    levels(PREFILL_RATE, |handle| vec![(handle.load().prefill_tokens_per_s, Vec::new())]);
    levels(TOKEN_SECONDS, |handle| {
        let times = handle.load().seconds_per_token_at.into_iter();
        times
            .map(|(requests, seconds)| (seconds, vec![Attribute::new("requests", requests.to_string())]))
            .collect()
    });
    levels(IMBALANCE, |handle| vec![(handle.load().expert_imbalance(), Vec::new())]);
}

/// A value of one kind among others.
fn by<T>(key: &'static str) -> impl Fn((&'static str, T)) -> (T, Vec<Attribute>) {
    move |(kind, value)| (value, vec![Attribute::new(key, kind)])
}
