//! The public keys that tokens are checked with: read from their file again when it changes, kept when it cannot be used.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwap;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};

use super::cache::Cache;
use super::file;
use super::refusal::Counts;

/// Bounds of the file.
const BYTES_MAX: u64 = 256 << 10;
const KEYS_MAX: usize = 64;
/// The shortest modulus of an RSA key that is believed, bytes.
const MODULUS_BYTES_MIN: usize = 256;

/// The keys in force. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    file: PathBuf,
    held: Arc<ArcSwap<Keyring>>,
    counts: Arc<Counts>,
    cache_max: usize,
}

/// The keys of one reading, and the tokens that were found good by them.
#[derive(Debug)]
pub(super) struct Keyring {
    keys: Vec<Key>,
    text: Vec<u8>,
    pub(super) cache: Cache,
}

#[derive(Debug)]
struct Key {
    id: Option<String>,
    /// What a token may say that it was signed by.
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

// === impl Keys ===

impl Keys {
    /// Reads the file for the first time.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn load(file: &Path, cache_max: usize, counts: Arc<Counts>) -> Result<Self, String> {
        let held = file::read(file, BYTES_MAX).and_then(|text| Keyring::new(text, cache_max))?;
        let held = Arc::new(ArcSwap::from_pointee(held));
        Ok(Self { file: file.to_owned(), held, counts, cache_max })
    }

    pub(super) fn now(&self) -> Arc<Keyring> {
        self.held.load_full()
    }

    /// Keeps them as the file says, for as long as it is polled.
    pub(super) async fn watch(self) -> Infallible {
        let (file, text) = (self.file.clone(), self.now().text.clone());
        file::watch(file, BYTES_MAX, text, |found| self.judge(found)).await
    }

    fn judge(&self, found: file::Found) {
        let counts = &self.counts;
        match found.and_then(|text| Keyring::new(text, self.cache_max)) {
            Ok(keyring) => {
                tracing::info!(keys = keyring.keys.len(), "new keys for tokens are in force");
                counts.keys_taken.fetch_add(1, Ordering::Relaxed);
                counts.keys_stuck.store(0, Ordering::Relaxed);
                self.held.store(Arc::new(keyring));
            }
            Err(problem) => {
                counts.keys_refused.fetch_add(1, Ordering::Relaxed);
                counts.keys_stuck.store(1, Ordering::Relaxed);
                let file = self.file.display();
                tracing::error!(%file, problem, "new keys for tokens are refused; the last good ones stay in force");
            }
        }
    }
}

// === impl Keyring ===

impl Keyring {
    fn new(text: Vec<u8>, cache_max: usize) -> Result<Self, String> {
        // What a parser says of its input quotes it, and somebody may have put a secret there.
        let set: JwkSet = serde_json::from_slice(&text).map_err(|error| {
            format!("it is no JSON Web Key Set, by line {}, column {}", error.line(), error.column())
        })?;
        if set.keys.len() > KEYS_MAX {
            return Err(format!("it has {} keys; at most {KEYS_MAX} are taken", set.keys.len()));
        }
        // Keys of other uses may stand beside those that count here.
        let keys: Vec<_> = set.keys.iter().filter_map(Key::new).collect();
        if keys.is_empty() {
            Err("it has no public key that could be used".to_owned())
        } else {
            Ok(Self { keys, text, cache: Cache::new(cache_max) })
        }
    }

    /// The key of this id and for this algorithm; a token that names none is believed only where there is but one.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&DecodingKey> {
        let named = |key: &&Key| match id {
            Some(id) => key.id.as_deref() == Some(id),
            None => self.keys.len() == 1,
        };
        let fits = |key: &&Key| named(key) && key.algorithms.contains(&algorithm);
        self.keys.iter().find(fits).map(|key| &key.key)
    }
}

// === impl Key ===

impl Key {
    /// `None`: a secret, for another use, too short, or of a kind that nobody knows.
    fn new(jwk: &Jwk) -> Option<Self> {
        let common = &jwk.common;
        let signs = matches!(common.public_key_use, None | Some(PublicKeyUse::Signature));
        let verifies = common.key_operations.as_ref().is_none_or(|all| all.contains(&KeyOperations::Verify));
        let key = DecodingKey::from_jwk(jwk).ok()?;
        let mut algorithms = algorithms(&jwk.algorithm, &key);
        if let Some(only) = common.key_algorithm {
            algorithms.retain(|algorithm| Algorithm::try_from(only) == Ok(*algorithm));
        }
        let usable = signs && verifies && !algorithms.is_empty();
        usable.then(|| Self { id: common.key_id.clone(), algorithms, key })
    }
}

/// What such a key can have signed by.
fn algorithms(of: &AlgorithmParameters, key: &DecodingKey) -> Vec<Algorithm> {
    let bytes = key.try_get_as_bytes().map_or(0, <[u8]>::len);
    match of {
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 && bytes == 32 => {
            vec![Algorithm::EdDSA]
        }
        AlgorithmParameters::EllipticCurve(point) => match point.curve {
            EllipticCurve::P256 if bytes == 1 + 2 * 32 => vec![Algorithm::ES256],
            EllipticCurve::P384 if bytes == 1 + 2 * 48 => vec![Algorithm::ES384],
            _ => Vec::new(),
        },
        AlgorithmParameters::RSA(_) => match key.kind() {
            DecodingKeyKind::RsaModulusExponent { n, .. } if n.len() >= MODULUS_BYTES_MIN => {
                vec![Algorithm::RS256, Algorithm::PS256]
            }
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}
