//! What a server allows its peers, with the reason of each bound.

use serde::{Deserialize, Serialize};

use crate::config::Invalid;

/// Limits of a server. Sizes are in bytes, times in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServeOptions {
    /// Connections at once. Further ones wait in the kernel's backlog.
    pub connections_max: usize,
    /// Calls at once on one connection.
    pub max_concurrent_streams: u32,
    /// Unread bytes of one request body. Requests are prompts, which are small.
    pub stream_window_bytes: u32,
    /// Unread bytes of all request bodies of a connection. It also sets how many small unread frames h2 tolerates
    /// before it closes the connection.
    pub connection_window_bytes: u32,
    /// Header names and values of one request; the library's own default is 16 MiB.
    pub max_header_list_size: u32,
    /// The largest frame that is taken; 16 KiB is the least that HTTP/2 allows.
    pub max_frame_size: u32,
    /// Bytes of a response that wait for a slow reader before its producer is held back.
    pub send_buffer_bytes: usize,
    /// Time from the connection to the end of TLS and of the HTTP/2 preface.
    pub handshake_timeout_ms: u64,
    /// Time without a sign of life after which a connection is asked for one.
    pub keepalive_interval_ms: u64,
    /// Time that the answer may take before the connection is given up.
    pub keepalive_timeout_ms: u64,
    /// Streams that a client may reset before they were looked at, as in rapid-reset attacks.
    pub max_pending_accept_reset_streams: usize,
    /// Time from the first byte of a block of headers, or of any frame but data, to its last.
    pub headers_timeout_ms: u64,
    /// Time from a request's headers to its end, unless it is being answered before.
    pub body_timeout_ms: u64,
    /// Streams that a client may reset in ten seconds: what it no longer wants has cost something all the same.
    pub resets_max: u32,
    /// Frames of less than 64 bytes of data in ten seconds, not counting the last of a request.
    pub small_frames_max: u32,
    /// Pings in ten seconds. Some clients send one for each answer, to learn how fast the connection is.
    pub pings_max: u32,
    /// Changes of HTTP/2's settings in ten seconds.
    pub settings_max: u32,
    /// Frames of windows, priorities and unknown kinds in ten seconds. Readers of long answers send some for each.
    pub control_frames_max: u32,
    /// Time that a caller may leave what it was sent of an answer untaken before its call is cut off.
    pub unread_timeout_ms: u64,
    /// Time that calls have to finish after the shutdown began.
    pub drain_deadline_ms: u64,
}

impl Default for ServeOptions {
    fn default() -> Self {
        ServeOptions {
            connections_max: 1024,
            max_concurrent_streams: 1024,
            stream_window_bytes: 64 * 1024,
            connection_window_bytes: 4 * 1024 * 1024,
            max_header_list_size: 16 * 1024,
            max_frame_size: 16 * 1024,
            send_buffer_bytes: 64 * 1024,
            handshake_timeout_ms: 10_000,
            keepalive_interval_ms: 10_000,
            keepalive_timeout_ms: 4_000,
            max_pending_accept_reset_streams: 20,
            headers_timeout_ms: 10_000,
            body_timeout_ms: 10_000,
            resets_max: 10_000,
            small_frames_max: 1_000,
            pings_max: 1_000,
            settings_max: 100,
            control_frames_max: 100_000,
            unread_timeout_ms: 30_000,
            drain_deadline_ms: 10_000,
        }
    }
}

/// HTTP/2's own bounds.
const WINDOW_BYTES: std::ops::RangeInclusive<u32> = 65_535..=2_147_483_647;
const FRAME_BYTES: std::ops::RangeInclusive<u32> = 16_384..=16_777_215;

impl ServeOptions {
    /// Checks the ranges; `table` is the dotted key that holds these fields.
    #[must_use]
    pub fn invalid(&self, table: &str) -> Vec<Invalid> {
        let mut found = Vec::new();
        let mut rule = |holds: bool, field: &str, problem: &str, mend: &str| {
            Invalid::unless(&mut found, holds, &format!("{table}.{field}"), problem, mend);
        };
        let zero = "is zero, so nothing could be served";
        let window = "is outside what HTTP/2 allows";
        let places = 1..=tokio::sync::Semaphore::MAX_PERMITS;
        rule(places.contains(&self.connections_max), "connections_max", zero, "give 1 or more");
        rule(self.max_concurrent_streams > 0, "max_concurrent_streams", zero, "give 1 or more");
        let mend = "give 65535 to 2147483647 bytes";
        rule(WINDOW_BYTES.contains(&self.stream_window_bytes), "stream_window_bytes", window, mend);
        rule(WINDOW_BYTES.contains(&self.connection_window_bytes), "connection_window_bytes", window, mend);
        let mend = "give 16384 to 16777215 bytes";
        rule(FRAME_BYTES.contains(&self.max_frame_size), "max_frame_size", window, mend);
        let mend = "give 1024 bytes or more";
        rule(
            self.max_header_list_size >= 1024,
            "max_header_list_size",
            "is too small for gRPC's headers",
            mend,
        );
        let fits = (1024..=u32::MAX as usize).contains(&self.send_buffer_bytes);
        rule(fits, "send_buffer_bytes", "is not from 1 KiB to 4 GiB", "give 65536");
        let mend = "give 1 millisecond or more";
        rule(self.handshake_timeout_ms > 0, "handshake_timeout_ms", zero, mend);
        rule(
            self.keepalive_interval_ms > 0,
            "keepalive_interval_ms",
            "is zero, which is a flood of pings",
            mend,
        );
        rule(self.keepalive_timeout_ms > 0, "keepalive_timeout_ms", zero, mend);
        rule(self.headers_timeout_ms > 0, "headers_timeout_ms", zero, mend);
        rule(self.body_timeout_ms > 0, "body_timeout_ms", zero, mend);
        rule(self.unread_timeout_ms > 0, "unread_timeout_ms", zero, mend);
        let more = "give 1 or more";
        rule(self.pings_max > 0, "pings_max", "is zero, so no client that measures could stay", more);
        rule(self.settings_max > 0, "settings_max", "is zero, so no client could begin", more);
        rule(self.control_frames_max > 0, "control_frames_max", "is zero, so no client could read on", more);
        found
    }
}
