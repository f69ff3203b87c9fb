//! The parts of a name on a hub.

use std::path::PathBuf;

/// Longer names are none.
const LENGTH_MAX: usize = 512;
const FORM: &str = "hf:owner/name, hf:owner/name@revision or hf:owner/name:file.gguf";

/// What `hf:owner/name[@revision][:file]` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    /// `owner/name`.
    pub(super) repository: String,
    /// A branch, a tag or a commit.
    pub(super) revision: String,
    /// A GGUF file of the repository; without one the repository is a folder or has a single such file.
    pub(super) file: Option<String>,
}

impl Name {
    /// Reads what follows `hf:`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let refused = |problem: &str| Err(format!("is hf:{text}, {problem}; the form is {FORM}"));
        if text.len() > LENGTH_MAX {
            return Err(format!("is a name of {} bytes; the form is {FORM}", text.len()));
        }
        let (place, file) = match text.split_once(':') {
            Some((place, file)) => (place, Some(file)),
            None => (text, None),
        };
        let (repository, revision) = place.split_once('@').unwrap_or((place, "main"));
        if repository.split('/').count() != 2 || !is_path(repository) {
            return refused("whose repository is not an owner and a name");
        }
        if !is_path(revision) {
            return refused("whose revision is no name");
        }
        match file {
            Some(file) if !is_path(file) => refused("whose file is no path in a repository"),
            Some(file) if !file.ends_with(".gguf") => {
                refused("whose file is not a .gguf file; a folder of safetensors is named without a file")
            }
            _ => Ok(Self {
                repository: repository.to_owned(),
                revision: revision.to_owned(),
                file: file.map(str::to_owned),
            }),
        }
    }

    /// The name as it was given, for messages.
    pub(super) fn path(&self) -> PathBuf {
        let revision = if self.revision == "main" { String::new() } else { format!("@{}", self.revision) };
        let file = self.file.as_ref().map(|file| format!(":{file}")).unwrap_or_default();
        PathBuf::from(format!("hf:{}{revision}{file}", self.repository))
    }
}

/// Whether the text is names with slashes between, none of which leads elsewhere.
pub(super) fn is_path(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+');
    text.split('/').all(|part| !part.is_empty() && !part.starts_with('.') && part.chars().all(plain))
}
