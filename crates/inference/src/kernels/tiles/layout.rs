//! Where each number of a packed matrix lies: sixteen outputs side by side, so that sums never cross a register's lanes.
//!
//! A tile holds sixteen rows of the matrix. Its columns are cut into segments; four neighbouring columns of one output
//! are a word of four weights, and sixteen such words, one per output, are a line of 64 weights.
//!
//! | format | columns of a segment | weights of a segment | integer scales | f16 scales |
//! |---|---|---|---|---|
//! | Q4_0 | 32 | 4 lines: words 0–3 in low, 4–7 in high half-bytes | – | d |
//! | Q4_1 | 32 | as Q4_0 | – | d, m |
//! | Q5_0, Q5_1 | 32 | as Q4_0, 1 line of fifth bits: word `n`'s in bit `n` | – | d, or d and m |
//! | Q8_0 | 32 | 8 lines, each weight plus 128 | – | d |
//! | Q4_K | 256 | 8 × as Q4_0 | 8 scales, then 4 pairs of minima per output, a byte each | d, dmin |
//! | Q5_K | 256 | 8 × as Q5_0 | as Q4_K | d, dmin |
//! | Q6_K | 256 | 16 × 2 lines of low half-bytes (words 0, 1 in low, 2, 3 in high), 1 line of upper bit pairs | 16, signed | d |
//!
//! The f16 scales of all segments follow the last segment. Bits per weight: 4.5, 5, 5.5 and 6,
//! 8.5, 4.625, 5.625, 6.5625.

/// Raised with every change of where a number lies, so that tiles kept in a file are never read as others.
pub(crate) const VERSION: u32 = 2;

/// Outputs of a tile.
pub(crate) const LANES: usize = 16;
/// Bytes of a line.
pub(super) const LINE: usize = 64;

/// What the packed numbers mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q4K,
    Q5K,
    Q6K,
}

impl Format {
    /// Columns that share the f16 scales of weights, and the scale of activations.
    pub(crate) const fn segment(self) -> usize {
        match self {
            Self::Q4K | Self::Q5K | Self::Q6K => 256,
            _ => 32,
        }
    }

    /// Bytes of a segment's weights.
    pub(super) const fn weights(self) -> usize {
        self.segment() / 32
            * LINE
            * match self {
                Self::Q4_0 | Self::Q4_1 | Self::Q4K => 4,
                Self::Q5_0 | Self::Q5_1 | Self::Q5K => 5,
                Self::Q6K => 6,
                Self::Q8_0 => 8,
            }
    }

    /// Bytes of a segment's weights and integer scales.
    pub(super) const fn body(self) -> usize {
        match self {
            Self::Q4K | Self::Q5K | Self::Q6K => self.weights() + 4 * LINE,
            _ => self.weights(),
        }
    }

    /// Bytes of a segment's f16 scales.
    pub(super) const fn head(self) -> usize {
        match self {
            Self::Q4_0 | Self::Q5_0 | Self::Q8_0 | Self::Q6K => 2 * LANES,
            Self::Q4_1 | Self::Q5_1 | Self::Q4K | Self::Q5K => 4 * LANES,
        }
    }

    /// Whether integer scales and minima belong to parts of 32 columns.
    pub(super) const fn has_minima(self) -> bool {
        matches!(self, Self::Q4K | Self::Q5K)
    }

    /// Whether a f16 is added to every weight of a segment.
    pub(super) const fn has_base(self) -> bool {
        matches!(self, Self::Q4_1 | Self::Q5_1)
    }

    /// Whether a line of fifth bits follows the half-bytes of 32 columns.
    pub(super) const fn has_fifth_bits(self) -> bool {
        matches!(self, Self::Q5_0 | Self::Q5_1 | Self::Q5K)
    }

    /// Bytes of a tile; whole lines.
    pub(super) const fn tile(self, segments: usize) -> usize {
        (segments * (self.body() + self.head())).next_multiple_of(LINE)
    }

    /// Words of sums over activations that belong to a segment of one row.
    pub(super) const fn sums(self) -> usize {
        match self {
            Self::Q4K | Self::Q5K => 4,
            Self::Q6K => 16,
            _ => 1,
        }
    }

    /// What is added to a weight so that it is not negative.
    pub(super) const fn offset(self) -> i32 {
        match self {
            Self::Q4_0 => 8,
            Self::Q5_0 => 16,
            Self::Q8_0 => 128,
            Self::Q6K => 32,
            Self::Q4_1 | Self::Q5_1 | Self::Q4K | Self::Q5K => 0,
        }
    }
}

/// The weight in `column` of a segment for output `lane`, with its offset added. `body` is the segment's.
pub(super) fn weight(format: Format, body: &[u8], column: usize, lane: usize) -> i32 {
    let (word, byte) = (column / 4, 4 * lane + column % 4);
    let value = match format {
        Format::Q8_0 => body[word * LINE + byte],
        Format::Q4_0 | Format::Q4_1 | Format::Q4K | Format::Q5_0 | Format::Q5_1 | Format::Q5K => {
            let part = if format.has_fifth_bits() { 5 * LINE } else { 4 * LINE };
            let lines = &body[word / 8 * part..];
            let pair = lines[word % 4 * LINE + byte];
            let fifth = if format.has_fifth_bits() { (lines[4 * LINE + byte] >> (word % 8)) & 1 } else { 0 };
            (if word % 8 < 4 { pair & 15 } else { pair >> 4 }) | fifth << 4
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

/// Where the minimum of part `part` of a Q4_K or Q5_K segment stands within its body.
pub(super) fn minimum_at(format: Format, part: usize, lane: usize) -> usize {
    format.weights() + 8 * LANES + part / 2 * 2 * LANES + 2 * lane + part % 2
}
