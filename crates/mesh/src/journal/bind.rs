//! Finished files of lines, bound into files of another format on a thread beside the writer.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use super::JournalFormat;
use super::rotate::MODE;

/// Reads a finished file of lines and writes what becomes of it.
pub type Bind = fn(&File, &File) -> io::Result<()>;

/// What a bound file's name ends with.
pub(super) const END: &str = ".parquet";

/// Binds one file at a time. Until it has, its lines stay; what a crash interrupts is done at the next start.
#[derive(Debug)]
pub(super) struct Binder {
    bind: Bind,
    /// Lines are removed once they are bound.
    only: bool,
    running: Option<JoinHandle<()>>,
}

// === impl Binder ===

impl Binder {
    pub(super) fn new(bind: Bind, format: JournalFormat) -> Self {
        Self { bind, only: format == JournalFormat::Parquet, running: None }
    }

    /// Waits for what is being bound: until then no file may have another name.
    pub(super) fn wait(&mut self) {
        if let Some(Err(_)) = self.running.take().map(JoinHandle::join) {
            tracing::error!("the thread that binds finished logs died; their lines stay");
        }
    }

    /// Binds these files, one after the other.
    pub(super) fn begin(&mut self, files: Vec<PathBuf>) {
        self.wait();
        let (bind, only) = (self.bind, self.only);
        let work = move || files.iter().for_each(|file| bound(file, bind, only));
        match thread::Builder::new().name("journal-bind".to_owned()).spawn(work) {
            Ok(thread) => self.running = Some(thread),
            Err(error) => tracing::error!(%error, "a finished log cannot be bound; its lines stay"),
        }
    }
}

/// The name of what becomes of a file.
pub(super) fn name(file: &Path) -> PathBuf {
    ended(file, END)
}

fn ended(file: &Path, end: &str) -> PathBuf {
    let mut name = file.to_owned().into_os_string();
    name.push(end);
    name.into()
}

fn bound(file: &Path, bind: Bind, only: bool) {
    let done = if name(file).exists() { Ok(()) } else { written(file, bind) };
    match done {
        Ok(()) if only => {
            if let Err(error) = fs::remove_file(file) {
                tracing::warn!(file = %file.display(), %error, "the lines of a bound log cannot be removed");
            }
        }
        Ok(()) => {}
        Err(error) => {
            tracing::error!(file = %file.display(), %error, "a finished log cannot be bound; its lines stay");
        }
    }
}

/// Written aside and renamed when it is on the disk, so that a bound file is always whole.
fn written(file: &Path, bind: Bind) -> io::Result<()> {
    let aside = ended(&name(file), ".new");
    let new = OpenOptions::new().create(true).write(true).truncate(true).mode(MODE).open(&aside)?;
    bind(&File::open(file)?, &new)?;
    new.sync_data()?;
    fs::rename(&aside, name(file))
}
