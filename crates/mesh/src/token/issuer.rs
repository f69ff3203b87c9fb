//! An issuer of a process's own, as a test or a demonstration needs one: it makes a key, and signs whatever it is told to.

use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

/// Signs tokens by Ed25519. Nothing but this process knows its key, and nothing keeps it.
#[derive(Debug)]
pub struct Issuer {
    id: String,
    key: Ed25519KeyPair,
}

// === impl Issuer ===

impl Issuer {
    /// An issuer with a new key of this id; `None`: the system has no random numbers.
    #[must_use]
    pub fn ephemeral(id: &str) -> Option<Self> {
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).ok()?;
        let key = Ed25519KeyPair::from_pkcs8(key.as_ref()).ok()?;
        Some(Self { id: id.to_owned(), key })
    }

    /// The public key, as a JSON Web Key.
    #[must_use]
    pub fn jwk(&self) -> Value {
        let x = base64url(self.public());
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": self.id, "use": "sig", "x": x })
    }

    /// The public key, bytes.
    #[must_use]
    pub fn public(&self) -> &[u8] {
        self.key.public_key().as_ref()
    }

    /// A token with these claims.
    #[must_use]
    pub fn token(&self, claims: &Value) -> String {
        self.sign(&json!({ "alg": "EdDSA", "typ": "JWT", "kid": self.id }), claims)
    }

    /// The same with a header of the caller's own, whatever that says of the signature.
    #[must_use]
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = signed_part(header, claims);
        let signature = base64url(self.key.sign(signed.as_bytes()).as_ref());
        format!("{signed}.{signature}")
    }
}

/// What a token's signature is over.
#[must_use]
pub fn signed_part(header: &Value, claims: &Value) -> String {
    [header, claims].map(|part| base64url(part.to_string().as_bytes())).join(".")
}

/// Base 64 as tokens have it, by RFC 4648, section 5, without padding.
#[must_use]
pub fn base64url(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let letters = bytes.chunks(3).flat_map(|three| {
        let number = three.iter().fold(0_usize, |number, byte| number << 8 | usize::from(*byte));
        let number = number << (8 * (3 - three.len()));
        (0..=three.len()).map(move |at| char::from(LETTERS[number >> (18 - 6 * at) & 63]))
    });
    letters.collect()
}
