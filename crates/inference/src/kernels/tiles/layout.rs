//! Where each number of a packed matrix lies: sixteen outputs side by side, so that sums never cross a register's lanes.
//!
//! A tile holds sixteen rows of the matrix. Its columns are cut into segments; four neighbouring columns of one output
//! are a word of four weights, and sixteen such words, one per output, are a line of 64 weights.
//!
//! | format | columns of a segment | weights of a segment | integer scales | f16 scales |
//! |---|---|---|---|---|
//! | Q4_0 | 32 | 4 lines: words 0–3 in low, 4–7 in high half-bytes | – | d |
//! | Q8_0 | 32 | 8 lines, each weight plus 128 | – | d |
//! | Q4_K | 256 | 8 × as Q4_0 | 8 scales, then 4 pairs of minima per output, a byte each | d, dmin |
//! | Q6_K | 256 | 16 × 2 lines of low half-bytes (words 0, 1 in low, 2, 3 in high), 1 line of upper bit pairs | 16, signed | d |
//!
//! The f16 scales of all segments follow the last segment. Bits per weight: 4.5, 8.5, 4.625, 6.5625.

/// Raised with every change of where a number lies, so that tiles kept in a file are never read as others.
pub(crate) const VERSION: u32 = 1;

/// Outputs of a tile.
pub(crate) const LANES: usize = 16;
/// Bytes of a line.
pub(super) const LINE: usize = 64;

/// What the packed numbers mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Q4_0,
    Q8_0,
    Q4K,
    Q6K,
}

impl Format {
    /// Columns that share the f16 scales of weights, and the scale of activations.
    pub(crate) const fn segment(self) -> usize {
        match self {
            Self::Q4_0 | Self::Q8_0 => 32,
            Self::Q4K | Self::Q6K => 256,
        }
    }

    /// Bytes of a segment's weights.
    pub(super) const fn weights(self) -> usize {
        match self {
            Self::Q4_0 => 4 * LINE,
            Self::Q8_0 => 8 * LINE,
            Self::Q4K => 32 * LINE,
            Self::Q6K => 48 * LINE,
        }
    }

    /// Bytes of a segment's weights and integer scales.
    pub(super) const fn body(self) -> usize {
        match self {
            Self::Q4_0 | Self::Q8_0 => self.weights(),
            Self::Q4K | Self::Q6K => self.weights() + 4 * LINE,
        }
    }

    /// Bytes of a segment's f16 scales.
    pub(super) const fn head(self) -> usize {
        match self {
            Self::Q4_0 | Self::Q8_0 | Self::Q6K => 2 * LANES,
            Self::Q4K => 4 * LANES,
        }
    }

    /// Bytes of a tile; whole lines.
    pub(super) const fn tile(self, segments: usize) -> usize {
        (segments * (self.body() + self.head())).next_multiple_of(LINE)
    }

    /// Words of sums over activations that belong to a segment of one row.
    pub(super) const fn sums(self) -> usize {
        match self {
            Self::Q4_0 | Self::Q8_0 => 1,
            Self::Q4K => 4,
            Self::Q6K => 16,
        }
    }

    /// What is added to a weight so that it is not negative.
    pub(super) const fn offset(self) -> i32 {
        match self {
            Self::Q4_0 => 8,
            Self::Q8_0 => 128,
            Self::Q4K => 0,
            Self::Q6K => 32,
        }
    }
}

/// The weight in `column` of a segment for output `lane`, with its offset added. `body` is the segment's.
pub(super) fn weight(format: Format, body: &[u8], column: usize, lane: usize) -> i32 {
    let (word, byte) = (column / 4, 4 * lane + column % 4);
    let value = match format {
        Format::Q8_0 => body[word * LINE + byte],
        Format::Q4_0 | Format::Q4K => {
            let pair = body[word / 8 * 4 * LINE + word % 4 * LINE + byte];
            if word % 8 < 4 { pair & 15 } else { pair >> 4 }
        }
        Format::Q6K => {
            let lines = &body[word / 4 * 3 * LINE..];
            let pair = lines[word % 2 * LINE + byte];
            let low = if word % 4 < 2 { pair & 15 } else { pair >> 4 };
            let high = (lines[2 * LINE + byte] >> (2 * (word % 4))) & 3;
            low | high << 4
        }
    };
    i32::from(value)
}

/// Where the integer scale of part `part` of a segment stands within its body.
pub(super) fn scale_at(format: Format, part: usize, lane: usize) -> usize {
    format.weights() + part * LANES + lane
}

/// Where the minimum of part `part` of a Q4_K segment stands within its body.
pub(super) fn minimum_at(part: usize, lane: usize) -> usize {
    Format::Q4K.weights() + 8 * LANES + part / 2 * 2 * LANES + 2 * lane + part % 2
}
