//! New inputs from old ones.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// Bytes of the longest input.
const BYTES_MAX: usize = 8 << 10;
/// Numbers at which code tends to be wrong.
const NUMBERS: [u64; 12] = [
    0,
    1,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x7FFF_FFFF,
    0xFFFF_FFFF,
    0x7FFF_FFFF_FFFF_FFFF,
    0x8000_0000_0000_0000,
    u64::MAX,
];
/// Words that formats take for something.
const WORDS: [&str; 12] =
    ["", "\0", "\n", "\"", "\"\"\"", "[[", "]]", "nan", "-inf", "1e999", "\u{202e}", "99999999999999999999"];

/// Changes inputs, by a seed.
#[derive(Debug)]
pub struct Mutator {
    random: StdRng,
}

// === impl Mutator ===

impl Mutator {
    /// The same seed gives the same inputs.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { random: StdRng::seed_from_u64(seed) }
    }

    /// One of a corpus, changed in one to eight places.
    pub fn next(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = self.any(corpus).to_vec();
        for _ in 0..self.random.random_range(1..=8) {
            self.change(&mut bytes, corpus);
        }
        bytes.truncate(BYTES_MAX);
        bytes
    }

    fn any<'a>(&mut self, corpus: &'a [Vec<u8>]) -> &'a [u8] {
        match corpus.len() {
            0 => &[],
            len => &corpus[self.random.random_range(0..len)],
        }
    }

    fn change(&mut self, bytes: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let (from, to) = self.range(bytes.len());
        match self.random.random_range(0..9) {
            0 => bytes.truncate(from),
            1 => drop(bytes.drain(from..to)),
            2 => {
                let copy = bytes[from..to].to_vec();
                let times = self.random.random_range(1..=8);
                (0..times).for_each(|_| drop(bytes.splice(from..from, copy.iter().copied())));
            }
            3 => {
                let other = self.any(corpus).to_vec();
                let (start, end) = self.range(other.len());
                drop(bytes.splice(from..to, other[start..end].iter().copied()));
            }
            4 => {
                let number = NUMBERS[self.random.random_range(0..NUMBERS.len())].to_le_bytes();
                let width = 1 << self.random.random_range(0..4);
                drop(bytes.splice(from..to, number[..width].iter().copied()));
            }
            5 => {
                let word = WORDS[self.random.random_range(0..WORDS.len())];
                drop(bytes.splice(from..to, word.bytes()));
            }
            6 => bytes.insert(from, self.random.random()),
            _ if from < bytes.len() => match self.random.random() {
                true => bytes[from] ^= 1 << self.random.random_range(0..8),
                false => bytes[from] = self.random.random(),
            },
            _ => {}
        }
        bytes.truncate(2 * BYTES_MAX);
    }

    /// Somewhere in so many bytes; mostly short.
    fn range(&mut self, len: usize) -> (usize, usize) {
        let from = self.random.random_range(0..=len);
        let most = if self.random.random() { 8 } else { len };
        (from, (from + self.random.random_range(0..=most)).min(len))
    }
}
