//! A file of lines that is put aside when it is full, with a bounded number of older ones beside it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::{Error, JournalOptions};

/// The owner reads and writes it: who asked for what is nobody else's business.
const MODE: u32 = 0o600;

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
}

// === impl Rotated ===

impl Rotated {
    /// Opens the file to append, closes off its last line if that is torn, and removes files beyond the bound.
    pub(super) fn open(options: &JournalOptions) -> Result<Self, Error> {
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
            Self { path: path.clone(), file, bytes, bytes_max, files_max, torn, line: Vec::new() };
        if torn {
            rotated.write().map_err(unwritable)?;
        }
        rotated.remove_beyond();
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
        if self.files_max == 1 {
            self.file.set_len(0)?;
        } else {
            for number in (1..self.files_max - 1).rev() {
                renamed(&self.older(number), &self.older(number + 1))?;
            }
            renamed(&self.path, &self.older(1))?;
            let file = create(&self.path)?;
            let _ = file.try_lock();
            self.file = file;
        }
        (self.bytes, self.torn) = (0, false);
        Ok(())
    }

    fn older(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }

    /// An earlier start may have been allowed more files.
    fn remove_beyond(&self) {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let Some(name) = self.path.file_name().and_then(|name| name.to_str()) else { return };
        let entries = fs::read_dir(folder.unwrap_or_else(|| Path::new("."))).into_iter().flatten().flatten();
        for entry in entries {
            let file = entry.file_name();
            let number =
                file.to_str().and_then(|file| file.strip_prefix(name)?.strip_prefix('.')?.parse().ok());
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

fn renamed(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
