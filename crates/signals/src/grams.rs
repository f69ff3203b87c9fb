//! Hashed features of a text: characters and words of its beginning, in lower case, digits as one digit.

use crate::words::{ends_of, is_word};

const PRIME: u32 = 0x0100_0193;
const CHAR_SEED: u32 = 0x811C_9DC5;
const WORD_SEED: u32 = 0x6A09_E667;

/// A text in lower case with one space between words and around it; signs stand alone.
#[derive(Debug)]
pub(crate) struct Plain {
    pub(crate) chars: Vec<char>,
    /// Where each word or sign begins and ends.
    pub(crate) words: Vec<(u32, u32)>,
}

// === impl Plain ===

impl Plain {
    /// The beginning of `text`, at most `chars_max` characters, and a quarter as many of its end.
    pub(crate) fn of(text: &str, chars_max: usize) -> Self {
        let (head, tail) = ends_of(text, chars_max * 4, chars_max);
        let mut plain = Self { chars: Vec::with_capacity(chars_max + 8), words: Vec::with_capacity(32) };
        plain.chars.push(' ');
        plain.take(head, chars_max);
        if !tail.is_empty() {
            let from = tail.char_indices().rev().take(chars_max / 4).last().map_or(0, |(at, _)| at);
            plain.take(&tail[from..], chars_max / 4);
        }
        plain
    }

    /// The characters of a word.
    pub(crate) fn word(&self, index: usize) -> &[char] {
        self.words.get(index).map_or(&[], |(start, end)| &self.chars[*start as usize..*end as usize])
    }

    fn take(&mut self, text: &str, chars_max: usize) {
        let mut start = self.chars.len();
        let mut before = ' ';
        for one in text.chars().take(chars_max) {
            let joins = continues(before, one);
            if !joins {
                start = self.close(start);
            }
            match one {
                'a'..='z' => self.chars.push(one),
                'A'..='Z' => self.chars.push(one.to_ascii_lowercase()),
                '0'..='9' => self.chars.push('0'),
                '\u{2019}' => self.chars.push('\''),
                _ if one.is_whitespace() || one.is_control() => {}
                _ => self.chars.extend(one.to_lowercase()),
            }
            before = one;
        }
        self.close(start);
    }

    /// Ends a word, if there is one, and gives the place where the next begins.
    fn close(&mut self, start: usize) -> usize {
        if self.chars.len() > start {
            self.words.push((start as u32, self.chars.len() as u32));
            self.chars.push(' ');
        }
        self.chars.len()
    }
}

/// Whether two neighbours stand in one word. Characters of scripts without spaces are words of their own.
fn continues(before: char, one: char) -> bool {
    let letter = |one: char| is_word(one) || one == '\'' || one == '\u{2019}';
    letter(before) && letter(one) && !is_unspaced(one) && !is_unspaced(before)
}

fn is_unspaced(one: char) -> bool {
    matches!(one, '\u{0e00}'..='\u{0e7f}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}')
}

/// Calls `each` with the hash of every run of `least` to `most` characters.
pub(crate) fn characters(chars: &[char], least: usize, most: usize, mut each: impl FnMut(u32)) {
    for start in 0..chars.len() {
        let mut hash = CHAR_SEED;
        for (length, one) in chars[start..].iter().take(most).enumerate() {
            hash = step(hash, u32::from(*one));
            if length + 1 >= least {
                each(finish(hash));
            }
        }
    }
}

/// The hash of a word.
pub(crate) fn word(chars: &[char]) -> u32 {
    chars.iter().fold(WORD_SEED, |hash, one| step(hash, u32::from(*one)))
}

/// A hash with one more number in it.
pub(crate) fn step(hash: u32, number: u32) -> u32 {
    (hash ^ number).wrapping_mul(PRIME).rotate_left(5)
}

/// Every bit of the hash has a say in every bit of the feature (the finaliser of MurmurHash3).
pub(crate) fn finish(hash: u32) -> u32 {
    let hash = (hash ^ (hash >> 16)).wrapping_mul(0x85EB_CA6B);
    let hash = (hash ^ (hash >> 13)).wrapping_mul(0xC2B2_AE35);
    hash ^ (hash >> 16)
}

/// The hash of a piece of a word.
pub(crate) fn piece(chars: &[char]) -> u32 {
    chars.iter().fold(CHAR_SEED, |hash, one| step(hash, u32::from(*one)))
}
