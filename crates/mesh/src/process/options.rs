//! The tables that every service's configuration has alike.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::admit::AdmitOptions;
use crate::config::Invalid;
use crate::deadline::DeadlineLayer;
use crate::tls::IdentityFiles;
use crate::transport::Address;

/// Where a service listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// `host:port`, or `unix:` and a path.
    pub address: Address,
    /// Allows an address that others can reach without TLS. Only for a network that is itself private.
    pub insecure: bool,
}

/// Bounds of one request and of all together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Largest request message, bytes; a longer length prefix is refused before anything is allocated for it.
    pub request_bytes_max: usize,
    /// Largest text of all turns together, bytes.
    pub prompt_bytes_max: usize,
    /// Tokens produced when the request names no bound.
    pub output_tokens_default: u32,
    /// The most tokens that a request may ask for.
    pub output_tokens_max: u32,
    /// The deadline of a call that names none, milliseconds.
    pub deadline_default_ms: u64,
    /// The longest deadline granted, milliseconds.
    pub deadline_max_ms: u64,
    /// Calls from their headers to the end of their answers, at once.
    pub in_flight_max: usize,
    /// What a refused caller is told to wait, milliseconds.
    pub retry_pushback_ms: u64,
}

// === impl Listen ===

impl Default for Listen {
    fn default() -> Self {
        Self { address: Address::Tcp("127.0.0.1:0".to_owned()), insecure: false }
    }
}

impl Listen {
    /// Default for a service of its own port.
    #[must_use]
    pub fn at(address: Address) -> Self {
        Self { address, insecure: false }
    }

    /// Refuses plaintext where others can listen; `table` is the dotted key that holds these fields.
    #[must_use]
    pub fn invalid(&self, table: &str, tls: &IdentityFiles) -> Vec<Invalid> {
        let mut found = Vec::new();
        let private = self.address.is_local();
        Invalid::unless(
            &mut found,
            private || self.insecure || tls.certificate.is_some(),
            &format!("{table}.address"),
            "can be reached from other machines, and no certificate is set",
            &format!("set tls.certificate, tls.key and tls.authority, or {table}.insecure = true"),
        );
        found
    }
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_bytes_max: 1 << 20,
            prompt_bytes_max: 64 << 10,
            output_tokens_default: 256,
            output_tokens_max: 4096,
            deadline_default_ms: 30_000,
            deadline_max_ms: 600_000,
            in_flight_max: 1024,
            retry_pushback_ms: 1000,
        }
    }
}

impl Limits {
    /// Checks the ranges; `table` is the dotted key that holds these fields.
    #[must_use]
    pub fn invalid(&self, table: &str) -> Vec<Invalid> {
        let mut found = self.admission().invalid(table);
        let mut rule = |holds: bool, field: &str, problem: &str, mend: &str| {
            Invalid::unless(&mut found, holds, &format!("{table}.{field}"), problem, mend);
        };
        let zero = "is zero, so nothing could be asked";
        rule(self.request_bytes_max > 0, "request_bytes_max", zero, "1048576 suits most");
        rule(self.prompt_bytes_max > 0, "prompt_bytes_max", zero, "65536 suits most");
        let ordered = (1..=self.output_tokens_max).contains(&self.output_tokens_default);
        rule(ordered, "output_tokens_default", "is not from 1 to output_tokens_max", "256 suits most");
        let ordered = (1..=self.deadline_max_ms).contains(&self.deadline_default_ms);
        rule(ordered, "deadline_default_ms", "is not from 1 to deadline_max_ms", "30000 suits most");
        found
    }

    /// The admission that these bounds ask for.
    #[must_use]
    pub fn admission(&self) -> AdmitOptions {
        AdmitOptions { in_flight_max: self.in_flight_max, retry_pushback_ms: self.retry_pushback_ms }
    }

    /// The deadlines that these bounds ask for.
    #[must_use]
    pub fn deadlines(&self) -> DeadlineLayer {
        let (default, max) = (self.deadline_default_ms, self.deadline_max_ms);
        DeadlineLayer { default: Duration::from_millis(default), max: Duration::from_millis(max) }
    }
}
