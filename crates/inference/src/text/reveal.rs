//! Which text of an answer may be shown: whole characters of whole tokens that cannot become a stop string.

use std::collections::VecDeque;

/// Text that became visible, and the ids that it is the text of.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) text: String,
    pub(crate) tokens: Vec<u32>,
}

/// Holds back an answer's tail until it is safe to show.
///
/// Text is shown only up to the end of a token, so that who has the shown tokens has exactly the shown text, and an
/// answer can be resumed after them.
#[derive(Debug, Default)]
pub(crate) struct Reveal {
    stops: Vec<String>,
    /// Bytes not yet shown.
    pending: Vec<u8>,
    /// Ids not yet shown, each with the length of `pending` at its end.
    marks: VecDeque<(u32, usize)>,
    stopped: bool,
}

impl Reveal {
    pub(crate) fn new(stops: Vec<String>) -> Self {
        Self { stops, ..Self::default() }
    }

    /// Adds a token; gives what became visible. After a stop string the rest is given without it.
    pub(crate) fn push(&mut self, id: u32, bytes: &[u8]) -> Shown {
        let before = self.pending.len();
        self.pending.extend_from_slice(bytes);
        self.marks.push_back((id, self.pending.len()));
        if let Some(at) = self.stop_from(before) {
            self.stopped = true;
            self.pending.truncate(at);
            return self.flush();
        }
        let safe = self.safe_length();
        let boundary = |end: usize| end <= safe && is_whole(&self.pending[..end]);
        match self.marks.iter().rposition(|&(_, end)| boundary(end)) {
            Some(last) => self.show(last + 1),
            None => Shown::default(),
        }
    }

    /// Whether a stop string has ended the answer.
    pub(crate) fn stopped(&self) -> bool {
        self.stopped
    }

    /// The rest of the answer at its end; half a character becomes U+FFFD.
    pub(crate) fn flush(&mut self) -> Shown {
        let text = String::from_utf8_lossy(&self.pending).into_owned();
        self.pending.clear();
        Shown { text, tokens: self.marks.drain(..).map(|(id, _)| id).collect() }
    }

    /// Forgets the ids of pending tokens but not their text: they were given before a resume.
    pub(crate) fn forget_ids(&mut self) {
        self.marks.clear();
    }

    /// Where the first stop string starts, if the bytes from `before` on complete one.
    fn stop_from(&self, before: usize) -> Option<usize> {
        let found = self.stops.iter().filter_map(|stop| {
            let from = (before + 1).saturating_sub(stop.len());
            let tail = self.pending.get(from..)?;
            tail.windows(stop.len()).position(|window| window == stop.as_bytes()).map(|at| from + at)
        });
        found.min()
    }

    /// The length before the longest tail that could become a stop string.
    fn safe_length(&self) -> usize {
        let longest = self.stops.iter().map(String::len).max().unwrap_or(0);
        let from = (self.pending.len() + 1).saturating_sub(longest.max(1));
        (from..self.pending.len())
            .find(|&at| self.stops.iter().any(|stop| stop.as_bytes().starts_with(&self.pending[at..])))
            .unwrap_or(self.pending.len())
    }

    fn show(&mut self, tokens: usize) -> Shown {
        let shown: Vec<(u32, usize)> = self.marks.drain(..tokens).collect();
        let end = shown.last().map_or(0, |(_, end)| *end);
        let bytes: Vec<u8> = self.pending.drain(..end).collect();
        for (_, mark) in &mut self.marks {
            *mark -= end;
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Shown { text, tokens: shown.into_iter().map(|(id, _)| id).collect() }
    }
}

/// Whether the bytes do not end inside a character. Bytes that can never become one count as whole.
fn is_whole(bytes: &[u8]) -> bool {
    // A character has at most four bytes, so its start is among the last three of an unfinished one.
    let tail = &bytes[bytes.len().saturating_sub(3)..];
    let Some(start) = tail.iter().rposition(|byte| *byte & 0xc0 != 0x80) else { return true };
    match std::str::from_utf8(&tail[start..]) {
        Ok(_) => true,
        Err(error) => error.error_len().is_some(),
    }
}
