//! An authority that servers are checked against by a client that shows no certificate of its own.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::error::Error;

/// gRPC's and every other HTTP/2's.
const ALPN: &[u8] = b"h2";

/// What a client believes that proves itself by something else, such as a token.
#[derive(Clone, Debug)]
pub struct Trust {
    client: Arc<ClientConfig>,
}

// === impl Trust ===

impl Trust {
    /// Trusts the authorities in a PEM file.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else.
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        let pem = std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        Self::from_pem(&path.display().to_string(), &pem)
    }

    /// Trusts the authorities in a PEM text that is called `from` in messages.
    ///
    /// # Errors
    /// The text holds something else.
    pub fn from_pem(from: &str, pem: &[u8]) -> Result<Self, Error> {
        let from = from.to_owned();
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate =
                certificate.map_err(|error| Error::Pem { from: from.clone(), problem: error.to_string() })?;
            roots
                .add(certificate)
                .map_err(|error| Error::Authority { from: from.clone(), problem: error.to_string() })?;
        }
        if roots.is_empty() {
            return Err(Error::Empty { from, block: "CERTIFICATE" });
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .build()
            .map_err(|error| Error::Authority { from: from.clone(), problem: error.to_string() })?;
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|source| Error::Refused { from, source })?
            .with_webpki_verifier(verifier)
            .with_no_client_auth();
        client.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Self { client: Arc::new(client) })
    }

    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        self.client.clone()
    }
}

#[cfg(test)]
mod tests;
