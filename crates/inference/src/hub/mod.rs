//! Models named by their place on a hub, `hf:owner/name[@revision][:file]`: from the cache of files that were fetched
//! before, or fetched now.

#[cfg(feature = "hub")]
mod choice;
#[cfg(feature = "hub")]
mod fetch;
mod name;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Error;
use name::Name;

/// Where models that are named by `hf:` come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HubOptions {
    /// The hub's address, without a slash at the end.
    pub endpoint: String,
    /// The folder of what was fetched, in the form that the hub's other clients share; unset, theirs in the home folder.
    /// A token in a file `token` beside it is shown to the hub.
    pub cache: Option<PathBuf>,
    /// Nothing is asked of the hub: what is not in the cache is refused.
    pub offline: bool,
}

impl Default for HubOptions {
    fn default() -> Self {
        Self { endpoint: "https://huggingface.co".to_owned(), cache: None, offline: false }
    }
}

/// The file or folder of a model: what a name with `hf:` stands for, and any other path as it is.
pub(crate) fn resolve(model: &Path, options: &HubOptions) -> Result<PathBuf, Error> {
    match model.to_str().and_then(|text| text.strip_prefix("hf:")) {
        None => Ok(model.to_owned()),
        Some(text) => {
            let name = Name::parse(text).map_err(|problem| Error::BadOption { field: "model", problem })?;
            find(&name, options)
        }
    }
}

#[cfg(feature = "hub")]
fn find(name: &Name, options: &HubOptions) -> Result<PathBuf, Error> {
    // The library asserts some of what a hub must answer; a hub that does not is an error like any other.
    let found = std::panic::catch_unwind(|| fetch::find(name, options));
    found.unwrap_or_else(|_| {
        Err(Error::model(&name.path(), "hub", "gave an answer that is none of a hub; is `hub.endpoint` one?"))
    })
}

#[cfg(not(feature = "hub"))]
fn find(name: &Name, _: &HubOptions) -> Result<PathBuf, Error> {
    let problem = format!(
        "is {}, and this program was built without the feature `hub`; name a folder or a GGUF file",
        name.path().display()
    );
    Err(Error::BadOption { field: "model", problem })
}
