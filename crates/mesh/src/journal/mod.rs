//! Lines that outlive a process: appended to files that rotate by size, and never at the cost of a request.
//!
//! Whoever has a line hands it to a bounded queue and goes on; where the queue is full the line is dropped and counted.
//! One thread writes. A line can be held back for a while, because a word about it is expected.

mod options;
mod rotate;
mod bind;
mod replace;
mod writer;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

pub use self::bind::Bind;
pub use self::options::{JournalFormat, JournalOptions};
pub use self::replace::replace;
use self::rotate::Rotated;
use self::writer::{Note, Writer};

/// Something that becomes a line.
pub trait Entry: Send + 'static {
    /// What may be said of it later.
    type Word: Send + 'static;

    /// Takes what was said.
    fn hear(&mut self, word: Self::Word);

    /// The line, without its end.
    fn line(&self) -> String;
}

/// Where lines are handed in; clones share the queue, and the writer ends when [`Journal::end`] is called.
#[derive(Debug)]
pub struct Journal<E: Entry> {
    shared: Arc<Shared<E>>,
}

#[derive(Debug)]
struct Shared<E: Entry> {
    queue: SyncSender<Note<E>>,
    ends: Arc<AtomicBool>,
    counts: Arc<Counts>,
    thread: Mutex<Option<JoinHandle<()>>>,
    text: bool,
}

#[derive(Debug, Default)]
struct Counts {
    written: AtomicU64,
    dropped: AtomicU64,
}

/// What became of the lines so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Lines in the files.
    pub written: u64,
    /// Lines that the queue had no room for, that were too long, or that the disk refused.
    pub dropped: u64,
}

/// A journal that cannot be begun.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its file cannot be opened.
    #[error("the log `{}` cannot be written: {source}; set `decisions.path` to a file that can", file.display())]
    Unwritable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// This program cannot write the format that is asked for.
    #[error("`decisions.format` is one that this program does not write; set it to `jsonl`")]
    Format,
    /// Another process writes it.
    #[error("the log `{}` is written by another process; give each its own `decisions.path`", file.display())]
    Taken {
        /// The file.
        file: PathBuf,
    },
}

/// Milliseconds since 1970-01-01 UTC, as the machine's clock says.
#[must_use]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

// === impl Journal ===

impl<E: Entry> Journal<E> {
    /// Opens the file and starts the writer; `None`: no file is configured. A line that a crash has torn is closed off, so
    /// that the next one stands alone.
    ///
    /// `bind` makes what finished files become, where another format than lines is asked for.
    ///
    /// # Errors
    /// The file cannot be opened, another process holds it, or there is no `bind` for the format.
    pub fn open(options: &JournalOptions, bind: Option<Bind>) -> Result<Option<Self>, Error> {
        if options.path.as_os_str().is_empty() {
            return Ok(None);
        }
        let file = Rotated::open(options, bind)?;
        let (queue, notes) = sync_channel(options.queue_len_max);
        let (ends, counts) = (Arc::new(AtomicBool::new(false)), Arc::new(Counts::default()));
        let writer = Writer::new(file, options, (ends.clone(), counts.clone()));
        let thread = thread::Builder::new().name("journal".to_owned()).spawn(move || writer.run(&notes));
        let thread = thread.map_err(|source| Error::Unwritable { file: options.path.clone(), source })?;
        let thread = Mutex::new(Some(thread));
        Ok(Some(Self { shared: Arc::new(Shared { queue, ends, counts, thread, text: options.log_text }) }))
    }

    /// Whether the text of requests is kept as well.
    #[must_use]
    pub fn keeps_text(&self) -> bool {
        self.shared.text
    }

    /// Writes this as soon as its turn comes.
    pub fn put(&self, entry: E) {
        self.hand(Note::Line(None, entry));
    }

    /// Writes this when a word came about it, or none came in time.
    pub fn hold(&self, id: &str, entry: E) {
        self.hand(Note::Line(Some(id.into()), entry));
    }

    /// Something is said about a line that may still be held.
    pub fn tell(&self, id: &str, word: E::Word) {
        self.hand(Note::Word(id.into(), word));
    }

    /// What became of the lines so far.
    #[must_use]
    pub fn written(&self) -> Written {
        let Counts { written, dropped } = &*self.shared.counts;
        Written { written: written.load(Ordering::Relaxed), dropped: dropped.load(Ordering::Relaxed) }
    }

    /// Writes what was handed in so far and what is held, and closes the file. What comes later is dropped.
    pub async fn end(&self) {
        self.shared.ends.store(true, Ordering::Release);
        // Wakes a writer that waits; one whose queue is full is awake.
        let _ = self.shared.queue.try_send(Note::Wake);
        let Some(thread) = self.shared.thread.lock().take() else { return };
        if !matches!(tokio::task::spawn_blocking(move || thread.join()).await, Ok(Ok(()))) {
            tracing::error!("the journal's writer died");
        }
    }

    fn hand(&self, note: Note<E>) {
        if self.shared.queue.try_send(note).is_err() {
            self.shared.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<E: Entry> Clone for Journal<E> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}
