//! Checks signatures by ring, which TLS brings anyway.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::signature::{Error as Mismatch, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::signature as by;

/// Nothing is signed here.
static RING: CryptoProvider =
    CryptoProvider { signer_factory: no_signer, verifier_factory: verifier, key_utils: KEY_UTILS };
/// No key is made of another.
const KEY_UTILS: KeyUtils = KeyUtils::new_unimplemented();

struct ByRing {
    algorithm: Algorithm,
    key: DecodingKey,
}

/// Has this process check all signatures by it.
pub(super) fn install() {
    // The first one stays, and all are this one.
    let _ = RING.install_default();
}

fn no_signer(_: &Algorithm, _: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    Err(ErrorKind::UnsupportedAlgorithm.into())
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    if key.family() != family(*algorithm)? {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    Ok(Box::new(ByRing { algorithm: *algorithm, key: key.clone() }))
}

/// Of those that are ever believed: a secret is of none.
fn family(algorithm: Algorithm) -> Result<AlgorithmFamily> {
    match algorithm {
        Algorithm::EdDSA => Ok(AlgorithmFamily::Ed),
        Algorithm::ES256 | Algorithm::ES384 => Ok(AlgorithmFamily::Ec),
        Algorithm::RS256 | Algorithm::PS256 => Ok(AlgorithmFamily::Rsa),
        _ => Err(ErrorKind::UnsupportedAlgorithm.into()),
    }
}

// === impl ByRing ===

impl Verifier<Vec<u8>> for ByRing {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Mismatch> {
        let plain: &dyn by::VerificationAlgorithm = match self.algorithm {
            Algorithm::EdDSA => &by::ED25519,
            Algorithm::ES256 => &by::ECDSA_P256_SHA256_FIXED,
            Algorithm::ES384 => &by::ECDSA_P384_SHA384_FIXED,
            Algorithm::RS256 => return self.rsa(&by::RSA_PKCS1_2048_8192_SHA256, message, signature),
            Algorithm::PS256 => return self.rsa(&by::RSA_PSS_2048_8192_SHA256, message, signature),
            _ => return Err(Mismatch::new()),
        };
        let key = self.key.try_get_as_bytes().map_err(|_| Mismatch::new())?;
        by::UnparsedPublicKey::new(plain, key).verify(message, signature).map_err(|_| Mismatch::new())
    }
}

impl ByRing {
    fn rsa(
        &self,
        parameters: &by::RsaParameters,
        message: &[u8],
        signature: &[u8],
    ) -> std::result::Result<(), Mismatch> {
        let DecodingKeyKind::RsaModulusExponent { n, e } = self.key.kind() else {
            return Err(Mismatch::new());
        };
        let key = by::RsaPublicKeyComponents { n, e };
        key.verify(parameters, message, signature).map_err(|_| Mismatch::new())
    }
}

impl JwtVerifier for ByRing {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
