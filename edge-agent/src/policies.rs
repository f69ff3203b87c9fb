//! The policies: how they are read, and what they must say of the device's model.

use mesh::journal::Journal;
use mesh::rollout::{LoadError, Report, Rollout, RolloutOptions, Source};
use policy::{RULES_BYTES_MAX, Rules};
use proto::v1;

use crate::config::ModelOptions;
use crate::decisions::Log;
use crate::error::Error;
use crate::local;

/// The policy in force, and what is tried beside it.
pub(crate) type Policies = Rollout<Reader>;

/// Reads policies for a device: one that does not price its model is refused, whenever it comes.
#[derive(Debug)]
pub(crate) struct Reader {
    /// The tier of the model; `None`: there is no model.
    device_tier: Option<String>,
}

/// Reads the policy files.
pub(crate) fn load(options: &RolloutOptions, model: &ModelOptions) -> Result<Policies, Error> {
    let device_tier = model.path.as_ref().map(|_| model.tier.clone());
    Rollout::load(options, Reader { device_tier }).map_err(|error| match error {
        LoadError::Unreadable { file, key, source } => Error::Unreadable { file, key, source },
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
        if let Some(tier) = &self.device_tier {
            local::check(tier, &rules)?;
        }
        Ok(rules)
    }

    fn position(error: &Error) -> Option<(usize, usize)> {
        match error {
            Error::Policy(error) => error.flaw().map(|flaw| (flaw.line, flaw.column)),
            _ => None,
        }
    }
}
