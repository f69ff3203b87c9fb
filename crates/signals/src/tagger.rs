//! Marks the names, places, addresses, dates and numbers in a text: a linear model over tokens and their neighbours,
//! with the best sequence of marks found exactly (Viterbi).

use crate::container::{self, Kind, Writer};
use crate::error::Error;

mod tokens;

pub(crate) use tokens::{Token, features, tokens_of};

/// Most types of spans, and most features, that are read.
const TYPES_MAX: usize = 31;
const FEATURES_MAX: usize = 1 << 15;

/// Most tokens that are marked at the beginning of a text.
pub(crate) const TOKENS_MAX: usize = 128;

/// Marks of a token: outside, then for each type that a span begins here or goes on here.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tagger {
    pub(crate) version: String,
    /// Names of the types.
    pub(crate) types: Vec<String>,
    /// The features that weigh something, in order.
    pub(crate) keys: Vec<u32>,
    /// Weights of all marks side by side for each of them.
    pub(crate) weights: Vec<i8>,
    /// Weight of each mark (column) after each mark (row); the last row is the beginning.
    pub(crate) moves: Vec<i32>,
    /// At the place of a feature or the next free one: its index plus one. Half of it is free.
    slots: Vec<u16>,
}

/// A span of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marked {
    /// Index of its type.
    pub(crate) kind: usize,
    /// First byte, and the byte after the last.
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Far below every sum of weights, and far from overflow.
const NEVER: i32 = i32::MIN / 4;

// === impl Tagger ===

impl Tagger {
    /// Reads what [`Tagger::to_bytes`] wrote.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let (mut reader, version) = container::open(Kind::Tagger, bytes)?;
        let types = reader.names("types", TYPES_MAX)?;
        let marks = 1 + 2 * types.len();
        let count = reader.count("features", FEATURES_MAX)?;
        let moves = reader.floats("moves", (marks + 1) * marks)?;
        if moves.iter().any(|weight| weight.abs() > 1e6) {
            return reader.refuse("moves");
        }
        let keys = reader.whole("features", count)?;
        let weights = reader.small("weights", marks * count)?;
        reader.finish()?;
        let moves = moves.into_iter().map(|weight| weight as i32).collect();
        let slots = slots_of(&keys);
        Ok(Self { version, types, keys, weights, moves, slots })
    }

    /// A model of these weights, whose version its file will have.
    pub(crate) fn new(types: Vec<String>, keys: Vec<u32>, weights: Vec<i8>, moves: Vec<i32>) -> Self {
        let slots = slots_of(&keys);
        Self { version: String::new(), types, keys, weights, moves, slots }
    }

    /// The model as a file.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.names(&self.types);
        writer.count(self.keys.len());
        writer.floats(&self.moves.iter().map(|weight| *weight as f32).collect::<Vec<_>>());
        self.keys.iter().for_each(|key| writer.count(*key as usize));
        writer.small(&self.weights);
        writer.seal(Kind::Tagger)
    }

    pub(crate) fn marks(&self) -> usize {
        1 + 2 * self.types.len()
    }

    /// The index of a feature, if it weighs something.
    fn row(&self, feature: u32) -> Option<usize> {
        let mask = self.slots.len() - 1;
        let mut slot = feature as usize & mask;
        loop {
            let index = usize::from(self.slots[slot]).checked_sub(1)?;
            if self.keys[index] == feature {
                return Some(index);
            }
            slot = (slot + 1) & mask;
        }
    }

    /// The spans of the beginning of `text`.
    pub(crate) fn spans(&self, text: &str) -> Vec<Marked> {
        let tokens = tokens_of(text, TOKENS_MAX);
        let marks = self.marks();
        let mut scores = vec![0_i32; tokens.len() * marks];
        for (index, row) in scores.chunks_exact_mut(marks).enumerate() {
            features(text, &tokens, index, |feature| {
                let Some(own) = self.row(feature) else { return };
                for (sum, weight) in row.iter_mut().zip(&self.weights[own * marks..]) {
                    *sum += i32::from(*weight);
                }
            });
        }
        spans_of(&tokens, &best_path(&scores, &self.moves, marks))
    }
}

/// The index of every key at its place in a table of a power of two, at least twice as long.
fn slots_of(keys: &[u32]) -> Vec<u16> {
    let mut slots = vec![0_u16; (keys.len() * 2 + 1).next_power_of_two()];
    let mask = slots.len() - 1;
    for (index, key) in keys.iter().enumerate() {
        let mut slot = *key as usize & mask;
        while slots[slot] != 0 {
            slot = (slot + 1) & mask;
        }
        // There are at most as many keys as half the range.
        slots[slot] = index as u16 + 1;
    }
    slots
}

/// Whether a mark may follow another: a span goes on only where one of its type began. `marks` before: the beginning.
pub(crate) fn may_follow(before: usize, mark: usize, marks: usize) -> bool {
    match mark {
        0 => true,
        _ if mark % 2 == 1 => true,
        _ => before != marks && (before == mark || before + 1 == mark),
    }
}

/// The sequence of marks with the greatest sum; of equal ones the one with the lower marks.
pub(crate) fn best_path(scores: &[i32], moves: &[i32], marks: usize) -> Vec<usize> {
    let length = scores.len() / marks;
    let mut from = vec![0_u8; length * marks];
    let mut sums: Vec<i32> = vec![NEVER; marks];
    let mut next = vec![NEVER; marks];
    for at in 0..length {
        let own = &scores[at * marks..(at + 1) * marks];
        for mark in 0..marks {
            let (mut best, mut origin) = (NEVER, 0);
            let mut offer = |before: usize, sum: i32| {
                let sum = sum + moves[before * marks + mark];
                if sum > best {
                    (best, origin) = (sum, before);
                }
            };
            if at == 0 {
                if may_follow(marks, mark, marks) {
                    offer(marks, 0);
                }
            } else if mark != 0 && mark % 2 == 0 {
                offer(mark - 1, sums[mark - 1]);
                offer(mark, sums[mark]);
            } else {
                for (before, sum) in sums.iter().enumerate() {
                    offer(before, *sum);
                }
            }
            next[mark] = (best + own[mark]).max(NEVER);
            from[at * marks + mark] = origin as u8;
        }
        std::mem::swap(&mut sums, &mut next);
    }
    let mut path = vec![0; length];
    let mut mark = 0;
    for (candidate, sum) in sums.iter().enumerate() {
        if *sum > sums[mark] {
            mark = candidate;
        }
    }
    for at in (0..length).rev() {
        path[at] = mark;
        mark = usize::from(from[at * marks + mark]).min(marks - 1);
    }
    path
}

/// The spans that a sequence of marks stands for.
pub(crate) fn spans_of(tokens: &[Token], path: &[usize]) -> Vec<Marked> {
    let mut spans: Vec<Marked> = Vec::new();
    let mut before = 0;
    for (token, mark) in tokens.iter().zip(path) {
        let kind = mark.wrapping_sub(1) / 2;
        if *mark != 0 {
            match spans.last_mut() {
                Some(span) if mark % 2 == 0 && before != 0 && span.kind == kind => span.end = token.end,
                _ => spans.push(Marked { kind, start: token.start, end: token.end }),
            }
        }
        before = *mark;
    }
    spans
}
