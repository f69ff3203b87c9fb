//! What a server counts of its connections: one counter for each thing that can be wrong with one, in one table.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::telemetry::{About, Attribute, Meter};
use crate::transport::Address;

/// What became of the connections of a [`super::Server`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Served {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections open now.
    pub open: u64,
    /// Connections closed because they did not begin as TLS and HTTP/2 should, or not in time.
    pub refused: u64,
    /// Connections still busy when the drain deadline passed, and closed then.
    pub forced: u64,
}

macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $fault:ident = $name:literal,)+) => {
        /// Something that ended a connection or a call, or kept one from being accepted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Fault {
            $($(#[doc = $doc])+ $fault,)+
        }

        impl Fault {
            /// Every one, in the order of their counters.
            pub const ALL: &[Fault] = &[$(Fault::$fault),+];

            /// Its name in metrics and logs.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Fault::$fault => $name,)+
                }
            }
        }
    };
}

faults! {
    /// A connection did not begin with TLS as this server wants it, or failed to show who it is.
    BadHandshake = "bad_handshake",
    /// TLS was not there within `handshake_timeout_ms`.
    LateHandshake = "late_handshake",
    /// A connection did not begin with HTTP/2's preface.
    BadPreface = "bad_preface",
    /// The preface was not there within `handshake_timeout_ms`.
    LatePreface = "late_preface",
    /// A frame other than of data, or a block of headers, was begun and not ended within `headers_timeout_ms`.
    LateHeaders = "late_headers",
    /// A request was begun and not ended within `body_timeout_ms`.
    LateBody = "late_body",
    /// An answer was left unread for `unread_timeout_ms`.
    UnreadAnswer = "unread_answer",
    /// More streams were reset than `resets_max`, or more before they were looked at than
    /// `max_pending_accept_reset_streams`.
    ResetFlood = "reset_flood",
    /// A block of headers went on over more frames than `max_header_list_size` needs.
    ContinuationFlood = "continuation_flood",
    /// More frames of little or no data came than `small_frames_max`, or more stayed unread than HTTP/2's windows are
    /// worth.
    SmallFrameFlood = "small_frame_flood",
    /// More pings came than `pings_max`.
    PingFlood = "ping_flood",
    /// More settings came than `settings_max`.
    SettingsFlood = "settings_flood",
    /// More frames of windows, priorities and unknown kinds came than `control_frames_max`.
    ControlFlood = "control_flood",
    /// Headers were far larger than `max_header_list_size`.
    HeadersTooLarge = "headers_too_large",
    /// A peer that was asked for a sign of life gave none within `keepalive_timeout_ms`.
    Silent = "silent",
    /// Frames were not what HTTP/2 allows.
    BrokenConnection = "broken_connection",
    /// A connection was still busy at the drain deadline.
    Forced = "forced",
    /// Accepting failed, for want of file descriptors or memory.
    AcceptFailed = "accept_failed",
    /// A connection had to wait, because there were `connections_max`.
    Full = "full",
}

/// Live counts of a [`super::Server`]; clones see the same numbers.
#[derive(Debug, Clone, Default)]
pub struct Counters(Arc<Cells>);

#[derive(Debug, Default)]
struct Cells {
    accepted: AtomicU64,
    open: AtomicU64,
    faults: [AtomicU64; Fault::ALL.len()],
}

/// One open connection.
#[derive(Debug)]
pub(super) struct Open(Counters);

// === impl Counters ===

impl Counters {
    /// The counts now.
    #[must_use]
    pub fn read(&self) -> Served {
        use Fault::{BadHandshake, BadPreface, Forced, LateHandshake, LatePreface};
        let refused = [BadHandshake, LateHandshake, BadPreface, LatePreface];
        Served {
            accepted: self.0.accepted.load(Ordering::Relaxed),
            open: self.0.open.load(Ordering::Relaxed),
            refused: refused.into_iter().map(|fault| self.of(fault)).sum(),
            forced: self.of(Forced),
        }
    }

    /// How often this has happened.
    #[must_use]
    pub fn of(&self, fault: Fault) -> u64 {
        self.0.faults[fault as usize].load(Ordering::Relaxed)
    }

    pub(super) fn fault(&self, fault: Fault) {
        self.0.faults[fault as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn accepted(&self) {
        self.0.accepted.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn open(&self) -> Open {
        self.0.open.fetch_add(1, Ordering::Relaxed);
        Open(self.clone())
    }

    /// Has them sent with the process's other numbers.
    pub(super) fn publish(&self, address: &Address) {
        let Some(meter) = Meter::of_process() else { return };
        let label = Attribute::new("server.address", address.to_string());
        let (counters, at) = (self.clone(), label.clone());
        let about = About {
            name: "causeway.serve.accepted",
            unit: "{connection}",
            description: "Connections that were accepted.",
        };
        meter.counts(about, move || vec![(counters.read().accepted, vec![at.clone()])]);
        let (counters, at) = (self.clone(), label.clone());
        let about = About {
            name: "causeway.serve.open",
            unit: "{connection}",
            description: "Connections that are open.",
        };
        meter.levels(about, move || vec![(counters.read().open as f64, vec![at.clone()])]);
        let counters = self.clone();
        let about = About {
            name: "causeway.serve.faults",
            unit: "{fault}",
            description: "What ended connections and calls, or kept connections from being accepted.",
        };
        meter.counts(about, move || {
            let of = |fault: &Fault| {
                let name = Attribute::new("causeway.fault", fault.name());
                (counters.of(*fault), vec![label.clone(), name])
            };
            Fault::ALL.iter().map(of).collect()
        });
    }
}

// === impl Open ===

impl Drop for Open {
    fn drop(&mut self) {
        self.0.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
