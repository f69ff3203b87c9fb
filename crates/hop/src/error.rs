//! What keeps a hop from deciding.

use std::path::PathBuf;

/// Most tiers that a message lists.
const LISTED_MAX: usize = 16;

/// Why a hop cannot begin, or will not take a policy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The policy file could not be read.
    #[error("the policy `{}` cannot be read: {source}; set `{key}` to a policy file", file.display())]
    PolicyUnreadable {
        /// The file.
        file: PathBuf,
        /// The key that names it.
        key: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// The policy file is wrong.
    #[error(transparent)]
    Policy(policy::Error),
    /// The policy does not price a tier that the hop answers with, or prices it as something else.
    #[error("{what} `{tier}`, which is no {wanted} of the policy; it has {}", listed(known))]
    TierUnknown {
        /// What it is the tier of, such as `worker a is in tier`.
        what: String,
        /// The tier.
        tier: String,
        /// What it should be, such as `device tier`.
        wanted: &'static str,
        /// The tiers that it could be.
        known: Vec<String>,
    },
    /// The log of decisions could not be begun.
    #[error(transparent)]
    Journal(#[from] mesh::journal::Error),
}

/// Names as a message lists them, the first sixteen.
#[must_use]
pub fn listed(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names => {
            let shown: Vec<_> = names.iter().take(LISTED_MAX).map(|name| format!("`{name}`")).collect();
            let more = if names.len() > LISTED_MAX { ", …" } else { "" };
            shown.join(", ") + more
        }
    }
}
