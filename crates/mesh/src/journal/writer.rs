//! The thread that writes: takes notes from the queue, holds lines that wait for a word, appends them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::rotate::Rotated;
use super::{Counts, Entry, JournalOptions};

/// Bytes of the longest line; readers read no longer ones.
const LINE_BYTES_MAX: usize = 1 << 20;
/// Between two log lines about a disk that refuses.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);
/// How long the writer sleeps where nothing is due.
const IDLE: Duration = Duration::from_secs(3600);

/// What the writer is told.
#[derive(Debug)]
pub(super) enum Note<E: Entry> {
    /// A line; with an id it waits for a word.
    Line(Option<Box<str>>, E),
    /// A word about a line.
    Word(Box<str>, E::Word),
    /// Look up.
    Wake,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Writer<E: Entry> {
    file: Rotated,
    held: VecDeque<Held<E>>,
    wait: Duration,
    held_max: usize,
    ends: Arc<AtomicBool>,
    counts: Arc<Counts>,
    complained: Option<Instant>,
}

#[derive(Debug)]
struct Held<E> {
    due: Instant,
    id: Box<str>,
    entry: E,
}

// === impl Writer ===

impl<E: Entry> Writer<E> {
    pub(super) fn new(
        file: Rotated,
        options: &JournalOptions,
        (ends, counts): (Arc<AtomicBool>, Arc<Counts>),
    ) -> Self {
        Self {
            file,
            held: VecDeque::new(),
            wait: Duration::from_millis(options.feedback_wait_ms),
            held_max: options.feedback_waiting_max,
            ends,
            counts,
            complained: None,
        }
    }

    /// Writes until it is told to end, or nobody is left to tell it anything.
    pub(super) fn run(mut self, notes: &Receiver<Note<E>>) {
        while !self.ends.load(Ordering::Acquire) {
            self.write_due(Instant::now());
            let next =
                self.held.front().map_or(IDLE, |held| held.due.saturating_duration_since(Instant::now()));
            match notes.recv_timeout(next) {
                Ok(note) => self.take(note),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        while let Ok(note) = notes.try_recv() {
            self.take(note);
        }
        while let Some(held) = self.held.pop_front() {
            self.write(&held.entry);
        }
        self.file.end();
    }

    fn take(&mut self, note: Note<E>) {
        match note {
            Note::Line(Some(id), entry) if !self.wait.is_zero() && self.held_max > 0 => {
                if self.held.len() >= self.held_max
                    && let Some(oldest) = self.held.pop_front()
                {
                    self.write(&oldest.entry);
                }
                self.held.push_back(Held { due: Instant::now() + self.wait, id, entry });
            }
            Note::Line(_, entry) => self.write(&entry),
            Note::Word(id, word) => {
                // The newest is the likeliest to be spoken of.
                let at = self.held.iter().rposition(|held| held.id == id);
                if let Some(mut held) = at.and_then(|at| self.held.remove(at)) {
                    held.entry.hear(word);
                    self.write(&held.entry);
                }
            }
            Note::Wake => {}
        }
    }

    fn write_due(&mut self, now: Instant) {
        while self.held.front().is_some_and(|held| held.due <= now) {
            if let Some(held) = self.held.pop_front() {
                self.write(&held.entry);
            }
        }
    }

    fn write(&mut self, entry: &E) {
        let line = entry.line();
        let problem = if line.is_empty() || line.len() > LINE_BYTES_MAX {
            Some(format!("the line has {} bytes; at most {LINE_BYTES_MAX} are written", line.len()))
        } else {
            self.file.append(&line).err().map(|error| error.to_string())
        };
        let Some(problem) = problem else {
            self.counts.written.fetch_add(1, Ordering::Relaxed);
            return;
        };
        self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        if self.complained.is_none_or(|last| last.elapsed() >= COMPLAINT_INTERVAL) {
            self.complained = Some(Instant::now());
            tracing::error!(problem, "a line of the log was lost");
        }
    }
}
