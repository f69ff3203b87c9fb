//! Remembers where each configured value was written.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// The place where a value was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The program's own default.
    Default,
    /// A configuration file; line and column count from 1.
    File {
        /// The file as named to the program.
        path: PathBuf,
        /// Line of the key.
        line: usize,
        /// Column of the key, in characters.
        column: usize,
    },
    /// A configuration file as a whole: nothing in it was read.
    Whole(PathBuf),
    /// An environment variable, by name.
    Variable(String),
    /// A flag of the command line, `--set key=value`, by its dotted key.
    Flag(String),
}

/// Origins by path; what is not in here comes from the defaults.
#[derive(Debug, Default)]
pub(super) struct Origins(BTreeMap<Vec<String>, Entry>);

/// What stands at a path.
#[derive(Debug)]
struct Entry {
    origin: Origin,
    /// A table's heading gives no value: keys that are not written below it keep their defaults.
    heading: bool,
}

// === impl Origin ===

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File { path, line, .. } => write!(f, "{}:{line}", path.display()),
            Origin::Whole(path) => write!(f, "{}", path.display()),
            Origin::Variable(name) => f.write_str(name),
            Origin::Flag(key) => write!(f, "flag --set {key}"),
        }
    }
}

// === impl Origins ===

impl Origins {
    /// Records where a value was given; it replaces everything that stood below its key.
    pub(super) fn put(&mut self, path: &[String], origin: Origin) {
        self.forget(path);
        self.0.insert(path.to_vec(), Entry { origin, heading: false });
    }

    /// Records where a file has a key, without replacing what stands below it.
    pub(super) fn place(&mut self, path: &[String], origin: Origin, heading: bool) {
        self.0.insert(path.to_vec(), Entry { origin, heading });
    }

    /// Forgets a key and all below it.
    pub(super) fn forget(&mut self, path: &[String]) {
        self.0.retain(|known, _| !known.starts_with(path));
    }

    /// Where the value of a key comes from: its own place, or that of a value that contains it.
    pub(super) fn of(&self, path: &[String]) -> &Origin {
        let mut above = self.upwards(path);
        above.find(|entry| !entry.heading).map_or(&Origin::Default, |entry| &entry.origin)
    }

    /// The place to blame for a key: its own, the nearest above it, or that of the first key beside it.
    pub(super) fn near(&self, path: &[String]) -> &Origin {
        if let Some(entry) = self.upwards(path).next() {
            return &entry.origin;
        }
        let table = &path[..path.len().saturating_sub(1)];
        self.at_or_below(table).first().map_or(&Origin::Default, |(_, origin)| origin)
    }

    /// What stands at a path and below it, the path itself first.
    pub(super) fn at_or_below(&self, path: &[String]) -> Vec<(&[String], &Origin)> {
        self.iter().filter(|(known, _)| known.starts_with(path)).collect()
    }

    /// Every key that some source other than the defaults has set, with its origin; tables before their keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[String], &Origin)> {
        self.0.iter().map(|(path, entry)| (path.as_slice(), &entry.origin))
    }

    fn upwards(&self, path: &[String]) -> impl Iterator<Item = &Entry> {
        (1..=path.len()).rev().filter_map(|depth| self.0.get(&path[..depth]))
    }
}

/// A path as it is written: segments joined by dots, in quotes where a segment has dots itself.
pub(super) fn dotted(path: &[String]) -> String {
    let plain = |segment: &String| match segment.contains('.') {
        true => format!("\"{segment}\""),
        false => segment.clone(),
    };
    path.iter().map(plain).collect::<Vec<_>>().join(".")
}

/// The segments of a dotted key.
pub(super) fn segments(key: &str) -> Vec<String> {
    key.split('.').map(str::to_owned).collect()
}
