//! Decides what a process runs with: defaults, then a TOML file, the environment, flags, and validation.
//!
//! Each later source wins over the earlier ones, key by key; a list is replaced as a whole. Every problem that
//! can be known at once is reported at once, with the place where it was written.

mod report;
mod file;
mod variables;
mod origin;
mod words;
mod layers;
mod render;
#[cfg(test)]
mod tests;

use std::path::Path;

use figment::value::Value;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::origin::Origin;
use self::origin::{Origins, segments};
pub use self::report::{Error, Invalid, Problem};

/// The prefix of every variable that this project reads, but for [`LOG_VARIABLE`].
pub const VARIABLE_PREFIX: &str = "CAUSEWAY_";

/// The variable by which Rust programs are told what to log: it stands for [`LOG_KEY`] where nothing else sets that.
pub const LOG_VARIABLE: &str = "RUST_LOG";

/// The key that [`LOG_VARIABLE`] sets, in configurations that have it.
pub const LOG_KEY: &str = "telemetry.log_filter";

/// A configuration that knows its defaults and can judge itself.
///
/// A key is known when the configured value shows it on serialising, so a field that is left out while serialising
/// (`skip_serializing_if`) must be named in [`Configure::optional_keys`].
pub trait Configure: Serialize + DeserializeOwned + Default {
    /// Checks what types cannot: ranges, and fields that only make sense together.
    ///
    /// # Errors
    /// All problems found, each with its dotted key.
    fn validate(&self) -> Result<(), Vec<Invalid>>;

    /// Keys that exist though serialising does not show them; a `*` stands for any one segment.
    fn optional_keys() -> &'static [&'static str] {
        &[]
    }
}

/// Where values come from besides the defaults, in rising order of precedence.
#[derive(Debug, Default)]
pub struct Sources<'a> {
    /// A TOML file; one that is named must exist.
    pub file: Option<&'a Path>,
    /// Environment variables as given by [`environment`], or by a test.
    pub env: Vec<(String, String)>,
    /// Flags as dotted key and text.
    pub flags: Vec<(String, String)>,
}

/// What the sources come to, faults and all.
#[derive(Debug)]
pub struct Draft<T> {
    value: Option<T>,
    tree: Value,
    origins: Origins,
    problems: Vec<Problem>,
}

/// A configuration together with the origin of each of its values.
#[derive(Debug)]
pub struct Loaded<T> {
    /// The validated configuration.
    pub value: T,
    tree: Value,
    origins: Origins,
}

/// Reads this project's variables: the one place where the process environment is read.
///
/// Only [`LOG_VARIABLE`] and names with the prefix `CAUSEWAY_` are returned, so that nothing else of the environment can reach a log or
/// an error message; text that is not UTF-8 is kept with replacement characters and then fails validation.
#[must_use]
pub fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .filter(|(name, _)| name.starts_with(VARIABLE_PREFIX) || name == LOG_VARIABLE)
        .collect()
}

/// Loads a configuration from its sources and validates it.
///
/// # Errors
/// Every problem that could be found in one pass, each with its place, its key and what to do.
pub fn load<T: Configure>(sources: Sources<'_>) -> Result<Loaded<T>, Error> {
    draft(sources)?.finish()
}

/// Lays the sources over each other, as far as that goes: what is wrong is kept beside what is there.
///
/// # Errors
/// A file that cannot be read, or is no TOML: all that is missing from it would be told as a fault of its own.
pub fn draft<T: Configure>(sources: Sources<'_>) -> Result<Draft<T>, Error> {
    let defaults = layers::defaults::<T>()?;
    let mut problems = Vec::new();
    let mut layers = layers::Layers::new(defaults);
    if let Some(path) = sources.file {
        layers.put_file(file::read(path).map_err(|problem| Error::from_problems(vec![problem]))?);
    }
    layers.put_variables(&sources.env, &mut problems);
    layers.put_flags(sources.flags, &mut problems);

    let (value, tree, origins) = layers.extract::<T>(&mut problems);
    if let Some(Err(invalid)) = value.as_ref().map(Configure::validate) {
        problems.extend(invalid.into_iter().map(|invalid| Problem::invalid(invalid, &origins)));
    }
    Ok(Draft { value, tree, origins, problems })
}

// === impl Draft ===

impl<T> Draft<T> {
    /// Shows every key as [`Loaded::render`] does. A value that could not be taken shows its default.
    #[must_use]
    pub fn render(&self) -> String {
        render::lines(&self.tree, &self.origins)
    }

    /// The configuration, if nothing is wrong with it.
    ///
    /// # Errors
    /// Every problem that was found.
    pub fn finish(self) -> Result<Loaded<T>, Error> {
        let Draft { value, tree, origins, problems } = self;
        match value {
            Some(value) if problems.is_empty() => Ok(Loaded { value, tree, origins }),
            _ => Err(Error::from_problems(problems)),
        }
    }
}

// === impl Loaded ===

impl<T> Loaded<T> {
    /// Shows every key with its value and origin, one a line, in TOML that loads to the same configuration.
    #[must_use]
    pub fn render(&self) -> String {
        render::lines(&self.tree, &self.origins)
    }

    /// Where the value of a dotted key came from; a key that nothing set comes from the defaults.
    #[must_use]
    pub fn origin(&self, key: &str) -> &Origin {
        self.origins.of(&segments(key))
    }
}
