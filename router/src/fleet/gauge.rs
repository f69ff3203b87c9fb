//! How far predictions were off, as a metric of the process.

use std::sync::LazyLock;

use mesh::telemetry::{About, Attribute, Histogram, Meter};
use policy::Name;

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
