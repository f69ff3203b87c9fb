//! That a request cannot wait any more, why, and when it may be asked again.

use std::fmt;
use std::time::Duration;

use policy::{Name, Priority};

use super::gauge;

/// Callers are not asked to come back sooner.
const PUSHBACK_MIN: Duration = Duration::from_millis(100);
/// Nor are they sent away for longer.
const PUSHBACK_MAX: Duration = Duration::from_secs(60);

/// A request that was not let in.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// Why.
    pub why: Why,
    /// The tier that it wanted; `None`: all are alike.
    pub tier: Option<Name>,
    /// Tokens that wait for the tier.
    pub queued_tokens: u64,
    /// When there may be room.
    pub pushback: Duration,
}

/// Why a request was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// As much waits as may.
    Full,
    /// It waited, and had to leave for others.
    Shed,
    /// It could not be answered in its time.
    Deadline,
    /// It waited, and its turn did not come in time.
    Expired,
}

// === impl Refusal ===

impl Refusal {
    /// With a pushback in its bounds, of what waits for this tier.
    pub(super) fn new(why: Why, tier: Option<Name>, (queued_tokens, wait): (u64, Duration)) -> Self {
        Self { why, tier, queued_tokens, pushback: wait.clamp(PUSHBACK_MIN, PUSHBACK_MAX) }
    }

    /// The same with up to a quarter more or less to wait, by the request: those who were sent away together must not come
    /// back together.
    pub(crate) fn spread(self, seed: u64) -> Self {
        let lot = (seed % 1024) as f64 / 1024.0;
        let pushback = self.pushback.mul_f64(0.75 + lot / 2.0).clamp(PUSHBACK_MIN, PUSHBACK_MAX);
        Self { pushback, ..self }
    }

    /// The same, counted for a request of this priority.
    pub(crate) fn told(self, priority: Priority) -> Self {
        gauge::refused(&self, priority);
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { why, tier, queued_tokens, .. } = self;
        let of = tier.as_ref().map_or("every tier", Name::as_str);
        match why {
            Why::Full => {
                write!(f, "{of} is full: requests of {queued_tokens} tokens wait, which is the most")
            }
            Why::Shed => write!(f, "{of} is full, and this request had to leave its queue for others"),
            Why::Deadline => write!(f, "{of} is full, and could not answer before the deadline"),
            Why::Expired => write!(f, "{of} is full, and the turn of this request did not come in time"),
        }
    }
}

// === impl Why ===

impl Why {
    /// Its name on the wire and in metrics.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Shed => "shed",
            Self::Deadline => "deadline",
            Self::Expired => "expired",
        }
    }
}
