//! Keys and values of one layer of one sequence, in blocks of 64 positions.
//!
//! A block holds, head after head, the keys with positions side by side (`[number][position]`), and the values with
//! numbers side by side (`[position][number]`, filled up to whole registers), so that neither a score nor a weighted sum
//! ever adds across the lanes of a register.

use half::f16;

use super::panel::Element;
use crate::KvType;

/// Positions of a block.
pub(crate) const BLOCK: usize = 64;
/// Numbers that the values of a position are filled up to a multiple of.
pub(super) const WHOLE: usize = 16;

/// What is kept of each position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyShape {
    /// Heads of keys and values.
    pub(crate) heads: usize,
    /// Numbers of a head's key.
    pub(crate) key_width: usize,
    /// Numbers of a head's values.
    pub(crate) value_width: usize,
}

/// All positions of a layer so far.
#[derive(Debug, Clone)]
pub(crate) struct Past {
    shape: KeyShape,
    positions: usize,
    numbers: Numbers,
}

/// Keys, and values.
#[derive(Debug, Clone)]
pub(super) enum Numbers {
    F32([Vec<f32>; 2]),
    F16([Vec<f16>; 2]),
}

impl KeyShape {
    /// Numbers of one head's keys in a block.
    pub(super) fn key_block(self) -> usize {
        self.key_width * BLOCK
    }

    /// Numbers from one position's values to the next position's.
    pub(super) fn value_stride(self) -> usize {
        self.value_width.next_multiple_of(WHOLE)
    }

    /// Numbers of one head's values in a block.
    pub(super) fn value_block(self) -> usize {
        self.value_stride() * BLOCK
    }
}

impl Past {
    pub(crate) fn new(shape: KeyShape, kind: KvType) -> Self {
        let numbers = match kind {
            KvType::F32 => Numbers::F32([Vec::new(), Vec::new()]),
            KvType::F16 => Numbers::F16([Vec::new(), Vec::new()]),
        };
        Self { shape, positions: 0, numbers }
    }

    pub(crate) fn positions(&self) -> usize {
        self.positions
    }

    pub(super) fn numbers(&self) -> &Numbers {
        &self.numbers
    }

    /// Adds positions: rows of all heads' keys, and of all heads' values.
    pub(crate) fn extend(&mut self, keys: &[f32], values: &[f32]) {
        let (shape, first) = (self.shape, self.positions);
        match &mut self.numbers {
            Numbers::F32(to) => extend(to, (shape, first), keys, values),
            Numbers::F16(to) => extend(to, (shape, first), keys, values),
        }
        self.positions += keys.len() / (shape.heads * shape.key_width).max(1);
    }
}

fn extend<E: Element>(
    [all_keys, all_values]: &mut [Vec<E>; 2],
    (shape, first): (KeyShape, usize),
    keys: &[f32],
    values: &[f32],
) {
    let KeyShape { heads, key_width, value_width } = shape;
    let rows = keys.len() / (heads * key_width).max(1);
    let blocks = (first + rows).div_ceil(BLOCK);
    all_keys.resize(blocks * heads * shape.key_block(), E::narrow(0.0));
    all_values.resize(blocks * heads * shape.value_block(), E::narrow(0.0));
    let stride = shape.value_stride();
    for row in 0..rows {
        let (block, at) = ((first + row) / BLOCK, (first + row) % BLOCK);
        for head in 0..heads {
            let from = (row * heads + head) * key_width;
            let to = &mut all_keys[(block * heads + head) * shape.key_block()..][..shape.key_block()];
            for (to, key) in to[at..].iter_mut().step_by(BLOCK).zip(&keys[from..from + key_width]) {
                *to = E::narrow(*key);
            }
            let from = (row * heads + head) * value_width;
            let to = &mut all_values[(block * heads + head) * shape.value_block() + at * stride..];
            for (to, value) in to.iter_mut().zip(&values[from..from + value_width]) {
                *to = E::narrow(*value);
            }
        }
    }
}
