//! The books on the disk: what is spent of budgets and how much went up under caps, so that no restart refills either.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use mesh::journal::{JournalOptions, replace};
use policy::ledger::{Kept, KeptTally};
use serde::{Deserialize, Serialize};

use crate::options::BudgetOptions;

/// The edition of the file.
const SCHEMA: &str = "causeway.books/v1";
/// Bytes of the largest file that is read.
const BYTES_MAX: u64 = 64 << 20;

/// Everything that is kept.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Books {
    schema: String,
    pub(crate) accounts: Vec<Kept>,
    pub(crate) tallies: Vec<KeptTally>,
}

/// The file; `None`: books end with the process.
pub(crate) fn file(options: &BudgetOptions, log: &JournalOptions) -> Option<PathBuf> {
    let beside = || {
        let mut name = log.path.clone().into_os_string();
        name.push(".books");
        (!log.path.as_os_str().is_empty()).then(|| name.into())
    };
    options.path.clone().or_else(beside)
}

/// Reads the books. Such as cannot be read are put aside and told of: an operator has to know that budgets began anew,
/// and callers must not wait for it.
pub(crate) fn read(file: &Path) -> Books {
    let problem = match text(file).map(|text| parse(&text)) {
        Ok(Ok(books)) => return books,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Books::new(Vec::new(), Vec::new()),
        Ok(Err(problem)) => problem,
        Err(error) => error.to_string(),
    };
    let mut aside = file.to_owned().into_os_string();
    aside.push(".broken");
    let kept = fs::rename(file, &aside).is_ok();
    let (file, aside) = (file.display(), Path::new(&aside).display());
    tracing::error!(%file, %aside, kept, problem, "the books cannot be read: every budget begins anew");
    Books::new(Vec::new(), Vec::new())
}

/// Writes the books.
pub(crate) fn write(file: &Path, books: &Books) -> io::Result<()> {
    replace(file, serde_json::to_string(books)?.as_bytes())
}

fn text(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(file)?.take(BYTES_MAX + 1).read_to_string(&mut text)?;
    Ok(text)
}

fn parse(text: &str) -> Result<Books, String> {
    if text.len() as u64 > BYTES_MAX {
        return Err(format!("they have more than {BYTES_MAX} bytes"));
    }
    let books: Books = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if books.schema == SCHEMA {
        Ok(books)
    } else {
        Err(format!("this is a `{}`, and no `{SCHEMA}`", books.schema))
    }
}

// === impl Books ===

impl Books {
    pub(crate) fn new(accounts: Vec<Kept>, tallies: Vec<KeptTally>) -> Self {
        Self { schema: SCHEMA.to_owned(), accounts, tallies }
    }
}

#[cfg(test)]
mod tests;
