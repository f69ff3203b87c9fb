//! What can be wrong with certificates and keys.

use std::io;
use std::path::PathBuf;

/// A certificate, key or authority that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("{}: cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Some of the three files are named, but not all.
    #[error("`{key}` is missing: certificate, key and authority are given together or not at all")]
    Incomplete {
        /// The field that is not set.
        key: &'static str,
    },
    /// Text that is not PEM.
    #[error("{from}: not valid PEM: {problem}")]
    Pem {
        /// The file, or the role of the text.
        from: String,
        /// What the parser says.
        problem: String,
    },
    /// PEM without the block that is needed.
    #[error("{from}: holds no {block} block")]
    Empty {
        /// The file, or the role of the text.
        from: String,
        /// The block that is needed, such as `CERTIFICATE`.
        block: &'static str,
    },
    /// A certificate, key or authority that the TLS library refuses.
    #[error("{from}: {source}")]
    Refused {
        /// The file, or the role of the text.
        from: String,
        /// Why.
        source: rustls::Error,
    },
    /// An authority without a usable certificate.
    #[error("{from}: no certificate can be an authority: {problem}")]
    Authority {
        /// The file, or the role of the text.
        from: String,
        /// Why.
        problem: String,
    },
    /// A certificate that has ended.
    #[error("the certificate ended {seconds_ago:.0} s ago")]
    Ended {
        /// When it did, in seconds before now.
        seconds_ago: f64,
    },
    /// A name that cannot stand in an identifier.
    #[error(
        "`{path}` cannot name a peer: use lower-case letters, digits, dots, dashes, and slashes between them"
    )]
    Name {
        /// The path as given.
        path: String,
    },
    /// A certificate could not be made.
    #[error("a certificate for `{subject}` could not be made: {source}")]
    Issue {
        /// Whose certificate.
        subject: String,
        /// Why.
        source: rcgen::Error,
    },
}
