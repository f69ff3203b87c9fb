//! An authority made at start, for processes that only need to trust each other until they stop.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};

use super::error::Error;
use super::identity::{Identity, IdentityFiles};
use super::{DNS_SUFFIX, TRUST_DOMAIN};

/// An authority whose key lives in this process's memory only.
///
/// Its certificates do not expire within anybody's lifetime: the key is gone when the process is, and a device
/// whose clock was never set must still be able to check them.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// A certificate with its key and the authority to check peers against, all PEM.
#[derive(Clone)]
pub struct IssuedPem {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
    /// The certificate of the authority that issued it.
    pub authority: String,
}

// === impl Authority ===

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes a new authority.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn ephemeral() -> Result<Self, Error> {
        let failed = |source| Error::Issue { subject: "the authority".to_owned(), source };
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = CertificateParams::default();
        // Named after its key, so that a certificate of another run is told apart as one of an unknown authority.
        let key_end =
            key.public_key_raw().iter().rev().take(4).fold(0_u32, |end, byte| end << 8 | u32::from(*byte));
        params.distinguished_name = named(&format!("Causeway ephemeral authority {key_end:08x}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(failed)?.pem();
        Ok(Authority { issuer: Issuer::new(params, key), certificate })
    }

    /// Issues a certificate for both ends of connections.
    ///
    /// The path `worker/2` gives `spiffe://causeway.local/worker/2`, the DNS names `worker.causeway` and `localhost`,
    /// and the address 127.0.0.1.
    ///
    /// # Errors
    /// A path that cannot stand in an identifier, or no randomness.
    pub fn issue(&self, spiffe_path: &str) -> Result<IssuedPem, Error> {
        self.issue_as(spiffe_path, |_| {})
    }

    /// The same, with other parameters than usual.
    pub(super) fn issue_as(
        &self,
        spiffe_path: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Result<IssuedPem, Error> {
        let failed = |source| Error::Issue { subject: spiffe_path.to_owned(), source };
        let role = role_of(spiffe_path)?;
        let uri = format!("spiffe://{TRUST_DOMAIN}/{spiffe_path}").try_into().map_err(failed)?;
        let dns = format!("{role}.{DNS_SUFFIX}").try_into().map_err(failed)?;
        let localhost = "localhost".try_into().map_err(failed)?;

        let key = KeyPair::generate().map_err(failed)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = named(spiffe_path);
        params.subject_alt_names = vec![
            SanType::URI(uri),
            SanType::DnsName(dns),
            SanType::DnsName(localhost),
            SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        ];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?.pem();
        Ok(IssuedPem { certificate, key: key.serialize_pem(), authority: self.certificate.clone() })
    }
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

/// The first segment of a path that may stand in an identifier.
fn role_of(path: &str) -> Result<&str, Error> {
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    let sound = |segment: &str| {
        !segment.is_empty()
            && segment.len() <= 63
            && segment.bytes().all(allowed)
            && !segment.starts_with('.')
    };
    match path.split('/').all(sound) {
        true => Ok(path.split('/').next().unwrap_or(path)),
        false => Err(Error::Name { path: path.to_owned() }),
    }
}

// === impl IssuedPem ===

impl std::fmt::Debug for IssuedPem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuedPem").finish_non_exhaustive()
    }
}

impl IssuedPem {
    /// The identity that these texts make.
    ///
    /// # Errors
    /// Never for texts as issued; see [`Identity::from_pem`].
    pub fn identity(&self) -> Result<Identity, Error> {
        Identity::from_pem(&self.certificate, &self.key, &self.authority)
    }

    /// Writes the three texts into a folder, the key readable by its owner only.
    ///
    /// # Errors
    /// The file that could not be written.
    pub fn write(&self, folder: &Path) -> Result<IdentityFiles, Error> {
        let write = |name: &str, text: &str, mode: u32| -> Result<PathBuf, Error> {
            let path = folder.join(name);
            let file =
                std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&path);
            match file.and_then(|mut file| file.write_all(text.as_bytes())) {
                Ok(()) => Ok(path),
                Err(source) => Err(Error::Write { path, source }),
            }
        };
        Ok(IdentityFiles {
            certificate: Some(write("certificate.pem", &self.certificate, 0o644)?),
            key: Some(write("key.pem", &self.key, 0o600)?),
            authority: Some(write("authority.pem", &self.authority, 0o644)?),
            ..IdentityFiles::default()
        })
    }
}
