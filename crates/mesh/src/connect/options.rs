//! How a channel connects and what it allows its peer, with the reason of each bound.

use serde::{Deserialize, Serialize};

use crate::config::Invalid;

/// Settings of a [`super::Channel`]. Sizes are in bytes, times in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConnectOptions {
    /// Time to resolve, connect, and finish TLS.
    pub connect_timeout_ms: u64,
    /// The DNS name that the peer's certificate must have, such as `worker.causeway`; unset, the address's host.
    pub server_name: Option<String>,
    /// Unread bytes of one response body. This and the number of calls bound the memory of slow readers.
    pub stream_window_bytes: u32,
    /// Messages of one answer, bytes, that are taken in while its reader does not ask for them; past that the answer
    /// alone is given up.
    pub unread_bytes_max: usize,
    /// Unread bytes of all response bodies. It is far larger than those can be, for two reasons: readers that have
    /// stopped would otherwise use it up and stop the others, and h2 closes a connection whose small unread frames
    /// cost it more than half of this, counted as 256 bytes less their length for each. Tokens are such frames.
    pub connection_window_bytes: u32,
    /// Header names and values of one response.
    pub max_header_list_size: u32,
    /// Time without a sign of life after which the peer is asked for one.
    pub keepalive_interval_ms: u64,
    /// Time that the answer may take before the connection is given up.
    pub keepalive_timeout_ms: u64,
    /// Whether a peer is also asked while no call is in flight; a device on a battery switches it off.
    pub keepalive_while_idle: bool,
    /// Pause after the first failed attempt; it doubles with each further one, give or take a fifth by chance, so
    /// that the callers of a restarted peer do not come back all at once.
    pub reconnect_min_ms: u64,
    /// The longest pause.
    pub reconnect_max_ms: u64,
    /// Calls at once; further ones fail with RESOURCE_EXHAUSTED.
    pub in_flight_max: usize,
    /// Start of the random numbers for the pauses; unset, each channel draws its own.
    pub jitter_seed: Option<u64>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        ConnectOptions {
            connect_timeout_ms: 2_000,
            server_name: None,
            stream_window_bytes: 64 * 1024,
            unread_bytes_max: 64 * 1024,
            // Several hundred stopped readers of tokens.
            connection_window_bytes: 256 * 1024 * 1024,
            max_header_list_size: 16 * 1024,
            keepalive_interval_ms: 3_000,
            keepalive_timeout_ms: 2_000,
            keepalive_while_idle: true,
            reconnect_min_ms: 50,
            // With its jitter, whoever comes back is found within two seconds.
            reconnect_max_ms: 1_600,
            in_flight_max: 1024,
            jitter_seed: None,
        }
    }
}

/// HTTP/2's own bounds of a window.
const WINDOW_BYTES: std::ops::RangeInclusive<u32> = 65_535..=2_147_483_647;

impl ConnectOptions {
    /// These options for a peer whose certificate has this DNS name, unless they name one already.
    #[must_use]
    pub fn expecting(mut self, server_name: &str) -> Self {
        self.server_name.get_or_insert_with(|| server_name.to_owned());
        self
    }

    /// Checks the ranges; `table` is the dotted key that holds these fields.
    #[must_use]
    pub fn invalid(&self, table: &str) -> Vec<Invalid> {
        let mut found = Vec::new();
        let mut rule = |holds: bool, field: &str, problem: &str, mend: &str| {
            Invalid::unless(&mut found, holds, &format!("{table}.{field}"), problem, mend);
        };
        let (zero, positive) = ("is zero", "give 1 millisecond or more");
        rule(self.connect_timeout_ms > 0, "connect_timeout_ms", zero, positive);
        rule(
            self.keepalive_interval_ms > 0,
            "keepalive_interval_ms",
            "is zero, which is a flood of pings",
            positive,
        );
        rule(self.keepalive_timeout_ms > 0, "keepalive_timeout_ms", zero, positive);
        rule(
            self.reconnect_min_ms > 0,
            "reconnect_min_ms",
            "is zero, which is a flood of attempts",
            positive,
        );
        let ordered = self.reconnect_max_ms >= self.reconnect_min_ms;
        rule(ordered, "reconnect_max_ms", "is less than reconnect_min_ms", "give at least as much");
        let (window, mend) = ("is outside what HTTP/2 allows", "give 65535 to 2147483647 bytes");
        rule(WINDOW_BYTES.contains(&self.stream_window_bytes), "stream_window_bytes", window, mend);
        rule(WINDOW_BYTES.contains(&self.connection_window_bytes), "connection_window_bytes", window, mend);
        let mend = "give 1024 bytes or more";
        rule(
            self.max_header_list_size >= 1024,
            "max_header_list_size",
            "is too small for gRPC's headers",
            mend,
        );
        let mend = "give 1024 bytes or more";
        rule(self.unread_bytes_max >= 1024, "unread_bytes_max", "is less than a few tokens", mend);
        rule(self.in_flight_max > 0, "in_flight_max", "is zero, so no call could be made", "give 1 or more");
        let name = self.server_name.as_deref().map(crate::tls::is_server_name);
        let mend = "give a DNS name such as `worker.causeway`";
        rule(name != Some(false), "server_name", "is not a DNS name or an address", mend);
        found
    }
}
