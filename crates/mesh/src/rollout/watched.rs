//! One file of rules: looked at again and again, taken when it changed and can be read, kept as it was otherwise.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;

use super::{LoadError, Source};

/// What became of a file so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileReport {
    /// Times that a change was taken.
    pub reloads: u64,
    /// Times that a change was refused.
    pub refused: u64,
    /// Why the file as it is now is not in force; `None`: it is.
    pub refusal: Option<String>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Watched<R> {
    key: &'static str,
    file: PathBuf,
    current: ArcSwap<R>,
    seen: Mutex<Seen>,
    reloads: AtomicU64,
    refused: AtomicU64,
}

/// What a look at the file may find.
type Found = Result<Vec<u8>, String>;

#[derive(Debug)]
struct Seen {
    /// The text in force.
    taken: String,
    /// What was found last.
    last: Found,
    /// What was judged last.
    judged: Found,
    refusal: Option<String>,
}

// === impl Watched ===

impl<R: Send + Sync + 'static> Watched<R> {
    /// Reads the file for the first time.
    pub(super) fn load<S: Source<Rules = R>>(
        key: &'static str,
        file: PathBuf,
        source: &S,
    ) -> Result<Self, LoadError<S::Error>> {
        let read = read(&file, S::BYTES_MAX).and_then(|bytes| {
            String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
        });
        let taken = match read {
            Ok(text) => text,
            Err(source) => return Err(LoadError::Unreadable { file, key, source }),
        };
        let rules = source.read(&file.display().to_string(), &taken).map_err(LoadError::Refused)?;
        let found: Found = Ok(taken.clone().into_bytes());
        let seen = Seen { taken, last: found.clone(), judged: found, refusal: None };
        let (reloads, refused) = (AtomicU64::new(0), AtomicU64::new(0));
        let current = ArcSwap::from_pointee(rules);
        Ok(Self { key, file, current, seen: Mutex::new(seen), reloads, refused })
    }

    /// The rules in force.
    pub(super) fn current(&self) -> Arc<R> {
        Guard::into_inner(self.current.load())
    }

    /// Looks whether the file changed, and takes what it says if that can be read. The path is followed anew each time,
    /// so that a file that is swapped by its link is seen. Whether a change was taken.
    pub(super) async fn look<S: Source<Rules = R>>(&self, source: &Arc<S>) -> bool {
        let (file, bytes_max) = (self.file.clone(), S::BYTES_MAX);
        let found = tokio::task::spawn_blocking(move || read(&file, bytes_max)).await;
        let found: Found = match found {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(error)) => Err(error.to_string()),
            // The runtime ends.
            Err(_) => return false,
        };
        let name = self.file.display().to_string();
        let text = {
            let mut seen = self.seen.lock();
            // A file that is being written changes between two looks.
            let settled = seen.last == found;
            if !settled {
                seen.last = found;
                return false;
            }
            if seen.judged == found {
                return false;
            }
            seen.judged = found;
            match text(&name, &seen) {
                Ok(text) if text == seen.taken => {
                    tracing::info!(file = name, key = self.key, "the file is again as it is in force");
                    seen.refusal = None;
                    return false;
                }
                text => text,
            }
        };
        // Rules are looked through for as long as it takes, which is nothing to keep requests waiting for.
        let source = Arc::clone(source);
        let judged = tokio::task::spawn_blocking(move || {
            let text = text?;
            let rules = source.read(&name, &text);
            rules.map(|rules| (text, rules)).map_err(|error| (S::position(&error), error.to_string()))
        });
        match judged.await {
            Ok(Ok((text, rules))) => self.take(text, rules),
            Ok(Err(unfit)) => self.refuse(unfit),
            Err(_) => false,
        }
    }

    fn take(&self, text: String, rules: R) -> bool {
        self.current.store(Arc::new(rules));
        self.reloads.fetch_add(1, Ordering::Relaxed);
        tracing::info!(file = %self.file.display(), key = self.key, "a new policy is in force");
        let mut seen = self.seen.lock();
        (seen.taken, seen.refusal) = (text, None);
        true
    }

    fn refuse(&self, (position, problem): Unfit) -> bool {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let (line, column) = position.unwrap_or_default();
        tracing::error!(
            file = %self.file.display(),
            key = self.key,
            line,
            column,
            problem,
            "a policy is refused; the last good one stays in force"
        );
        self.seen.lock().refusal = Some(problem);
        false
    }

    pub(super) fn report(&self) -> FileReport {
        FileReport {
            reloads: self.reloads.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            refusal: self.seen.lock().refusal.clone(),
        }
    }
}

/// Why a text is not to be judged, and its line and column where it has any.
type Unfit = (Option<(usize, usize)>, String);

/// The text that was found, unless it cannot be what somebody meant to write.
fn text(name: &str, seen: &Seen) -> Result<String, Unfit> {
    let bytes = match &seen.judged {
        Ok(bytes) => bytes,
        Err(error) => return Err((None, format!("the file cannot be read: {error}"))),
    };
    let at = |whole: &[u8], problem: &str| {
        let line = whole.iter().filter(|byte| **byte == b'\n').count() + 1;
        let last = whole.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        let column = String::from_utf8_lossy(last).chars().count() + 1;
        (Some((line, column)), format!("{name}:{line}:{column}: {problem}"))
    };
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return Err(at(&bytes[..error.valid_up_to()], "this is no UTF-8")),
    };
    if text.len() < seen.taken.len() && seen.taken.starts_with(text) && seen.taken[text.len()..].trim() != ""
    {
        let problem = "the file is the beginning of the policy in force, as if its rest was cut off here; \
                       if that is meant, change something else too, such as a comment";
        return Err(at(bytes, problem));
    }
    if seen.taken.ends_with('\n') && !text.ends_with('\n') && !text.is_empty() {
        return Err(at(bytes, "the last line has no end, as if the file was cut off; end it"));
    }
    Ok(text.to_owned())
}

/// One byte more than rules may have is read, so that their reader says that it is too large.
fn read(file: &PathBuf, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
