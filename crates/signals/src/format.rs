//! The difficulty model as bytes: a header, the weights, a checksum.
//!
//! All numbers are little-endian. `CWDIFF02`, `u32` heads, `u32` measures, `u32` buckets, BLAKE3 of the weights of each
//! model whose answers taught it (zeros: not known), then `f32` scales (one per head), `f32` biases (one per head), `f32`
//! weights of measures (head by head), `i16` weights of n-grams (bucket by bucket, heads side by side), and BLAKE3 of
//! everything before it.

use crate::difficulty::{DifficultyModel, HEAD_COUNT, MODEL_COUNT};
use crate::error::Error;
use crate::ngrams::DENSE_COUNT;

const MAGIC: &[u8; 8] = b"CWDIFF02";
/// What every edition begins with.
const FAMILY: &[u8] = b"CWDIFF";
const CHECKSUM_BYTES: usize = 32;
const HEADER_BYTES: usize = MAGIC.len() + 3 * 4 + MODEL_COUNT * CHECKSUM_BYTES;
const BUCKETS_MAX: u32 = 1 << 18;

// === impl DifficultyModel ===

impl DifficultyModel {
    /// The model as a file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.body();
        let checksum = blake3::hash(&bytes);
        bytes.extend_from_slice(checksum.as_bytes());
        bytes
    }

    /// Reads what [`DifficultyModel::to_bytes`] wrote; refuses anything that is not whole.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let buckets = header(bytes)?;
        let (body, checksum) = bytes.split_at(bytes.len() - CHECKSUM_BYTES);
        if blake3::hash(body).as_bytes() != checksum {
            return Err(Error::Checksum);
        }
        let mut numbers = Numbers(&body[MAGIC.len() + 3 * 4..]);
        let taught_by = std::array::from_fn(|_| numbers.take());
        let scales = std::array::from_fn(|_| numbers.f32());
        let biases = std::array::from_fn(|_| numbers.f32());
        let dense = std::array::from_fn(|_| std::array::from_fn(|_| numbers.f32()));
        let weights = (0..buckets).map(|_| std::array::from_fn(|_| numbers.i16())).collect();
        let model = Self { version: String::new(), taught_by, weights, scales, dense, biases }.sealed();
        let floats = model.scales.iter().chain(&model.biases).chain(model.dense.iter().flatten());
        if floats.into_iter().all(|float| float.is_finite()) { Ok(model) } else { Err(Error::NotFinite) }
    }

    /// The model with the version that its content has.
    pub(crate) fn sealed(mut self) -> Self {
        let checksum = blake3::hash(&self.body()).to_hex();
        self.version = format!("difficulty-{}", &checksum.as_str()[..16]);
        self
    }

    fn body(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length(self.weights.len()));
        bytes.extend_from_slice(MAGIC);
        for size in [HEAD_COUNT, DENSE_COUNT, self.weights.len()] {
            bytes.extend_from_slice(&(size as u32).to_le_bytes());
        }
        for hash in &self.taught_by {
            bytes.extend_from_slice(hash);
        }
        for float in self.scales.iter().chain(&self.biases).chain(self.dense.iter().flatten()) {
            bytes.extend_from_slice(&float.to_le_bytes());
        }
        for weight in self.weights.iter().flatten() {
            bytes.extend_from_slice(&weight.to_le_bytes());
        }
        bytes
    }
}

/// Checks the header and the length that it announces; gives the number of buckets.
fn header(bytes: &[u8]) -> Result<usize, Error> {
    if !bytes.starts_with(MAGIC) {
        let edition = bytes.get(..MAGIC.len()).filter(|start| start.starts_with(FAMILY));
        return Err(edition.map_or(Error::Magic, |edition| Error::Edition {
            given: String::from_utf8_lossy(edition).into_owned(),
        }));
    }
    if bytes.len() < HEADER_BYTES {
        return Err(Error::Length { given: bytes.len(), expected: length(1) });
    }
    let mut numbers = Numbers(&bytes[MAGIC.len()..]);
    let (heads, measures, buckets) = (numbers.u32(), numbers.u32(), numbers.u32());
    let refused = |field, value, expected| Err(Error::Header { field, value, expected });
    if heads as usize != HEAD_COUNT {
        return refused("heads", heads, "5");
    }
    if measures as usize != DENSE_COUNT {
        return refused("measures", measures, "9");
    }
    if !buckets.is_power_of_two() || buckets > BUCKETS_MAX {
        return refused("buckets", buckets, "a power of two up to 262144");
    }
    let expected = length(buckets as usize);
    if bytes.len() != expected {
        return Err(Error::Length { given: bytes.len(), expected });
    }
    Ok(buckets as usize)
}

fn length(buckets: usize) -> usize {
    HEADER_BYTES + 4 * HEAD_COUNT * (2 + DENSE_COUNT) + 2 * HEAD_COUNT * buckets + CHECKSUM_BYTES
}

/// Little-endian numbers from bytes whose length was checked; past the end they are zero.
struct Numbers<'a>(&'a [u8]);

// === impl Numbers ===

impl Numbers<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        match self.0.split_first_chunk::<N>() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => [0; N],
        }
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn f32(&mut self) -> f32 {
        f32::from_le_bytes(self.take())
    }

    fn i16(&mut self) -> i16 {
        i16::from_le_bytes(self.take())
    }
}
