//! How many tokens a byte-pair vocabulary would make of a text, without having one.

use crate::shape::scaled;
use crate::words::{HEAD_BYTES_MAX, TAIL_BYTES_MAX, ends_of};

/// An estimate for vocabularies of 30 to 150 thousand pieces: common words are one piece, long ones split about every
/// six letters, every digit and every sign stands alone, Han characters are a little under one each and other scripts
/// split about every second letter. A long text is taken to go on as it begins and ends.
pub(crate) fn estimate(text: &str) -> u32 {
    let (head, tail) = ends_of(text, HEAD_BYTES_MAX, TAIL_BYTES_MAX);
    let mut count = Count::default();
    for part in [head, tail] {
        part.chars().for_each(|one| count.take(one));
        count.close();
    }
    scaled(count.tokens, head.len() + tail.len(), text.len())
}

#[derive(Default)]
struct Count {
    tokens: u32,
    latin: u32,
    other: u32,
    han: u32,
}

// === impl Count ===

impl Count {
    fn take(&mut self, one: char) {
        match one {
            _ if one.is_ascii_alphabetic() || matches!(one, '\u{00c0}'..='\u{024f}') => self.latin += 1,
            // The space before a word belongs to the word's piece; a line break is a piece.
            ' ' | '\t' | '\r' => self.close(),
            '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' => self.han += 1,
            _ if one.is_ascii() => {
                self.close();
                self.tokens += 1;
            }
            _ => self.other += 1,
        }
    }

    fn close(&mut self) {
        self.tokens += self.latin.div_ceil(6) + self.other.div_ceil(2) + (self.han * 4).div_ceil(5);
        (self.latin, self.other, self.han) = (0, 0, 0);
    }
}
