//! Which rules were tried and taken back, in a file, so that no restart tries them again.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use super::RolloutOptions;
use crate::journal::replace;

/// Verdicts that are remembered; of more, the oldest is forgotten.
const VERDICTS_MAX: usize = 64;
/// Bytes of a reason that are kept, and of the whole file that are read.
const REASON_BYTES_MAX: usize = 256;
const BYTES_MAX: u64 = 64 << 10;

/// See the module.
#[derive(Debug)]
pub(super) struct Verdicts {
    file: PathBuf,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// A hash and a reason each, the oldest first.
    all: Vec<(String, String)>,
    unwritten: bool,
}

// === impl Verdicts ===

impl Verdicts {
    /// Reads the file. One that cannot be read says nothing, which is told: a canary is no reason not to start.
    pub(super) fn load(options: &RolloutOptions) -> Self {
        let beside = || {
            let mut name = options.canary.clone().unwrap_or_default().into_os_string();
            name.push(".verdicts");
            name.into()
        };
        let file = options.canary_verdicts.clone().unwrap_or_else(beside);
        let all = match read(&file) {
            Ok(text) => parse(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                let file = file.display();
                tracing::error!(%file, %error, "which canaries were taken back is not known");
                Vec::new()
            }
        };
        Self { file, known: Mutex::new(Known { all, unwritten: false }) }
    }

    /// Why these rules were taken back; `None`: they were not.
    pub(super) fn of(&self, hash: &str) -> Option<String> {
        let known = self.known.lock();
        known.all.iter().find(|(known, _)| known == hash).map(|(_, reason)| reason.clone())
    }

    /// These rules were taken back.
    pub(super) fn add(&self, hash: &str, reason: &str) {
        let mut end = reason.len().min(REASON_BYTES_MAX);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        let mut known = self.known.lock();
        if known.all.iter().any(|(known, _)| known == hash) {
            return;
        }
        known.all.push((hash.to_owned(), reason[..end].replace(['\n', '\r'], " ")));
        let over = known.all.len().saturating_sub(VERDICTS_MAX);
        known.all.drain(..over);
        known.unwritten = true;
    }

    /// Writes what is not written yet. Where that fails it is told, and tried again with the next verdict.
    pub(super) fn write(&self) {
        let text = {
            let mut known = self.known.lock();
            if !std::mem::take(&mut known.unwritten) {
                return;
            }
            known.all.iter().map(|(hash, reason)| format!("{hash} {reason}\n")).collect::<String>()
        };
        if let Err(error) = replace(&self.file, text.as_bytes()) {
            let file = self.file.display();
            tracing::error!(
                %file,
                %error,
                "a restart will try this canary again; set `policy.canary_verdicts` to a file that can be written"
            );
        }
    }
}

fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(file)?.take(BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// A line each, `HASH REASON`; one that is torn has no end and is left out.
fn parse(text: &str) -> Vec<(String, String)> {
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let lines = whole.lines().filter_map(|line| line.split_once(' '));
    lines.take(VERDICTS_MAX).map(|(hash, reason)| (hash.to_owned(), reason.to_owned())).collect()
}
