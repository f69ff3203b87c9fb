//! Loads a process's certificates and holds the TLS settings made of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, InvalidDnsNameError, PrivateKeyDer, ServerName, UnixTime};
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::skew::{self, OfClients, OfServers};
use super::watch::{Paths, Texts, mark};
use crate::config::Invalid;
use crate::token::Token;

/// gRPC is HTTP/2; agreeing on it in the handshake refuses everything else early.
const ALPN: &[u8] = b"h2";

/// The files that make an identity; all three or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IdentityFiles {
    /// The certificate chain, PEM, own certificate first.
    pub certificate: Option<PathBuf>,
    /// The private key of the certificate, PEM.
    pub key: Option<PathBuf>,
    /// The certificates of the authorities that peers are checked against, PEM. While one takes over from another, both.
    pub authority: Option<PathBuf>,
    /// Seconds by which a peer's clock may differ: a certificate that is not yet valid, or no longer, by less than this is
    /// taken.
    pub clock_skew_s: u64,
    /// Takes callers that show no certificate, which their tokens name: only where `token.required` is set. A certificate
    /// that is shown is checked all the same.
    pub certificate_optional: bool,
}

/// A process's certificates, ready for both ends of connections. Clones share what [`Identity::renew`] puts in.
#[derive(Clone, Debug)]
pub struct Identity {
    held: Arc<ArcSwap<Held>>,
}

#[derive(Debug)]
struct Held {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    spiffe: Option<String>,
    /// The second since 1970 at which its certificate ends; `None`: never.
    ends_at: Option<u64>,
    /// Of the texts that it was made of.
    mark: u64,
    skew: Duration,
}

/// Who is at the other end of an accepted connection; an extension of every request that it sends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peer {
    /// The SPIFFE identifier of its verified certificate; nothing on connections without TLS.
    pub spiffe: Option<String>,
    /// What the call's verified token says.
    pub token: Option<Arc<Token>>,
}

/// PEM texts with the name under which each is blamed.
struct Named<'a> {
    certificate: (&'a str, &'a [u8]),
    key: (&'a str, &'a [u8]),
    authority: (&'a str, &'a [u8]),
    mark: u64,
    skew: Duration,
    optional: bool,
}

/// How much clocks may differ: what is usual between machines that keep them at all.
const CLOCK_SKEW_S: u64 = 300;
/// More would be a way to go on with certificates that have ended.
const CLOCK_SKEW_S_MAX: u64 = 3600;

// === impl IdentityFiles ===

impl Default for IdentityFiles {
    fn default() -> Self {
        let (certificate, key, authority) = (None, None, None);
        Self { certificate, key, authority, clock_skew_s: CLOCK_SKEW_S, certificate_optional: false }
    }
}

impl IdentityFiles {
    /// Loads the identity that the files hold; nothing when none is named.
    ///
    /// # Errors
    /// A file that is missing, unreadable, or not what it should be, by name.
    pub fn load(&self) -> Result<Option<Identity>, Error> {
        match (&self.certificate, &self.key, &self.authority) {
            (None, None, None) => Ok(None),
            (Some(certificate), Some(key), Some(authority)) => {
                self.identity_of(&Paths::new(certificate, key, authority).read()?).map(Some)
            }
            (None, ..) => Err(Error::Incomplete { key: "certificate" }),
            (_, None, _) => Err(Error::Incomplete { key: "key" }),
            (_, _, None) => Err(Error::Incomplete { key: "authority" }),
        }
    }

    /// The identity that these texts of the files make.
    pub(super) fn identity_of(&self, texts: &Texts) -> Result<Identity, Error> {
        let name = |path: &Option<PathBuf>| path.as_deref().unwrap_or(Path::new("")).display().to_string();
        let [certificate, key, authority] = texts;
        let names = [name(&self.certificate), name(&self.key), name(&self.authority)];
        Identity::from_named(&Named {
            certificate: (&names[0], certificate),
            key: (&names[1], key),
            authority: (&names[2], authority),
            mark: mark(texts),
            skew: Duration::from_secs(self.clock_skew_s),
            optional: self.certificate_optional,
        })
    }

    /// What is wrong where callers need neither a certificate nor, unless `token_required`, a token; `table` is the dotted key
    /// that holds these fields.
    #[must_use]
    pub fn unguarded(&self, table: &str, token_required: bool) -> Option<Invalid> {
        let problem = "lets in callers whom nothing names";
        let mend = "set token.required = true where there is such a key, or leave it out";
        (self.certificate_optional && !token_required)
            .then(|| Invalid::new(format!("{table}.certificate_optional"), problem, mend))
    }

    /// Checks that all three files are named or none; `table` is the dotted key that holds these fields.
    #[must_use]
    pub fn invalid(&self, table: &str) -> Vec<Invalid> {
        let given = [
            ("certificate", self.certificate.is_some()),
            ("key", self.key.is_some()),
            ("authority", self.authority.is_some()),
        ];
        if self.clock_skew_s > CLOCK_SKEW_S_MAX {
            let mend = "give 300, and set the clocks";
            return vec![Invalid::new(format!("{table}.clock_skew_s"), "is more than an hour", mend)];
        }
        if given.iter().all(|(_, set)| *set) || given.iter().all(|(_, set)| !*set) {
            return Vec::new();
        }
        let missing = given.iter().filter(|(_, set)| !*set);
        let mend =
            "give certificate, key and authority together, or none of them for a connection without TLS";
        missing.map(|(name, _)| Invalid::new(format!("{table}.{name}"), "is missing", mend)).collect()
    }
}

// === impl Identity ===

impl Identity {
    /// Makes an identity of three PEM texts.
    ///
    /// # Errors
    /// Says which of the three is wrong, and what is.
    pub fn from_pem(certificate: &str, key: &str, authority: &str) -> Result<Self, Error> {
        Self::from_named(&Named {
            certificate: ("certificate", certificate.as_bytes()),
            key: ("key", key.as_bytes()),
            authority: ("authority", authority.as_bytes()),
            mark: mark(&[certificate, key, authority].map(|text| text.as_bytes().to_vec())),
            skew: Duration::from_secs(CLOCK_SKEW_S),
            optional: false,
        })
    }

    /// Takes over another identity's certificates; connections made from now on use them.
    pub fn renew(&self, with: &Identity) {
        self.held.store(with.held.load_full());
    }

    /// This process's own SPIFFE identifier, if its certificate has one.
    #[must_use]
    pub fn spiffe(&self) -> Option<String> {
        self.held.load().spiffe.clone()
    }

    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        self.held.load().server.clone()
    }

    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        self.held.load().client.clone()
    }

    fn from_named(named: &Named<'_>) -> Result<Self, Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = certificates(named.certificate)?;
        let spiffe = chain.first().and_then(spiffe_of);
        let key = private_key(named.key)?;
        let roots = Arc::new(roots(named.authority)?);
        let of_clients = of_clients(&provider, &roots, named)?;
        let ends_at = skew::ends_at(of_clients.inner.as_ref(), &chain);
        let server = server_config(&provider, of_clients, chain.clone(), key.clone_key(), named)?;
        let client = client_config(&provider, &roots, chain, key, named)?;
        let (server, client) = (Arc::new(server), Arc::new(client));
        let (mark, skew) = (named.mark, named.skew);
        let held = Held { server, client, spiffe, ends_at, mark, skew };
        Ok(Identity { held: Arc::new(ArcSwap::from_pointee(held)) })
    }

    /// Seconds until its certificate ends, less than zero after that; `None`: it never does.
    #[must_use]
    pub fn expires_in_seconds(&self) -> Option<f64> {
        let ends_at = self.held.load().ends_at?;
        Some(ends_at as f64 - UnixTime::now().as_secs() as f64)
    }

    /// The same, unless no peer would take it any more.
    pub(super) fn unless_ended(self) -> Result<Self, Error> {
        let skew = self.held.load().skew.as_secs_f64();
        match self.expires_in_seconds() {
            Some(left) if left < -skew => Err(Error::Ended { seconds_ago: -left }),
            _ => Ok(self),
        }
    }

    /// Tells the texts that it was made of from others.
    pub(super) fn mark(&self) -> u64 {
        self.held.load().mark
    }
}

// === impl Peer ===

impl Peer {
    /// Who showed this verified certificate.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Self {
        Peer { spiffe: spiffe_of(certificate), token: None }
    }

    /// Whose call it is: the tenant of its token, or else whom the certificate names. Nothing else that a caller says
    /// counts.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.token.as_deref().map(|token| token.tenant.as_str()).or_else(|| self.path())
    }

    /// The path of the identifier within this project's trust domain, such as `router`.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        let rest = self.spiffe.as_deref()?.strip_prefix("spiffe://")?;
        rest.strip_prefix(super::TRUST_DOMAIN)?.strip_prefix('/')
    }
}

/// The one SPIFFE identifier of a certificate; with several, the standard says that it has none.
fn spiffe_of(certificate: &CertificateDer<'_>) -> Option<String> {
    let parsed = webpki::EndEntityCert::try_from(certificate).ok()?;
    let mut names = parsed.valid_uri_names().filter(|name| name.starts_with("spiffe://"));
    let first = names.next()?;
    names.next().is_none().then(|| first.to_owned())
}

fn certificates((from, pem): (&str, &[u8])) -> Result<Vec<CertificateDer<'static>>, Error> {
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let parsed = parsed.map_err(|error| Error::Pem { from: from.to_owned(), problem: error.to_string() })?;
    if parsed.is_empty() {
        return Err(Error::Empty { from: from.to_owned(), block: "CERTIFICATE" });
    }
    Ok(parsed)
}

fn private_key((from, pem): (&str, &[u8])) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        rustls_pki_types::pem::Error::NoItemsFound => {
            Error::Empty { from: from.to_owned(), block: "PRIVATE KEY" }
        }
        other => Error::Pem { from: from.to_owned(), problem: other.to_string() },
    })
}

fn roots(authority: (&str, &[u8])) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(authority)? {
        roots.add(certificate).map_err(|source| Error::Authority {
            from: authority.0.to_owned(),
            problem: source.to_string(),
        })?;
    }
    Ok(roots)
}

fn of_clients(
    provider: &Arc<CryptoProvider>,
    roots: &Arc<RootCertStore>,
    named: &Named<'_>,
) -> Result<OfClients, Error> {
    let inner = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone());
    let inner = if named.optional { inner.allow_unauthenticated() } else { inner };
    let inner = inner.build().map_err(|error| Error::Authority {
        from: named.authority.0.to_owned(),
        problem: error.to_string(),
    })?;
    Ok(OfClients { inner, skew: named.skew })
}

fn server_config(
    provider: &Arc<CryptoProvider>,
    verifier: OfClients,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    named: &Named<'_>,
) -> Result<ServerConfig, Error> {
    let mut config = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|source| refused(named.certificate.0, source))?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_single_cert(chain, key)
        .map_err(|source| blame(named, source))?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

fn client_config(
    provider: &Arc<CryptoProvider>,
    roots: &Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    named: &Named<'_>,
) -> Result<ClientConfig, Error> {
    let verifier =
        WebPkiServerVerifier::builder_with_provider(roots.clone(), provider.clone()).build().map_err(
            |error| Error::Authority { from: named.authority.0.to_owned(), problem: error.to_string() },
        )?;
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|source| refused(named.certificate.0, source))?
        // The library's own check, but for the clock.
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(OfServers { inner: verifier, skew: named.skew }))
        .with_client_auth_cert(chain, key)
        .map_err(|source| blame(named, source))?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

/// A pair that does not fit together is the key's fault: it is the file that gets mixed up.
fn blame(named: &Named<'_>, source: rustls::Error) -> Error {
    let key_is_wrong = matches!(source, rustls::Error::InconsistentKeys(_) | rustls::Error::General(_));
    refused(if key_is_wrong { named.key.0 } else { named.certificate.0 }, source)
}

fn refused(from: &str, source: rustls::Error) -> Error {
    Error::Refused { from: from.to_owned(), source }
}

/// A name under which a server's certificate is checked.
pub(crate) fn server_name(name: &str) -> Result<ServerName<'static>, InvalidDnsNameError> {
    ServerName::try_from(name.to_owned())
}

/// Whether text can be such a name.
pub(crate) fn is_server_name(name: &str) -> bool {
    server_name(name).is_ok()
}
