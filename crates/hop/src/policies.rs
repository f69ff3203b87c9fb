//! The policies: how they are read, and what they must say of the places that a hop has.

use std::fmt;

use mesh::rollout::{LoadError, Rollout, RolloutOptions, Source};
use policy::{RULES_BYTES_MAX, Rules};

use crate::error::Error;

/// The policy in force, and what is tried beside it.
pub type Policies = Rollout<Reader>;

type Check = dyn Fn(&Rules) -> Result<(), Error> + Send + Sync;

/// Reads policies for a hop: one that does not fit its places is refused, whenever it comes.
pub struct Reader {
    check: Box<Check>,
}

/// Reads the policy files; `check` says whether one fits the places that the hop has.
///
/// # Errors
/// A file cannot be read, is no policy, or does not fit.
pub fn load(
    options: &RolloutOptions,
    check: impl Fn(&Rules) -> Result<(), Error> + Send + Sync + 'static,
) -> Result<Policies, Error> {
    Rollout::load(options, Reader { check: Box::new(check) }).map_err(|error| match error {
        LoadError::Unreadable { file, key, source } => Error::PolicyUnreadable { file, key, source },
        LoadError::Refused(error) => error,
    })
}

// === impl Reader ===

impl Source for Reader {
    type Rules = Rules;
    type Error = Error;

    const BYTES_MAX: usize = RULES_BYTES_MAX;

    fn read(&self, file: &str, text: &str) -> Result<Rules, Error> {
        let rules = Rules::parse(file, text).map_err(Error::Policy)?;
        (self.check)(&rules)?;
        Ok(rules)
    }

    fn hash(rules: &Rules) -> String {
        rules.hash().to_string()
    }

    fn position(error: &Error) -> Option<(usize, usize)> {
        match error {
            Error::Policy(error) => error.flaw().map(|flaw| (flaw.line, flaw.column)),
            _ => None,
        }
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Reader")
    }
}
