//! Why a call is refused for its token or for want of one: what its caller is told, and how often it was.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::header::WWW_AUTHENTICATE;
use tonic::Status;
use tonic::metadata::MetadataValue;

use crate::telemetry::{About, Attribute, Meter};

/// Why a call is refused. Nothing of a token is ever told, to its caller or to anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There is none where one is needed.
    Missing,
    /// There are several.
    Several,
    /// `authorization` is of another scheme.
    Scheme,
    /// It is longer than what is read.
    TooLong,
    /// It is no token, of an algorithm that is none, or asks for what is not understood.
    Malformed,
    /// It was signed in a way that is not believed.
    Algorithm,
    /// It names a key that is not known, or is not for its algorithm.
    UnknownKey,
    /// It was signed by somebody else, or changed since.
    Signature,
    /// It has ended.
    Expired,
    /// It has not begun.
    NotYetValid,
    /// Somebody else issued it.
    Issuer,
    /// It is for somebody else.
    Audience,
    /// What it has to say is not there, or cannot be used.
    Claim,
    /// The caller says that it is another than whom its token or certificate names.
    OtherTenant,
}

const ALL: [Refusal; 14] = [
    Refusal::Missing,
    Refusal::Several,
    Refusal::Scheme,
    Refusal::TooLong,
    Refusal::Malformed,
    Refusal::Algorithm,
    Refusal::UnknownKey,
    Refusal::Signature,
    Refusal::Expired,
    Refusal::NotYetValid,
    Refusal::Issuer,
    Refusal::Audience,
    Refusal::Claim,
    Refusal::OtherTenant,
];

/// What became of tokens and of the keys for them.
#[derive(Debug, Default)]
pub(super) struct Counts {
    refused: [AtomicU64; ALL.len()],
    pub(super) keys_taken: AtomicU64,
    pub(super) keys_refused: AtomicU64,
    /// 1 while what the file holds is not what is in force.
    pub(super) keys_stuck: AtomicU64,
}

// === impl Refusal ===

impl Refusal {
    /// Its name in metrics.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Several => "several",
            Self::Scheme => "scheme",
            Self::TooLong => "too_long",
            Self::Malformed => "malformed",
            Self::Algorithm => "algorithm",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Claim => "claim",
            Self::OtherTenant => "other_tenant",
        }
    }

    /// What the caller is told: PERMISSION_DENIED where it is known and says that it is another, otherwise UNAUTHENTICATED
    /// with a challenge by RFC 6750, section 3.
    pub(super) fn status(self) -> Status {
        let challenge = match self {
            Self::OtherTenant => return Status::permission_denied(self.to_string()),
            // Whoever brought nothing is not told of an error.
            Self::Missing => "Bearer realm=\"causeway\"".to_owned(),
            Self::Several | Self::Scheme => challenge("invalid_request", self),
            _ => challenge("invalid_token", self),
        };
        let mut status = Status::unauthenticated(self.to_string());
        if let Ok(challenge) = MetadataValue::try_from(challenge) {
            status.metadata_mut().insert(WWW_AUTHENTICATE.as_str(), challenge);
        }
        status
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "a token is needed: bring one as authorization: Bearer",
            Self::Several => "there are several authorization headers; bring one",
            Self::Scheme => "authorization is not of the scheme Bearer",
            Self::TooLong => "the token is longer than token.bytes_max",
            Self::Malformed => "the token is none that is understood",
            Self::Algorithm => "the token's algorithm is none of token.algorithms",
            Self::UnknownKey => "the token's key is none that is known for its algorithm",
            Self::Signature => "the token's signature is wrong",
            Self::Expired => "the token has expired",
            Self::NotYetValid => "the token is not yet valid",
            Self::Issuer => "the token is not from token.issuer",
            Self::Audience => "the token is not for token.audience",
            Self::Claim => "a claim of the token is missing or cannot be used",
            Self::OtherTenant => "causeway-tenant is not the tenant that token or certificate name",
        })
    }
}

fn challenge(error: &str, refusal: Refusal) -> String {
    format!("Bearer realm=\"causeway\", error=\"{error}\", error_description=\"{refusal}\"")
}

// === impl Counts ===

impl Counts {
    pub(super) fn add(&self, refusal: Refusal) {
        // In the order in which they are listed.
        if let Some(count) = self.refused.get(refusal as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn refused(&self, refusal: Refusal) -> u64 {
        self.refused.get(refusal as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// Has them sent with the process's other numbers.
    pub(super) fn publish(self: &Arc<Self>) {
        let Some(meter) = Meter::of_process() else { return };
        let about = |name, unit, description| About { name, unit, description };
        let counts = self.clone();
        let refused = about("causeway.token.refused", "{call}", "Calls that were refused for their tokens.");
        meter.counts(refused, move || {
            let reason = |refusal: Refusal| vec![Attribute::new("causeway.reason", refusal.code())];
            let known = ALL.map(|refusal| (counts.refused(refusal), reason(refusal)));
            known.into_iter().filter(|(count, _)| *count > 0).collect()
        });
        let counts = self.clone();
        let taken = about("causeway.token.keys_taken", "{change}", "New keys that were taken.");
        meter.counts(taken, move || vec![(counts.keys_taken.load(Ordering::Relaxed), vec![])]);
        let counts = self.clone();
        let refused = about("causeway.token.keys_refused", "{change}", "New keys that could not be used.");
        meter.counts(refused, move || vec![(counts.keys_refused.load(Ordering::Relaxed), vec![])]);
        let counts = self.clone();
        let stuck = about("causeway.token.keys_stuck", "1", "1 while the file of keys cannot be used.");
        meter.levels(stuck, move || vec![(counts.keys_stuck.load(Ordering::Relaxed) as f64, vec![])]);
    }
}
