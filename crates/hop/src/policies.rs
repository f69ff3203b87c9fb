//! The policies: how they are read, and what they must say of the places that a hop has.

use std::fmt;

use mesh::rollout::{LoadError, Rollout, RolloutOptions, Source};
use policy::{RULES_BYTES_MAX, Rules, Severity};

use crate::error::Error;

#[cfg(test)]
mod tests;

/// The policy in force, and what is tried beside it.
pub type Policies = Rollout<Reader>;

type Check = dyn Fn(&Rules) -> Result<(), Error> + Send + Sync;

/// Reads policies for a hop: one that does not fit its places, or that checking finds an error in, is refused, whenever it
/// comes.
pub struct Reader {
    fits: Box<Check>,
    checked: bool,
    sealed: bool,
}

/// Reads the policy files; `fits` says whether one fits the places that the hop has.
///
/// # Errors
/// A file cannot be read, is no policy, or does not fit.
pub fn load(
    options: &RolloutOptions,
    fits: impl Fn(&Rules) -> Result<(), Error> + Send + Sync + 'static,
) -> Result<Policies, Error> {
    let reader = Reader { fits: Box::new(fits), checked: options.checked, sealed: options.sealed };
    Rollout::load(options, reader).map_err(|error| match error {
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
        let parse = if self.sealed { Rules::parse_sealed } else { Rules::parse };
        let rules = parse(file, text).map_err(Error::Policy)?;
        (self.fits)(&rules)?;
        if self.checked {
            let error = policy::check(&rules).into_iter().find(|finding| finding.severity == Severity::Error);
            if let Some(finding) = error {
                return Err(Error::Policy(Box::new(finding.flaw).into()));
            }
        }
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
