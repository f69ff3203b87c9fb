//! How many workers a router weighs for one request.

use mesh::config::Invalid;
use serde::{Deserialize, Serialize};

/// No decision weighs more.
const WEIGHED_MAX: usize = 4096;

/// How many workers are weighed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PickOptions {
    /// A fleet of so many workers is weighed whole; of a larger one, some are drawn.
    pub full_max: usize,
    /// Workers that are drawn by chance.
    pub drawn: usize,
    /// Workers beside them that were best when last weighed.
    pub leaders: usize,
    /// Workers beside them that hold the most of the prompt.
    pub named: usize,
}

// === impl PickOptions ===

impl Default for PickOptions {
    fn default() -> Self {
        Self { full_max: 128, drawn: 12, leaders: 12, named: 4 }
    }
}

impl PickOptions {
    /// What makes it unusable, its keys within `table`.
    pub(super) fn invalid(&self, table: &str, found: &mut Vec<Invalid>) {
        let mut rule = |value: usize, least: usize, key: &str, mend: &str| {
            let problem = format!("is not from {least} to {WEIGHED_MAX}");
            let holds = (least..=WEIGHED_MAX).contains(&value);
            Invalid::unless(found, holds, &format!("{table}.{key}"), &problem, mend);
        };
        rule(self.full_max, 1, "full_max", "128 suits most");
        rule(self.drawn, 2, "drawn", "12 suits most");
        rule(self.leaders, 0, "leaders", "12 suits most");
        rule(self.named, 0, "named", "4 suits most");
    }
}
