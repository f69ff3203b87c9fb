//! Where the shadow would have chosen otherwise: counted by class and tiers, told now and then.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Kinds of difference that are counted apart.
const KINDS_MAX: usize = 4_096;
/// Between two log lines.
const TOLD_INTERVAL: Duration = Duration::from_secs(1);
/// What stands for no place.
const NOWHERE: &str = "-";

/// A kind of difference and how often it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The class, as the rules in force have it.
    pub class: String,
    /// The tier that was chosen; `-`: none remained.
    pub from: String,
    /// The tier that the shadow would have chosen; `-`: none remained.
    pub to: String,
    /// How often.
    pub count: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Differences {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    decided: u64,
    different: u64,
    kinds: BTreeMap<[Box<str>; 3], u64>,
    told: Option<Instant>,
}

// === impl Differences ===

impl Differences {
    pub(super) fn note(&self, class: &str, from: Option<&str>, to: Option<&str>) {
        let mut seen = self.seen.lock();
        seen.decided += 1;
        if from == to {
            return;
        }
        seen.different += 1;
        let (from, to) = (from.unwrap_or(NOWHERE), to.unwrap_or(NOWHERE));
        let kind = [class.into(), from.into(), to.into()];
        if seen.kinds.len() < KINDS_MAX || seen.kinds.contains_key(&kind) {
            *seen.kinds.entry(kind).or_default() += 1;
        }
        let now = Instant::now();
        if seen.told.is_none_or(|told| now.duration_since(told) >= TOLD_INTERVAL) {
            seen.told = Some(now);
            let Seen { decided, different, .. } = *seen;
            drop(seen);
            tracing::info!(class, from, to, different, decided, "the shadow policy would choose otherwise");
        }
    }

    /// Decisions in all, and where they differed.
    pub(super) fn report(&self) -> (u64, Vec<Difference>) {
        let seen = self.seen.lock();
        let difference = |([class, from, to], count): (&[Box<str>; 3], &u64)| Difference {
            class: class.to_string(),
            from: from.to_string(),
            to: to.to_string(),
            count: *count,
        };
        (seen.decided, seen.kinds.iter().map(difference).collect())
    }
}
