//! Whether a worker is sent work, why not, and who is spared when a tier would be left with nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use policy::{Candidate, Name};

use super::breaker::Cause;

/// How a worker stands with this router, apart from what it says of itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Standing {
    /// It is sent work.
    Fit,
    /// Nothing was heard of it for so long, though something should have been.
    Silent(Duration),
    /// Its breaker keeps work from it.
    Ejected {
        /// Why.
        cause: Cause,
        /// For how long; zero: it is being asked whether it is well.
        time: Duration,
        /// The share of requests that it answered of late.
        success_rate: f64,
    },
    /// It cannot be reached, or takes nothing new, as this says.
    Away(&'static str),
}

// === impl Standing ===

impl Standing {
    /// Takes the candidate out, with the reason.
    pub(super) fn mark(&self, candidate: &mut Candidate) {
        let reason = match self {
            Self::Fit => return,
            Self::Away(reason) => (*reason).to_owned(),
            Self::Silent(time) => format!("nothing was heard of it for {} ms", time.as_millis()),
            Self::Ejected { cause, time: Duration::ZERO, .. } => {
                format!("{cause}; one asks whether it is mended")
            }
            Self::Ejected { cause, time, .. } => {
                format!("{cause}; it is asked again in {} ms", time.as_millis())
            }
        };
        candidate.healthy = false;
        candidate.unhealthy_reason = Some(reason.into());
    }
}

/// Leaves no tier without anybody for its workers' failures: the one that fails least stays. Silent ones stay only where
/// nobody at all is left: then it may be this router that does not hear.
pub(super) fn spare(candidates: &mut [Candidate], standing: impl Fn(&Name) -> Standing) {
    if candidates.iter().all(|candidate| candidate.healthy) {
        return;
    }
    let served: BTreeSet<Name> = candidates
        .iter()
        .filter(|candidate| candidate.healthy)
        .map(|candidate| candidate.tier.clone())
        .collect();
    let mut least_bad: BTreeMap<Name, (usize, f64)> = BTreeMap::new();
    let mut silent = Vec::new();
    for (index, candidate) in candidates.iter().enumerate() {
        if served.contains(&candidate.tier) {
            continue;
        }
        match standing(&candidate.place) {
            Standing::Silent(_) => silent.push(index),
            Standing::Ejected { success_rate, .. } => {
                let least = least_bad.entry(candidate.tier.clone()).or_insert((index, success_rate));
                if success_rate > least.1 {
                    *least = (index, success_rate);
                }
            }
            Standing::Fit | Standing::Away(_) => {}
        }
    }
    let alone = served.is_empty() && least_bad.is_empty();
    let spared = least_bad.into_values().map(|(index, _)| index);
    for index in spared.chain(silent.into_iter().filter(|_| alone)) {
        candidates[index].healthy = true;
        candidates[index].unhealthy_reason = None;
    }
}

#[cfg(test)]
mod tests;
