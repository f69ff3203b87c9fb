//! Holds a call to its deadline, from its headers to the last byte of its body.

mod layer;
mod body;
#[cfg(test)]
mod tests;

use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;
use tonic::Status;

pub use self::body::Bounded;
pub use self::layer::{DeadlineFuture, DeadlineLayer, DeadlineService};

/// The header that carries the time left.
pub const GRPC_TIMEOUT: &str = "grpc-timeout";

/// More digits are malformed, says the gRPC specification.
const DIGITS_MAX: usize = 8;

/// The moment at which a call ends, whatever it has reached; an extension of every request that passes
/// [`DeadlineLayer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

/// A `grpc-timeout` that no client should have sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("header `grpc-timeout` is malformed: {problem}; send 1 to 8 digits and one of H M S m u n")]
pub struct Malformed {
    problem: &'static str,
}

// === impl Deadline ===

impl Deadline {
    /// A deadline at a moment.
    #[must_use]
    pub fn at(moment: Instant) -> Self {
        Deadline(moment)
    }

    /// A deadline this long from now.
    #[must_use]
    pub fn within(time: Duration) -> Self {
        let now = Instant::now();
        // Longer than the clock can count is as good as a year.
        Deadline(now.checked_add(time).unwrap_or(now + Duration::from_secs(365 * 24 * 3600)))
    }

    /// The deadline of a request that passed [`DeadlineLayer`].
    #[must_use]
    pub fn of<T>(request: &tonic::Request<T>) -> Option<Self> {
        request.extensions().get().copied()
    }

    /// The moment itself.
    #[must_use]
    pub fn instant(self) -> Instant {
        self.0
    }

    /// Time left; zero once it has passed.
    #[must_use]
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether it has passed.
    #[must_use]
    pub fn is_past(self) -> bool {
        self.remaining().is_zero()
    }

    /// The earlier of two deadlines.
    #[must_use]
    pub fn earlier(self, other: Deadline) -> Self {
        self.min(other)
    }
}

/// Reads the time that a caller allows.
///
/// Zero is allowed and means that no time is left.
///
/// # Errors
/// Text that the gRPC specification does not allow, or several headers.
pub fn parse_grpc_timeout(headers: &HeaderMap) -> Result<Option<Duration>, Malformed> {
    let refuse = |problem| Err(Malformed { problem });
    let mut given = headers.get_all(GRPC_TIMEOUT).iter();
    let Some(value) = given.next() else { return Ok(None) };
    if given.next().is_some() {
        return refuse("it is given more than once");
    }
    let Some((unit, digits)) = value.as_bytes().split_last() else { return refuse("it is empty") };
    if digits.is_empty() || digits.len() > DIGITS_MAX {
        return refuse("the number does not have 1 to 8 digits");
    }
    if !digits.iter().all(u8::is_ascii_digit) {
        return refuse("the number has something other than digits");
    }
    let count = digits.iter().fold(0_u64, |count, digit| count * 10 + u64::from(digit - b'0'));
    match unit {
        b'H' => Ok(Some(Duration::from_secs(count * 3600))),
        b'M' => Ok(Some(Duration::from_secs(count * 60))),
        b'S' => Ok(Some(Duration::from_secs(count))),
        b'm' => Ok(Some(Duration::from_millis(count))),
        b'u' => Ok(Some(Duration::from_micros(count))),
        b'n' => Ok(Some(Duration::from_nanos(count))),
        _ => refuse("the unit is unknown"),
    }
}

/// Tells the next hop how much time is left: what this call may still use, counted now.
pub fn propagate<T>(request: &mut tonic::Request<T>, deadline: Deadline) {
    request.set_timeout(deadline.remaining());
}

/// The status of a call whose time is up.
#[must_use]
pub fn exceeded() -> Status {
    Status::deadline_exceeded("the deadline of the call passed before it was done")
}
