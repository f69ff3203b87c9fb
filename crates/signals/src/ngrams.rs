//! What the difficulty model looks at: hashed n-grams of words and characters, and a few measures of shape.

use crate::shape::Shape;
use crate::words::{ends_of, is_word};

/// Most bytes whose words are read at the beginning of a text, and at its end.
const HEAD_BYTES_MAX: usize = 1024;
const TAIL_BYTES_MAX: usize = 512;

/// Most characters whose n-grams are read there: they are the costly part, and say little that words do not.
const HEAD_CHARS_MAX: usize = 640;
const TAIL_CHARS_MAX: usize = 256;

/// Measures of shape.
pub(crate) const DENSE_COUNT: usize = 9;

/// Different starts for the hashes of words and of characters, so that `a` the word is not `a` the letter.
const WORD_SEED: u64 = 0x6A09_E667_F3BC_C908;
const CHAR_SEED: u64 = 0xBB67_AE85_84CA_A73B;
const PRIME: u64 = 0x0000_0100_0000_01B3;

/// Calls `each` with the hash of every n-gram: one to three words, three to five characters. Digits count as one
/// digit, so that a model learns the size of numbers and not their values.
pub(crate) fn each(text: &str, mut each: impl FnMut(u32)) {
    let (head, tail) = ends_of(text, HEAD_BYTES_MAX, TAIL_BYTES_MAX);
    let mut plain = Vec::with_capacity(head.len() + tail.len() + 2);
    for part in [head, tail] {
        plain_of(part, &mut plain);
    }
    words(&plain, &mut each);
    if plain.len() <= HEAD_CHARS_MAX + TAIL_CHARS_MAX {
        characters(&plain, &mut each);
    } else {
        characters(&plain[..HEAD_CHARS_MAX], &mut each);
        characters(&plain[plain.len() - TAIL_CHARS_MAX..], &mut each);
    }
}

/// Measures of shape, each about within [-1, 1] or [0, 1].
pub(crate) fn dense(shape: &Shape) -> [f32; DENSE_COUNT] {
    let log = |count: u32| libm::log2f(1.0 + count as f32);
    let flag = |yes: bool| f32::from(u8::from(yes));
    let share = |part: u32| part as f32 / shape.chars.max(1) as f32;
    [
        log(shape.chars) / 8.0 - 1.0,
        log(shape.words) / 6.0 - 1.0,
        log(shape.numbers) / 4.0,
        log(shape.list_items) / 4.0,
        log(shape.lines) / 4.0,
        share(shape.letters_beyond_ascii),
        flag(shape.question),
        flag(shape.code),
        flag(shape.numbers >= 2),
    ]
}

/// Lower case, digits as `0`, words and signs with one space between.
fn plain_of(text: &str, plain: &mut Vec<char>) {
    let mut joins_before = false;
    plain.push(' ');
    for one in text.chars() {
        let joins = is_word(one) && !is_han(one);
        if !(joins && joins_before) && plain.last() != Some(&' ') {
            plain.push(' ');
        }
        match one {
            'a'..='z' => plain.push(one),
            'A'..='Z' => plain.push(one.to_ascii_lowercase()),
            '0'..='9' => plain.push('0'),
            _ if one.is_whitespace() => {}
            _ => plain.extend(one.to_lowercase()),
        }
        joins_before = joins;
    }
    if plain.last() != Some(&' ') {
        plain.push(' ');
    }
}

fn words(plain: &[char], each: &mut impl FnMut(u32)) {
    let (mut last, mut last_but_one) = (0_u64, 0_u64);
    for word in plain.split(|one| *one == ' ').filter(|word| !word.is_empty()) {
        let hash = word.iter().fold(WORD_SEED, |hash, one| step(hash, *one));
        each(finish(hash));
        if last != 0 {
            each(finish(hash ^ last.rotate_left(17)));
        }
        if last_but_one != 0 {
            each(finish(hash ^ last.rotate_left(17) ^ last_but_one.rotate_left(34)));
        }
        (last, last_but_one) = (hash, last);
    }
}

fn characters(plain: &[char], each: &mut impl FnMut(u32)) {
    for start in 0..plain.len() {
        let mut hash = CHAR_SEED;
        for (length, one) in plain[start..].iter().take(5).enumerate() {
            hash = step(hash, *one);
            if length >= 2 {
                each(finish(hash));
            }
        }
    }
}

fn step(hash: u64, one: char) -> u64 {
    (hash ^ u64::from(u32::from(one))).wrapping_mul(PRIME)
}

/// The upper half after one more multiplication, in which every bit of the hash has a say.
fn finish(hash: u64) -> u32 {
    ((hash ^ (hash >> 29)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32
}

fn is_han(one: char) -> bool {
    matches!(one, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}')
}
