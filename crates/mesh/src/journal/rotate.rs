//! A file of lines that is put aside when it is full, with a bounded number of older ones beside it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::bind::{self, Bind, Binder};
use super::{Error, JournalFormat, JournalOptions};

/// The owner reads and writes it: who asked for what is nobody else's business.
pub(super) const MODE: u32 = 0o600;

/// The present file, and the names of the older ones.
#[derive(Debug)]
pub(super) struct Rotated {
    path: PathBuf,
    file: File,
    bytes: u64,
    bytes_max: u64,
    files_max: u32,
    /// The last line was not written whole.
    torn: bool,
    line: Vec<u8>,
    binder: Option<Binder>,
}

// === impl Rotated ===

impl Rotated {
    /// Opens the file to append, closes off its last line if that is torn, and removes files beyond the bound.
    pub(super) fn open(options: &JournalOptions, bind: Option<Bind>) -> Result<Self, Error> {
        let binder = match (options.format, bind) {
            (JournalFormat::Jsonl, _) => None,
            (format, Some(bind)) => Some(Binder::new(bind, format)),
            (_, None) => return Err(Error::Format),
        };
        let path = options.path.clone();
        let unwritable = |source| Error::Unwritable { file: path.clone(), source };
        let file = create(&path).map_err(unwritable)?;
        // Where a file system has no locks there is nothing to be told by them.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(Error::Taken { file: path });
        }
        let bytes = file.metadata().map_err(unwritable)?.len();
        let torn = is_torn(&path, bytes).map_err(unwritable)?;
        let (bytes_max, files_max) = (options.file_bytes_max, options.files_max);
        let mut rotated =
            Self { path: path.clone(), file, bytes, bytes_max, files_max, torn, line: Vec::new(), binder };
        if torn {
            rotated.write().map_err(unwritable)?;
        }
        rotated.remove_beyond();
        rotated.bind_older();
        Ok(rotated)
    }

    /// Appends one line, which must not contain an end of line.
    pub(super) fn append(&mut self, line: &str) -> io::Result<()> {
        let bytes = line.len() as u64 + 1;
        if self.bytes > 0 && self.bytes.saturating_add(bytes) > self.bytes_max {
            self.rotate()?;
        }
        self.line.extend_from_slice(line.as_bytes());
        self.line.push(b'\n');
        self.write()
    }

    /// Sees the lines to the disk itself.
    pub(super) fn sync(&self) {
        if let Err(error) = self.file.sync_data() {
            tracing::warn!(file = %self.path.display(), %error, "the log may not be on the disk yet");
        }
    }

    /// Ends the file: where files are bound, the present one is finished too.
    pub(super) fn end(&mut self) {
        self.sync();
        if self.binder.is_none() {
            return;
        }
        if self.bytes > 0
            && let Err(error) = self.rotate()
        {
            tracing::warn!(file = %self.path.display(), %error, "the last log is bound at the next start");
        }
        if let Some(binder) = &mut self.binder {
            binder.wait();
        }
    }

    /// One call for each line, so that a crash between two lines tears none.
    fn write(&mut self) -> io::Result<()> {
        if self.torn {
            self.line.insert(0, b'\n');
        }
        let written = self.file.write_all(&self.line);
        self.bytes = self.bytes.saturating_add(self.line.len() as u64);
        self.line.clear();
        self.torn = written.is_err();
        written
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.sync();
        if let Some(binder) = &mut self.binder {
            binder.wait();
        }
        if self.files_max == 1 {
            self.file.set_len(0)?;
        } else {
            for number in (1..self.files_max - 1).rev() {
                let (older, oldest) = (self.older(number), self.older(number + 1));
                renamed(&older, &oldest)?;
                renamed(&bind::name(&older), &bind::name(&oldest))?;
            }
            renamed(&self.path, &self.older(1))?;
            let file = create(&self.path)?;
            let _ = file.try_lock();
            self.file = file;
        }
        (self.bytes, self.torn) = (0, false);
        if let Some(binder) = &mut self.binder {
            let finished = vec![older(&self.path, 1)];
            binder.begin(finished);
        }
        Ok(())
    }

    fn older(&self, number: u32) -> PathBuf {
        older(&self.path, number)
    }

    /// What an earlier run finished and did not come to bind.
    fn bind_older(&mut self) {
        let files: Vec<_> = (1..self.files_max).map(|number| self.older(number)).collect();
        let left = files.into_iter().filter(|file| file.exists()).collect();
        if let Some(binder) = &mut self.binder {
            binder.begin(left);
        }
    }

    /// An earlier start may have been allowed more files.
    fn remove_beyond(&self) {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let Some(name) = self.path.file_name().and_then(|name| name.to_str()) else { return };
        let entries = fs::read_dir(folder.unwrap_or_else(|| Path::new("."))).into_iter().flatten().flatten();
        for entry in entries {
            let file = entry.file_name();
            let number =
                file.to_str().and_then(|file| file.strip_prefix(name)?.strip_prefix('.')).and_then(numbered);
            if number.is_some_and(|number: u32| number >= self.files_max.max(1))
                && let Err(error) = fs::remove_file(entry.path())
            {
                tracing::warn!(file = %entry.path().display(), %error, "an old log cannot be removed");
            }
        }
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(MODE).open(path)
}

fn older(path: &Path, number: u32) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(format!(".{number}"));
    name.into()
}

/// The number of an older file, bound or not.
fn numbered(end: &str) -> Option<u32> {
    end.strip_suffix(bind::END).unwrap_or(end).parse().ok()
}

/// Whether the last line of a file has no end.
fn is_torn(path: &Path, bytes: u64) -> io::Result<bool> {
    if bytes == 0 {
        return Ok(false);
    }
    let mut file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// Where there is nothing to rename, nothing is left under the other name either.
fn renamed(from: &Path, to: &Path) -> io::Result<()> {
    let missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    match fs::rename(from, to) {
        Err(error) if missing(&error) => match fs::remove_file(to) {
            Err(error) if !missing(&error) => Err(error),
            _ => Ok(()),
        },
        renamed => renamed,
    }
}
