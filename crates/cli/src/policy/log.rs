//! Reads a decision log: one line at a time, each bounded; a broken one is counted, named and left out.

use std::io::{self, BufRead, Read as _};

use ::policy::{DecisionLine, LINE_BYTES_MAX};

/// Broken lines that are named; more are counted.
const NAMED_MAX: usize = 20;

/// The lines of a log.
pub(super) struct Log<R> {
    from: R,
    number: u64,
    lines_max: u64,
    /// What was broken.
    pub(super) broken: Broken,
}

/// Lines that could not be read.
#[derive(Clone, Debug, Default)]
pub(super) struct Broken {
    /// How many.
    pub(super) count: u64,
    /// The first of them: line number and problem.
    pub(super) named: Vec<(u64, String)>,
}

// === impl Log ===

impl<R: BufRead> Log<R> {
    /// At most so many lines.
    pub(super) fn new(from: R, lines_max: u64) -> Self {
        Self { from, number: 0, lines_max, broken: Broken::default() }
    }

    /// The next line that is whole; `None`: there is none.
    pub(super) fn next(&mut self) -> io::Result<Option<DecisionLine>> {
        let mut bytes = Vec::new();
        while self.number < self.lines_max {
            bytes.clear();
            let read = (&mut self.from).take(LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut bytes)?;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            let ended = bytes.last() == Some(&b'\n');
            if !ended && read > LINE_BYTES_MAX {
                skip_line(&mut self.from)?;
                self.broken(format!("the line has more than {LINE_BYTES_MAX} bytes"));
                continue;
            }
            let line = match std::str::from_utf8(&bytes) {
                Ok(line) if line.trim().is_empty() => continue,
                Ok(line) => DecisionLine::parse(line.trim_end()).map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            match line {
                Ok(line) => return Ok(Some(line)),
                Err(problem) => self.broken(problem),
            }
        }
        Ok(None)
    }

    fn broken(&mut self, problem: String) {
        self.broken.count += 1;
        if self.broken.named.len() < NAMED_MAX {
            self.broken.named.push((self.number, problem));
        }
    }
}

fn skip_line(from: &mut impl BufRead) -> io::Result<()> {
    loop {
        let held = from.fill_buf()?;
        let (len, ended) = match held.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (held.len(), held.is_empty()),
        };
        from.consume(len);
        if ended {
            return Ok(());
        }
    }
}
