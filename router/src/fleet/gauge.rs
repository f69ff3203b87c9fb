//! What the fleet tells as metrics of the process: how far predictions were off, who was ejected.

use std::sync::LazyLock;

use mesh::telemetry::{About, Attribute, Counter, Histogram, Meter};
use policy::Name;

use super::breaker::Change;
use super::predict::Seen;

const ERROR: About = About {
    name: "causeway.prediction.error",
    unit: "1",
    description: "Difference of what was predicted from what was seen, as a share of what was seen.",
};
/// Bounds of relative errors.
const ERROR_BOUNDS: [f64; 12] = [0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0];

/// What was predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Seconds to the first token.
    FirstToken,
    /// Seconds for each later one.
    OutputToken,
}

static ERRORS: LazyLock<Option<Histogram>> =
    LazyLock::new(|| Some(Meter::of_process()?.histogram(ERROR, &ERROR_BOUNDS)));

/// Tells of one prediction in a tier.
pub(super) fn seen(tier: &Name, what: What, seen: Seen) {
    let Some(errors) = &*ERRORS else { return };
    let what = match what {
        What::FirstToken => "first_token",
        What::OutputToken => "output_token",
    };
    let tier = Attribute::new("causeway.tier", tier.to_string());
    errors.record(seen.error, &[tier, Attribute::new("causeway.predicted", what)]);
}

const CHANGES: About = About {
    name: "causeway.breaker.changes",
    unit: "{change}",
    description: "Times that a worker's breaker ejected it or took it back.",
};

static CHANGED: LazyLock<Option<Counter>> = LazyLock::new(|| Some(Meter::of_process()?.counter(CHANGES)));

/// Tells that a worker was ejected or taken back.
pub(super) fn changed(place: &Name, change: Change) {
    let Some(changes) = &*CHANGED else { return };
    let state = match change {
        Change::Ejected(..) => "ejected",
        Change::Back => "back",
    };
    let place = Attribute::new("causeway.place", place.to_string());
    changes.add(1, &[place, Attribute::new("causeway.breaker.state", state)]);
}
