//! The policy in force: read and checked at the start, held so that another can take its place between two requests.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use policy::{RULES_BYTES_MAX, Rules};

use crate::error::Error;

/// The rules that requests are decided under.
#[derive(Debug)]
pub(crate) struct Policies {
    current: ArcSwap<Rules>,
}

// === impl Policies ===

impl Policies {
    /// Reads the policy file.
    pub(crate) fn load(file: &Path) -> Result<Self, Error> {
        let text = text(file).map_err(|source| Error::PolicyUnreadable { file: file.to_owned(), source })?;
        let rules = Rules::parse(&file.display().to_string(), &text).map_err(Error::Policy)?;
        Ok(Self { current: ArcSwap::from_pointee(rules) })
    }

    /// The rules for one request: held through it, so that all its decisions are made under the same.
    pub(crate) fn current(&self) -> Arc<Rules> {
        Guard::into_inner(self.current.load())
    }
}

/// One byte more than the policy may have is read, so that the parser says that it is too large.
fn text(file: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(file)?.take(RULES_BYTES_MAX as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}
