//! Where a matrix's tiles lie: in memory of this process, or in a part of a mapped file.

use super::layout::LINE;
use crate::formats::Bytes;

/// Weights on a whole cache line.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Line(pub(super) [u8; LINE]);

/// The tiles of a matrix.
#[derive(Debug)]
pub(super) enum Lines {
    /// Packed when the model was loaded.
    Own(Vec<Line>),
    /// Packed before; the file starts them on a line.
    File(Bytes),
}

impl Lines {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Own(lines) => bytes_of(lines),
            Self::File(bytes) => bytes.as_slice(),
        }
    }
}

fn bytes_of(lines: &[Line]) -> &[u8] {
    // SAFETY: a line is 64 bytes without padding, so that the slice is as many initialised bytes.
    unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), size_of_val(lines)) }
}

pub(super) fn bytes_of_mut(lines: &mut [Line]) -> &mut [u8] {
    // SAFETY: as above, and any bytes are a line.
    unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), size_of_val(lines)) }
}
