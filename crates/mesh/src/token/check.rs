//! Judges one token: its signature by the keys in force, its times by the clock that it is given, its names by what is
//! believed.

use std::sync::Arc;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use serde_json::Value;

use super::cache::{Mark, Verified};
use super::keys::Keyring;
use super::refusal::Refusal;
use super::{Class, ROLES_MAX, Token, TokenOptions, algorithm, is_role, is_tenant, signature};

/// What makes a token believed.
#[derive(Debug, Clone)]
pub(super) struct Check {
    validation: Validation,
    options: TokenOptions,
}

// === impl Check ===

impl Check {
    pub(super) fn new(options: &TokenOptions) -> Self {
        signature::install();
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.algorithms = options.algorithms.iter().filter_map(|name| algorithm(name)).collect();
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.set_issuer(&[&options.issuer]);
        validation.set_audience(&[&options.audience]);
        // Times are judged here, where the clock is known and a token that was good once is judged again.
        (validation.validate_exp, validation.validate_nbf) = (false, false);
        Self { validation, options: options.clone() }
    }

    /// What a token says, `now_s` seconds after 1970 began.
    pub(super) fn judge(&self, token: &str, keys: &Keyring, now_s: f64) -> Result<Arc<Token>, Refusal> {
        if token.len() > self.options.bytes_max {
            return Err(Refusal::TooLong);
        }
        let mark = Mark::of(token);
        let (verified, known) = match keys.cache.get(&mark) {
            Some(verified) => (verified, true),
            None => (self.verify(token, keys)?, false),
        };
        if now_s >= verified.until_s {
            keys.cache.forget(&mark);
            return Err(Refusal::Expired);
        }
        if now_s < verified.from_s {
            return Err(Refusal::NotYetValid);
        }
        let token = verified.token.clone();
        if !known {
            keys.cache.put(mark, verified);
        }
        Ok(token)
    }

    /// All but its times.
    fn verify(&self, token: &str, keys: &Keyring) -> Result<Verified, Refusal> {
        let header = decode_header(token).map_err(|_| Refusal::Malformed)?;
        if header.crit.is_some() {
            // Whatever it is that must be understood, it is not understood here.
            return Err(Refusal::Malformed);
        }
        if !self.validation.algorithms.contains(&header.alg) {
            return Err(Refusal::Algorithm);
        }
        let key = keys.find(header.kid.as_deref(), header.alg).ok_or(Refusal::UnknownKey)?;
        // The library asks that every algorithm be one of the key's family.
        let validation = Validation { algorithms: vec![header.alg], ..self.validation.clone() };
        let claims = decode::<Value>(token, key, &validation).map_err(|error| refusal(error.kind()))?.claims;
        let leeway_s = self.options.leeway_s as f64;
        let until_s = seconds(&claims, "exp")?.ok_or(Refusal::Claim)? + leeway_s;
        let from_s = seconds(&claims, "nbf")?.map_or(f64::NEG_INFINITY, |from| from - leeway_s);
        Ok(Verified { token: Arc::new(self.read(&claims)?), from_s, until_s })
    }

    fn read(&self, claims: &Value) -> Result<Token, Refusal> {
        let TokenOptions { tenant_claim, tenant_prefix, class_claim, roles_claim, .. } = &self.options;
        let tenant = claim(claims, tenant_claim).and_then(Value::as_str);
        let tenant = tenant.filter(|tenant| is_tenant(tenant)).ok_or(Refusal::Claim)?;
        let class = match class_claim.as_deref().and_then(|name| claim(claims, name)) {
            Some(class) => Some(class.as_str().and_then(Class::named).ok_or(Refusal::Claim)?),
            None => None,
        };
        let roles = match roles_claim.as_deref().and_then(|name| claim(claims, name)) {
            Some(roles) => roles_of(roles)?,
            None => Vec::new(),
        };
        Ok(Token { tenant: format!("{tenant_prefix}{tenant}"), class, roles })
    }
}

/// A claim by its name, or by a pointer to it.
fn claim<'a>(claims: &'a Value, name: &str) -> Option<&'a Value> {
    if name.starts_with('/') { claims.pointer(name) } else { claims.get(name) }
}

fn roles_of(claim: &Value) -> Result<Vec<String>, Refusal> {
    let all: Vec<&str> = match claim {
        Value::String(text) => text.split(' ').collect(),
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        _ => return Err(Refusal::Claim),
    };
    let roles: Vec<_> = all.into_iter().filter(|role| is_role(role)).map(str::to_owned).collect();
    if roles.len() > ROLES_MAX { Err(Refusal::Claim) } else { Ok(roles) }
}

fn seconds(claims: &Value, name: &str) -> Result<Option<f64>, Refusal> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_f64().filter(|time| time.is_finite()).map(Some).ok_or(Refusal::Claim),
    }
}

/// What the library says, without what it quotes of the token.
fn refusal(kind: &ErrorKind) -> Refusal {
    match kind {
        ErrorKind::InvalidSignature => Refusal::Signature,
        ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm => Refusal::Algorithm,
        ErrorKind::InvalidIssuer => Refusal::Issuer,
        ErrorKind::InvalidAudience => Refusal::Audience,
        ErrorKind::MissingRequiredClaim(claim) => match claim.as_str() {
            "iss" => Refusal::Issuer,
            "aud" => Refusal::Audience,
            _ => Refusal::Claim,
        },
        _ => Refusal::Malformed,
    }
}
