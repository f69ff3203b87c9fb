//! Tokens of a text as they stand in it, and what the tagger looks at around each.

use crate::grams::{finish, step};
use crate::words::is_word;

/// A run of letters, a run of digits, one sign, or one line break.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    /// First byte, and the byte after the last.
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Hash of its lower-case letters; digits count as one digit.
    word: u32,
    /// Hash of its look: runs of capitals, small letters, digits.
    shape: u32,
    sort: Sort,
    /// Whether white space stands before it.
    spaced: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Letters,
    Digits,
    Sign,
    Break,
}

/// Words before a token among which a telling one may stand.
const REACH: usize = 6;

/// Bytes that are looked through for tokens at most, each token having several.
const BYTES_PER_TOKEN: usize = 32;

/// The first tokens of a text.
pub(crate) fn tokens_of(text: &str, most: usize) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::with_capacity(most.min(text.len() / 3 + 1));
    let mut spaced = true;
    let mut characters = text.char_indices().peekable();
    while let Some((start, one)) = characters.next() {
        let sort = sort_of(one);
        if one.is_whitespace() && sort != Sort::Break {
            spaced = true;
            continue;
        }
        if tokens.len() == most || start > most * BYTES_PER_TOKEN {
            break;
        }
        let mut token = Token::begin(start, one, sort, spaced);
        while let Some((at, next)) = characters.peek().copied() {
            if !matches!(sort, Sort::Letters | Sort::Digits) || sort_of(next) != sort {
                break;
            }
            token.take(at, next);
            characters.next();
        }
        spaced = sort == Sort::Break;
        // Several line breaks in a row say that a part ends, and no more.
        let again = sort == Sort::Break && tokens.last().is_some_and(|last| last.sort == Sort::Break);
        if !again {
            tokens.push(token);
        }
    }
    tokens
}

fn sort_of(one: char) -> Sort {
    match one {
        '0'..='9' => Sort::Digits,
        '\n' => Sort::Break,
        _ if is_word(one) => Sort::Letters,
        _ => Sort::Sign,
    }
}

// === impl Token ===

impl Token {
    fn begin(start: usize, one: char, sort: Sort, spaced: bool) -> Self {
        let mut token = Self { start, end: start, word: 0x1234_5678, shape: 0, sort, spaced };
        token.take(start, one);
        token
    }

    fn take(&mut self, at: usize, one: char) {
        self.end = at + one.len_utf8();
        let class = match one {
            '0'..='9' => 3,
            'A'..='Z' => 1,
            'a'..='z' => 2,
            _ if one.is_uppercase() => 4,
            _ if one.is_alphabetic() => 5,
            _ => 0x100 + u32::from(one),
        };
        self.word =
            if self.sort == Sort::Digits { step(self.word, u32::from('0')) } else { lower(self.word, one) };
        // Digits show how many they are; of letters a run is one, and a capital beyond the first shows.
        if class == 3 || self.shape % 16 != class % 16 {
            self.shape = (self.shape.wrapping_mul(0x9E37_79B1) & !15) | (class % 16) | (class & 0x100) << 8;
        }
    }
}

/// Calls `each` with every feature of the token at `index`.
pub(crate) fn features(text: &str, tokens: &[Token], index: usize, mut each: impl FnMut(u32)) {
    let mut tell = |name: u32, value: u32| each(finish(step(value, name)));
    let look = |offset: isize| index.checked_add_signed(offset).and_then(|at| tokens.get(at));
    let word = |offset: isize| look(offset).map_or(0xB0B0, |token| token.word);
    let shape =
        |offset: isize| look(offset).map_or(0xB0B1, |token| token.shape ^ u32::from(token.spaced) << 5);
    let Some(token) = tokens.get(index) else { return };
    tell(1, 0);
    for (name, offset) in [(2, 0), (3, -1), (4, 1), (5, -2), (6, 2), (7, -3)] {
        tell(name, word(offset));
    }
    for (name, offset) in [(10, 0), (11, -1), (12, 1), (13, -2), (14, 2)] {
        tell(name, shape(offset));
    }
    tell(20, step(word(-1), word(-2)));
    tell(21, step(word(0), word(-1)));
    tell(22, step(word(0), word(1)));
    tell(23, step(word(1), word(2)));
    tell(24, step(shape(0), shape(1)));
    tell(25, step(shape(-1), shape(0)));
    tell(26, step(step(shape(-1), shape(0)), shape(1)));
    tell(27, step(shape(0), word(-1)));
    tell(28, step(shape(0), word(1)));
    tell(29, step(step(shape(0), shape(1)), shape(2)));
    if token.sort == Sort::Letters {
        affixes(&text[token.start..token.end], &mut tell);
    }
    let line = tokens[..index].iter().rev().take(3).take_while(|token| token.sort != Sort::Break).count();
    tell(40, step(line as u32, token.shape));
    tell(41, u32::from(index == 0));
    for before in tokens[..index].iter().rev().filter(|token| token.sort == Sort::Letters).take(REACH) {
        tell(42, before.word);
    }
    let first = tokens.iter().find(|token| token.sort == Sort::Letters).map_or(0, |token| token.word);
    tell(43, step(first, token.shape));
}

/// A hash with the small letter of `one` in it.
fn lower(hash: u32, one: char) -> u32 {
    if one.is_ascii() {
        return step(hash, u32::from(one.to_ascii_lowercase()));
    }
    one.to_lowercase().fold(hash, |hash, one| step(hash, u32::from(one)))
}

/// The first two and three and the last two to four letters.
fn affixes(word: &str, tell: &mut impl FnMut(u32, u32)) {
    let mut hash = 0x51;
    for (length, one) in word.chars().take(3).enumerate() {
        hash = lower(hash, one);
        if length > 0 {
            tell(30 + length as u32, hash);
        }
    }
    let mut hash = 0x52;
    for (length, one) in word.chars().rev().take(4).enumerate() {
        hash = lower(hash, one);
        if length > 0 {
            tell(34 + length as u32, hash);
        }
    }
}
