//! Marks the names, places, addresses, dates and numbers in a text: a linear model over tokens and their neighbours,
//! with the best sequence of marks found exactly (Viterbi).

use crate::container::{self, Kind, Writer};
use crate::error::Error;
use crate::wide::wide;

mod tokens;
mod index;
mod path;

use index::Index;
use path::Moves;
pub(crate) use path::best_path;
use tokens::FEATURES_MAX;
pub(crate) use tokens::{Context, Token, tokens_of};

/// Most types of spans, and most features that weigh something, that are read.
const TYPES_MAX: usize = 31;
const KEYS_MAX: usize = 1 << 15;

/// Most tokens that are marked at the beginning of a text.
pub(crate) const TOKENS_MAX: usize = 128;

/// Marks of a token: outside, then for each type that a span begins here or goes on here.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tagger {
    pub(crate) version: String,
    /// Names of the types.
    pub(crate) types: Vec<String>,
    /// The features that weigh something.
    pub(crate) keys: Vec<u32>,
    /// Weights of all marks side by side for each of them.
    pub(crate) weights: Vec<i8>,
    moves: Moves,
    index: Index,
    /// The weights again, in blocks of [`LANES`] for each feature, so that no block holds two features'.
    blocks: Vec<[i8; LANES]>,
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

/// Weights of a feature that are added side by side.
const LANES: usize = 16;

/// Blocks of a feature at most.
const PARTS_MAX: usize = (1 + 2 * TYPES_MAX).div_ceil(LANES);

// === impl Tagger ===

impl Tagger {
    /// Reads what [`Tagger::to_bytes`] wrote.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let (mut reader, version) = container::open(Kind::Tagger, bytes)?;
        let types = reader.names("types", TYPES_MAX)?;
        let marks = 1 + 2 * types.len();
        let count = reader.count("features", KEYS_MAX)?;
        let moves = reader.floats("moves", (marks + 1) * marks)?;
        if moves.iter().any(|weight| weight.abs() > 1e6) {
            return reader.refuse("moves");
        }
        let keys = reader.whole("features", count)?;
        let weights = reader.small("weights", marks * count)?;
        reader.finish()?;
        let moves = moves.into_iter().map(|weight| weight as i32).collect();
        Ok(Self { version, ..Self::new(types, keys, weights, moves) })
    }

    /// A model of these weights, whose version its file will have.
    pub(crate) fn new(types: Vec<String>, keys: Vec<u32>, weights: Vec<i8>, moves: Vec<i32>) -> Self {
        let marks = 1 + 2 * types.len();
        let (moves, index) = (Moves::of(moves, marks), Index::of(&keys));
        let blocks = blocks_of(&weights, marks);
        Self { version: String::new(), types, keys, weights, moves, index, blocks }
    }

    /// The model as a file.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.names(&self.types);
        writer.count(self.keys.len());
        writer.floats(&self.moves.all.iter().map(|weight| *weight as f32).collect::<Vec<_>>());
        self.keys.iter().for_each(|key| writer.count(*key as usize));
        writer.small(&self.weights);
        writer.seal(Kind::Tagger)
    }

    /// The spans of the beginning of `text`.
    pub(crate) fn spans(&self, text: &str) -> Vec<Marked> {
        let tokens = tokens_of(text, TOKENS_MAX);
        let stride = self.moves.blocks() * path::LANES;
        let mut scores = vec![0_i32; tokens.len() * stride];
        let mut hits = [0_u16; FEATURES_MAX];
        let context = Context::of(text, &tokens);
        for (index, row) in scores.chunks_exact_mut(stride).enumerate() {
            let hits = self.index.found(context.features(index).as_slice(), &mut hits);
            sum(hits, &self.blocks, row);
        }
        spans_of(&tokens, &self.moves.best_path(&scores))
    }
}

wide! {
    /// The sums of these features' weights.
    fn sum(hits: &[u16], blocks: &[[i8; LANES]], row: &mut [i32]) -> () {
        match row.len().div_ceil(LANES) {
            1 => sum_of::<1>(hits, blocks, row),
            2 => sum_of::<2>(hits, blocks, row),
            3 => sum_of::<3>(hits, blocks, row),
            _ => sum_of::<PARTS_MAX>(hits, blocks, row),
        }
    }
}

/// The same where the weights of each feature take so many blocks.
#[inline(always)]
fn sum_of<const PARTS: usize>(hits: &[u16], blocks: &[[i8; LANES]], row: &mut [i32]) {
    let (features, _) = blocks.as_chunks::<PARTS>();
    // A token has at most FEATURES_MAX features, so that sums of small numbers stay within 16 bits.
    let mut sums = [[0_i16; LANES]; PARTS];
    for hit in hits {
        let weights = &features[usize::from(*hit)];
        for part in 0..PARTS {
            for lane in 0..LANES {
                sums[part][lane] += i16::from(weights[part][lane]);
            }
        }
    }
    row.iter_mut().zip(sums.as_flattened()).for_each(|(row, sum)| *row = i32::from(*sum));
}

/// Every feature's weights in blocks of its own; what is beyond the marks is zero.
fn blocks_of(weights: &[i8], marks: usize) -> Vec<[i8; LANES]> {
    let parts = weights.chunks_exact(marks).flat_map(|row| row.chunks(LANES));
    parts
        .map(|part| {
            let mut block = [0; LANES];
            block[..part.len()].copy_from_slice(part);
            block
        })
        .collect()
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
