//! Names where a peer listens, as written in configurations.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where a peer listens: `127.0.0.1:50051`, `router.local:443`, `[::1]:50051`, or `unix:/run/causeway.sock`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Address {
    /// A host and a port joined by a colon; names are resolved on connecting.
    Tcp(String),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// Text that is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an address ({problem}); write host:port or unix:/path")]
pub struct AddressError {
    text: String,
    problem: &'static str,
}

// === impl Address ===

impl Address {
    /// The host without port and brackets; nothing for a Unix socket.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        match self {
            Address::Tcp(text) => {
                let host = text.rsplit_once(':').map_or(text.as_str(), |(host, _)| host);
                Some(host.trim_start_matches('[').trim_end_matches(']'))
            }
            Address::Unix(_) => None,
        }
    }

    /// Whether only this machine can call there.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let Some(host) = self.host() else { return true };
        host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |problem| Err(AddressError { text: text.to_owned(), problem });
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => refuse("the path is empty"),
                path if path.contains('\0') => refuse("the path has a zero byte"),
                path => Ok(Address::Unix(path.into())),
            };
        }
        let Some((host, port)) = text.rsplit_once(':') else { return refuse("the port is missing") };
        if port.parse::<u16>().is_err() {
            return refuse("the port is not a number from 0 to 65535");
        }
        let bracketed = host.starts_with('[') && host.ends_with(']');
        if host.is_empty() {
            refuse("the host is empty")
        } else if host.contains(':') && !bracketed {
            refuse("an IPv6 host needs brackets")
        } else if host.contains(|letter: char| letter.is_whitespace() || letter == '/') {
            refuse("the host has a character that no host has")
        } else {
            Ok(Address::Tcp(text.to_owned()))
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(text) => f.write_str(text),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> String {
        address.to_string()
    }
}
