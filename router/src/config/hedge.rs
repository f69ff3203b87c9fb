//! When a second worker is asked beside one whose first token is late.

use mesh::config::Invalid;
use serde::{Deserialize, Serialize};

/// Hedges. The policy says of which classes (`hedge = true`); whichever of the two begins first has the answer, and the other
/// is cancelled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HedgeOptions {
    /// Second attempts for every hundred requests of those classes, over ten seconds.
    pub budget_percent: f64,
    /// No first token is late sooner than so many milliseconds after it was expected, however punctual the others are.
    pub delay_min_ms: u64,
}

// === impl HedgeOptions ===

impl Default for HedgeOptions {
    fn default() -> Self {
        Self { budget_percent: 5.0, delay_min_ms: 20 }
    }
}

impl HedgeOptions {
    pub(super) fn invalid(&self, found: &mut Vec<Invalid>) {
        let percent = (0.0..=100.0).contains(&self.budget_percent);
        let problem = "is not from 0 to 100";
        Invalid::unless(found, percent, "hedge.budget_percent", problem, "5 suits most");
        let problem = "is zero, so that every request would be made twice";
        Invalid::unless(found, self.delay_min_ms > 0, "hedge.delay_min_ms", problem, "20 suits most");
    }
}
