//! Signed tokens: who a call is for, where its connection does not say. The keys are in a file that is watched.

mod file;
mod keys;
mod cache;
mod signature;
mod check;
mod refusal;
mod layer;
mod bearer;
mod issuer;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use jsonwebtoken::Algorithm;
use serde::{Deserialize, Serialize};

pub use self::bearer::Bearer;
pub use self::issuer::{Issuer, base64url, signed_part};
pub use self::layer::{TokenLayer, TokenService};
pub use self::refusal::Refusal;
use crate::config::Invalid;

/// Metadata in which a caller may say which tenant it takes itself for. It gives nothing; where it is another than that of
/// the token or the certificate, the call is refused.
pub const TENANT: &str = "causeway-tenant";

/// Which tokens are believed. A call brings one as `authorization: Bearer …`, a JSON Web Token (RFC 7519) with a signature by
/// a public key; its tenant is then that of the token, and not that of the connection's certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenOptions {
    /// The file of public keys, a JSON Web Key Set (RFC 7517); looked at again when it changes. Without it no token is
    /// looked at.
    pub jwks: Option<PathBuf>,
    /// Who must have issued them: `iss`.
    pub issuer: String,
    /// Whom they must be for: `aud`.
    pub audience: String,
    /// Algorithms that are believed, of EdDSA, ES256, ES384, RS256 and PS256. A key counts for those of its own kind only,
    /// and for one where it names one. There is no way to believe what is not signed, or is signed with a secret.
    pub algorithms: Vec<String>,
    /// The claim that names the tenant. What begins with `/` is a JSON Pointer (RFC 6901), here and below.
    pub tenant_claim: String,
    /// What stands before that name, so that no token can name what a certificate does.
    pub tenant_prefix: String,
    /// The claim that names the most urgent priority that its bearer has: `interactive`, `normal` or `background`; what asks
    /// for more is served at that. Unset, or absent from a token: no bound.
    pub class_claim: Option<String>,
    /// The claim that lists roles, which rules of `authorize` may name as `role:` and the role: an array, or one text with
    /// spaces between them.
    pub roles_claim: Option<String>,
    /// Seconds by which the issuer's clock may differ, at most 300.
    pub leeway_s: u64,
    /// The longest token that is read, bytes. What a call's headers may hold together bounds it as well.
    pub bytes_max: usize,
    /// Tokens that are remembered as good until they end, so that their signatures are not checked for every call; 0: none.
    pub cache_max: usize,
    /// Refuses calls without a token, other than health checks. Otherwise they are whom their certificates name.
    pub required: bool,
}

/// What a good token says of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Whose call it is, with the prefix of the configuration.
    pub tenant: String,
    /// How urgent it may be; `None`: as it likes.
    pub class: Option<Class>,
    /// What its bearer is.
    pub roles: Vec<String>,
}

/// How urgent the calls of a bearer may be, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Nobody waits.
    Background,
    /// Somebody will look soon.
    Normal,
    /// Somebody is listening.
    Interactive,
}

/// A file that tokens are checked with, or sent from, cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}; set `{key}` to {wanted}", file.display())]
pub struct Error {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it. Nothing of what it holds is quoted.
    pub problem: String,
    /// The key that names it.
    pub key: &'static str,
    /// What it should be.
    pub wanted: &'static str,
}

/// A tenant's name in a token, bytes.
const TENANT_BYTES_MAX: usize = 128;
/// A role, bytes, and the roles of one token.
const ROLE_BYTES_MAX: usize = 128;
const ROLES_MAX: usize = 64;
/// More would be a way to go on with tokens that have ended.
const LEEWAY_S_MAX: u64 = 300;
/// More than any issuer's, and less than what a flood of them could fill memory with.
const BYTES: std::ops::RangeInclusive<usize> = 256..=64 << 10;
const CACHE_MAX: usize = 1 << 20;

/// Algorithms with public keys that are neither broken nor guessed at.
const ALGORITHMS: [(&str, Algorithm); 5] = [
    ("EdDSA", Algorithm::EdDSA),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("RS256", Algorithm::RS256),
    ("PS256", Algorithm::PS256),
];

// === impl TokenOptions ===

impl Default for TokenOptions {
    fn default() -> Self {
        Self {
            jwks: None,
            issuer: String::new(),
            audience: String::new(),
            algorithms: vec!["EdDSA".to_owned(), "ES256".to_owned()],
            tenant_claim: "sub".to_owned(),
            tenant_prefix: "token/".to_owned(),
            class_claim: None,
            roles_claim: None,
            leeway_s: 60,
            bytes_max: 8 << 10,
            cache_max: 4096,
            required: false,
        }
    }
}

impl TokenOptions {
    /// Checks the ranges; `table` is the dotted key that holds these fields.
    #[must_use]
    pub fn invalid(&self, table: &str) -> Vec<Invalid> {
        let mut found = Vec::new();
        let mut rule = |holds: bool, field: &str, problem: &str, mend: &str| {
            Invalid::unless(&mut found, holds, &format!("{table}.{field}"), problem, mend);
        };
        let on = self.jwks.is_some();
        rule(on || !self.required, "required", "is set, and there are no keys", "set the file of keys: jwks");
        let mend = "name it: a token of another issuer, or for another service, must not count here";
        rule(!on || !self.issuer.is_empty(), "issuer", "is empty", mend);
        rule(!on || !self.audience.is_empty(), "audience", "is empty", mend);
        let known = self.algorithms.iter().all(|name| algorithm(name).is_some());
        let known = known && !self.algorithms.is_empty();
        let mend = "give some of EdDSA, ES256, ES384, RS256 and PS256";
        rule(known, "algorithms", "is empty or holds what is not believed", mend);
        rule(!self.tenant_claim.is_empty(), "tenant_claim", "is empty", "give `sub`");
        let named = |claim: &Option<String>| claim.as_deref() != Some("");
        rule(named(&self.class_claim), "class_claim", "is empty", "name the claim, or leave it out");
        rule(named(&self.roles_claim), "roles_claim", "is empty", "name the claim, or leave it out");
        rule(self.leeway_s <= LEEWAY_S_MAX, "leeway_s", "is more than five minutes", "give 60");
        rule(BYTES.contains(&self.bytes_max), "bytes_max", "is not from 256 to 65536", "give 8192");
        rule(self.cache_max <= CACHE_MAX, "cache_max", "is more than 1048576", "give 4096");
        let sound = self.tenant_prefix.is_empty() || is_tenant(self.tenant_prefix.trim_end_matches('/'));
        rule(sound, "tenant_prefix", "cannot begin a tenant's name", "give `token/`");
        found
    }
}

// === impl Class ===

impl Class {
    fn named(name: &str) -> Option<Self> {
        let all = [("background", Self::Background), ("normal", Self::Normal)];
        let all = all.into_iter().chain([("interactive", Self::Interactive)]);
        all.into_iter().find(|(known, _)| *known == name).map(|(_, class)| class)
    }
}

// === impl Error ===

impl Error {
    fn of_keys(file: &Path, problem: String) -> Self {
        let wanted = "a JSON Web Key Set with public keys";
        Self { file: file.to_owned(), problem, key: "token.jwks", wanted }
    }

    fn of_bearer(file: &Path, problem: String) -> Self {
        let wanted = "a file that holds one token and nothing else";
        Self { file: file.to_owned(), problem, key: "upstream.token_file", wanted }
    }
}

fn algorithm(name: &str) -> Option<Algorithm> {
    ALGORITHMS.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm)
}

/// Segments of letters that cannot be taken for anything else, wherever the name is written.
fn is_tenant(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'@');
    let sound = |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(plain);
    name.len() <= TENANT_BYTES_MAX && name.split('/').all(sound)
}

/// Text that a rule can name; what is none gives no right.
fn is_role(name: &str) -> bool {
    (1..=ROLE_BYTES_MAX).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
}
