//! What is told of those who wait and of those who were not let in, by tier, class and reason.

use std::sync::{Arc, LazyLock, Weak};

use mesh::telemetry::{About, Attribute, Counter, Meter, Observed};
use policy::{Name, Priority};

use super::lane::Level;
use super::lanes::Lanes;
use super::refusal::Refusal;

const TOKENS: About = About {
    name: "causeway.queue.tokens",
    unit: "{token}",
    description: "Tokens that the requests which wait for a tier are expected to take.",
};
const AGE: About = About {
    name: "causeway.queue.age",
    unit: "s",
    description: "Time since the first of the requests that wait for a tier came.",
};
const REJECTED: About = About {
    name: "causeway.queue.rejected",
    unit: "{request}",
    description: "Requests that were not let in, by the reason.",
};
const LIMIT: About = About {
    name: "causeway.worker.limit",
    unit: "{request}",
    description: "Requests that a worker is sent at once.",
};
/// What stands for every tier.
const ANY: &str = "-";

static REFUSALS: LazyLock<Option<Counter>> = LazyLock::new(|| Some(Meter::of_process()?.counter(REJECTED)));

/// Tells of one that was not let in.
pub(crate) fn refused(refusal: &Refusal, priority: Priority) {
    let Some(refusals) = &*REFUSALS else { return };
    let tier = refusal.tier.as_ref().map_or(ANY, Name::as_str).to_owned();
    let why = Attribute::new("causeway.reason", refusal.why.code());
    refusals.add(1, &[why, Attribute::new("causeway.tier", tier), class(priority)]);
}

/// Tells of the lanes and of the workers' limits from now on, for as long as there are the lanes.
pub(crate) fn watch(lanes: &Arc<Lanes>, limits: impl Fn() -> Vec<(Name, u32)> + Send + Sync + 'static) {
    let Some(meter) = Meter::of_process() else { return };
    meter.levels(TOKENS, levels(lanes, |level| level.tokens as f64));
    meter.levels(AGE, levels(lanes, |level| level.age_seconds));
    meter.levels(LIMIT, move || {
        let limit = |(place, limit): (Name, u32)| {
            (f64::from(limit), vec![Attribute::new("causeway.place", place.to_string())])
        };
        limits().into_iter().map(limit).collect()
    });
}

fn levels(lanes: &Arc<Lanes>, of: fn(&Level) -> f64) -> impl Fn() -> Observed<f64> + Send + Sync + use<> {
    let lanes: Weak<Lanes> = Arc::downgrade(lanes);
    move || {
        let lanes = lanes.upgrade().map(|lanes| lanes.all()).unwrap_or_default();
        let of_lane = |lane: &Arc<super::Lane>| {
            let tier = lane.tier().to_string();
            let levels = lane.levels();
            Priority::ALL.map(|(_, priority)| {
                let level = &levels[super::queue::class_of(priority)];
                (of(level), vec![Attribute::new("causeway.tier", tier.clone()), class(priority)])
            })
        };
        lanes.iter().flat_map(of_lane).collect()
    }
}

fn class(priority: Priority) -> Attribute {
    Attribute::new("causeway.priority", priority.name())
}
