//! The policies: how they are read, and what they must say of the workers there are.

use mesh::journal::Journal;
use mesh::rollout::{LoadError, Report, Rollout, RolloutOptions, Source};
use policy::{RULES_BYTES_MAX, Rules};
use proto::v1;

use crate::config::WorkerOptions;
use crate::decisions::Log;
use crate::error::Error;
use crate::fleet;

/// The policy in force, and what is tried beside it.
pub(crate) type Policies = Rollout<Reader>;

/// Reads policies for a fleet: one that does not know a worker's tier is refused, whenever it comes.
#[derive(Debug)]
pub(crate) struct Reader {
    workers: Vec<WorkerOptions>,
}

/// Reads the policy files.
pub(crate) fn load(options: &RolloutOptions, workers: &[WorkerOptions]) -> Result<Policies, Error> {
    Rollout::load(options, Reader { workers: workers.to_vec() }).map_err(|error| match error {
        LoadError::Unreadable { file, key, source } => Error::PolicyUnreadable { file, key, source },
        LoadError::Refused(error) => error,
    })
}

/// What `Describe` says of the policies and of the log.
pub(crate) fn state(policies: &Policies, log: &Log) -> v1::PolicyState {
    let Report { live, canary, shadowed, differences, .. } = policies.report();
    let canary = canary.unwrap_or_default();
    let written = log.as_ref().map(Journal::written).unwrap_or_default();
    v1::PolicyState {
        hash: policies.live().hash().to_string(),
        reloads: live.reloads,
        reloads_refused: live.refused,
        refusal: live.refusal.unwrap_or_default(),
        shadowed,
        shadow_different: differences.iter().map(|one| one.count).sum(),
        canary_exposed: canary.exposed,
        canary_rollbacks: canary.rollbacks,
        canary_rolled_back: canary.rolled_back.unwrap_or_default(),
        decisions_logged: written.written,
        decisions_dropped: written.dropped,
    }
}

// === impl Reader ===

impl Source for Reader {
    type Rules = Rules;
    type Error = Error;

    const BYTES_MAX: usize = RULES_BYTES_MAX;

    fn read(&self, file: &str, text: &str) -> Result<Rules, Error> {
        let rules = Rules::parse(file, text).map_err(Error::Policy)?;
        fleet::check(&self.workers, &rules)?;
        Ok(rules)
    }

    fn position(error: &Error) -> Option<(usize, usize)> {
        match error {
            Error::Policy(error) => error.flaw().map(|flaw| (flaw.line, flaw.column)),
            _ => None,
        }
    }
}
