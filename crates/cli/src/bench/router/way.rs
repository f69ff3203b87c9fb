//! The ways from caller to worker that are measured: none between them, others' proxies, and the router with each of its
//! parts on or off.

/// One way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Nothing between caller and worker.
    Direct,
    /// The bench's own forwarder.
    Forwarder,
    /// nginx, as a gRPC proxy.
    Nginx,
    /// HAProxy, as an HTTP/2 proxy.
    Haproxy,
    /// The router.
    Router(Parts),
}

/// What a router does beside deciding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts {
    /// What it is called in results.
    pub(super) key: &'static str,
    /// TLS to callers and to workers, both ends named.
    pub(super) mtls: bool,
    /// It tells a collector of one trace in a hundred, and of its numbers.
    pub(super) traced: bool,
    /// It is given what is known of a text, as by an agent, and does not read it itself.
    pub(super) signals_given: bool,
    /// Workers among which it chooses.
    pub(super) workers: u32,
}

/// Workers that a router usually chooses among.
pub(super) const WORKERS: u32 = 8;

const PLAIN: Parts =
    Parts { key: "router", mtls: false, traced: false, signals_given: true, workers: WORKERS };

/// Who is compared.
pub(super) const COMPARED: [Way; 6] = [
    Way::Direct,
    Way::Forwarder,
    Way::Haproxy,
    Way::Nginx,
    Way::Router(PLAIN),
    Way::Router(Parts { key: "router_mtls", mtls: true, traced: true, ..PLAIN }),
];

/// What each part costs: the router with one of them more, or one less.
pub(super) const SWITCHED: [Way; 4] = [
    Way::Router(Parts { key: "router_traced", traced: true, ..PLAIN }),
    Way::Router(Parts { key: "router_mtls_untraced", mtls: true, ..PLAIN }),
    Way::Router(Parts { key: "router_reads_signals", signals_given: false, ..PLAIN }),
    Way::Router(Parts { key: "router_one_worker", workers: 1, ..PLAIN }),
];

// === impl Way ===

impl Way {
    /// What it is called in results.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Forwarder => "forwarder",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Router(parts) => parts.key,
        }
    }

    /// Whether caller and worker speak TLS.
    pub(super) fn is_secured(self) -> bool {
        matches!(self, Self::Router(Parts { mtls: true, .. }))
    }

    /// Whether callers send signals along; what is no router carries them all the same.
    pub(super) fn signals_given(self) -> bool {
        !matches!(self, Self::Router(Parts { signals_given: false, .. }))
    }
}
