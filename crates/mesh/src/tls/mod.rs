//! Who a process is and whom it believes: certificates for both ends of every connection.
//!
//! Peers show each other a certificate of the same authority, unless a server says that its callers need none. A peer's name
//! is its SPIFFE identifier, taken from the certificate, never from anything that the peer says.

mod authority;
mod error;
mod skew;
mod identity;
mod trust;
mod watch;
#[cfg(test)]
mod tests;

pub use self::authority::{Authority, IssuedPem};
pub use self::error::Error;
pub use self::identity::{Identity, IdentityFiles, Peer};
pub(crate) use self::identity::{is_server_name, server_name};
pub use self::trust::Trust;
pub use self::watch::Renewals;

/// The trust domain of every identifier: `spiffe://causeway.local/...`.
pub const TRUST_DOMAIN: &str = "causeway.local";

/// The suffix of the DNS name under which a peer's certificate is checked, as in `router.causeway`.
pub const DNS_SUFFIX: &str = "causeway";
