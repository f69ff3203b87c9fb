//! Checks certificates as the TLS library does, and lets clocks differ a little.
//!
//! A certificate that is good for an hour is made good from *now* by a clock that is not the peer's. So what is not yet
//! valid, or no longer, is checked once more with the time that a clock off by the allowance would show. Who signed it
//! and for whom is never part of that.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

/// Later than any certificate's end that is meant as one: the last second of the year 9999.
const END_OF_TIME: Duration = Duration::from_secs(253_402_300_799);

/// Checks servers, by a clock that may be off.
#[derive(Debug)]
pub(super) struct OfServers {
    pub(super) inner: Arc<WebPkiServerVerifier>,
    pub(super) skew: Duration,
}

/// Checks clients, by a clock that may be off.
#[derive(Debug)]
pub(super) struct OfClients {
    pub(super) inner: Arc<dyn ClientCertVerifier>,
    pub(super) skew: Duration,
}

/// Checks at `now`, and where only the time is against it, at the time that another clock may show.
fn tolerate<T>(
    now: UnixTime,
    skew: Duration,
    check: impl Fn(UnixTime) -> Result<T, Error>,
) -> Result<T, Error> {
    use CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    let at = Duration::from_secs(now.as_secs());
    let first = check(now);
    let again = match &first {
        Err(Error::InvalidCertificate(Expired | ExpiredContext { .. })) => at.saturating_sub(skew),
        Err(Error::InvalidCertificate(NotValidYet | NotValidYetContext { .. })) => at.saturating_add(skew),
        _ => return first,
    };
    check(UnixTime::since_unix_epoch(again)).or(first)
}

/// The second since 1970 at which a certificate ends; `None`: never within anybody's lifetime, or it is none at all.
pub(super) fn ends_at(verifier: &dyn ClientCertVerifier, chain: &[CertificateDer<'_>]) -> Option<u64> {
    let (own, intermediates) = chain.split_first()?;
    match verifier.verify_client_cert(own, intermediates, UnixTime::since_unix_epoch(END_OF_TIME)) {
        Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            Some(not_after.as_secs())
        }
        _ => None,
    }
}

impl ServerCertVerifier for OfServers {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        tolerate(now, self.skew, |now| {
            self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

impl ClientCertVerifier for OfClients {
    fn client_auth_mandatory(&self) -> bool {
        self.inner.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        tolerate(now, self.skew, |now| self.inner.verify_client_cert(end_entity, intermediates, now))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
