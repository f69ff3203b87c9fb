//! Tokens of a text as they stand in it, and what the tagger looks at around each.

use crate::grams::{finish, step};
use crate::wide::wide;
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

/// The features of one token.
#[derive(Debug)]
pub(crate) struct Features {
    all: [u32; FEATURES_MAX],
    count: usize,
}

/// Most features of a token.
pub(super) const FEATURES_MAX: usize = 40;

/// What neighbours beyond the ends of a text look like.
const NO_WORD: u32 = 0xB0B0;
const NO_SHAPE: u32 = 0xB0B1;

/// Tokens before and after one that are looked at by their place.
const BEFORE: usize = 3;
const AFTER: usize = 2;

/// Names of the features that every token has: one, its words, its shapes, and pairs and threes of these.
const NAMES: [u32; 22] = [1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29];

/// The tokens of a text, ready to be looked at from each.
pub(crate) struct Context<'a> {
    text: &'a str,
    pub(super) tokens: &'a [Token],
    /// Words and shapes of the tokens, with [`BEFORE`] of none before them and [`AFTER`] after.
    words: Vec<u32>,
    shapes: Vec<u32>,
    /// The first word.
    first: u32,
}

// === impl Features ===

impl Features {
    pub(crate) fn as_slice(&self) -> &[u32] {
        &self.all[..self.count]
    }

    /// Takes a feature whose hash has no finish yet.
    fn tell(&mut self, name: u32, value: u32) {
        // There is room for more than any token has.
        if let Some(slot) = self.all.get_mut(self.count) {
            *slot = step(value, name);
            self.count += 1;
        }
    }
}

// === impl Context ===

impl<'a> Context<'a> {
    pub(crate) fn of(text: &'a str, tokens: &'a [Token]) -> Self {
        let padded = |none: u32, of: fn(&Token) -> u32| {
            let mut all = Vec::with_capacity(BEFORE + tokens.len() + AFTER);
            all.extend([none; BEFORE]);
            all.extend(tokens.iter().map(of));
            all.extend([none; AFTER]);
            all
        };
        Self {
            text,
            tokens,
            words: padded(NO_WORD, |token| token.word),
            shapes: padded(NO_SHAPE, |token| token.shape ^ u32::from(token.spaced) << 5),
            first: tokens.iter().find(|token| token.sort == Sort::Letters).map_or(0, |token| token.word),
        }
    }

    /// Every feature of the token at `index`, in one order.
    pub(crate) fn features(&self, index: usize) -> Features {
        let mut features = Features { all: [0; FEATURES_MAX], count: 0 };
        let around = index..index + BEFORE + 1 + AFTER;
        let (Some(token), Some([c, b, a, word, y, z]), Some([_, r, q, shape, s, t])) =
            (self.tokens.get(index), self.words.get(around.clone()), self.shapes.get(around))
        else {
            return features;
        };
        let values: [u32; NAMES.len()] = [
            0,
            *word,
            *a,
            *y,
            *b,
            *z,
            *c,
            *shape,
            *q,
            *s,
            *r,
            *t,
            step(*a, *b),
            step(*word, *a),
            step(*word, *y),
            step(*y, *z),
            step(*shape, *s),
            step(*q, *shape),
            step(step(*q, *shape), *s),
            step(*shape, *a),
            step(*shape, *y),
            step(step(*shape, *s), *t),
        ];
        for (name, value) in NAMES.iter().zip(values) {
            features.tell(*name, value);
        }
        if token.sort == Sort::Letters {
            affixes(&self.text[token.start..token.end], &mut features);
        }
        let before = self.tokens[..index].iter().rev();
        let line = before.clone().take(3).take_while(|token| token.sort != Sort::Break).count();
        features.tell(40, step(line as u32, token.shape));
        features.tell(41, u32::from(index == 0));
        for before in before.filter(|token| token.sort == Sort::Letters).take(REACH) {
            features.tell(42, before.word);
        }
        features.tell(43, step(self.first, token.shape));
        finish_all(&mut features.all);
        features
    }
}

wide! {
    /// Finishes the hashes.
    fn finish_all(all: &mut [u32; FEATURES_MAX]) -> () {
        for one in all {
            *one = finish(*one);
        }
    }
}

/// A hash with the small letter of `one` in it.
fn lower(hash: u32, one: char) -> u32 {
    if one.is_ascii() {
        return step(hash, u32::from(one.to_ascii_lowercase()));
    }
    one.to_lowercase().fold(hash, |hash, one| step(hash, u32::from(one)))
}

/// The first two and three and the last two to four letters.
fn affixes(word: &str, features: &mut Features) {
    let mut hash = 0x51;
    for (length, one) in word.chars().take(3).enumerate() {
        hash = lower(hash, one);
        if length > 0 {
            features.tell(30 + length as u32, hash);
        }
    }
    let mut hash = 0x52;
    for (length, one) in word.chars().rev().take(4).enumerate() {
        hash = lower(hash, one);
        if length > 0 {
            features.tell(34 + length as u32, hash);
        }
    }
}
