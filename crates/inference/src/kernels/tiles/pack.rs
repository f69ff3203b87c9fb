//! From the blocks of a file to tiles, and from a tile back to a row of numbers.

use half::f16;

use super::layout::{Format, LANES, LINE, minimum_at, scale_at, weight};

/// Columns of the longest segment.
const SEGMENT_MAX: usize = 256;
/// Parts of a segment that have integer scales of their own, at most.
const PARTS_MAX: usize = 16;

/// One segment of one row as the file has it.
#[derive(Clone, Copy)]
struct Segment {
    /// Weights with the format's offset added.
    weights: [u8; SEGMENT_MAX],
    scales: [u8; PARTS_MAX],
    minima: [u8; PARTS_MAX],
    /// d and, where there is one, dmin or m.
    heads: [[u8; 2]; 2],
}

impl Segment {
    const EMPTY: Self = Self {
        weights: [0; SEGMENT_MAX],
        scales: [0; PARTS_MAX],
        minima: [0; PARTS_MAX],
        heads: [[0; 2]; 2],
    };
}

/// Bytes of one block in the file.
pub(super) const fn block_bytes(format: Format) -> usize {
    match format {
        Format::Q4_0 => 18,
        Format::Q4_1 => 20,
        Format::Q5_0 => 22,
        Format::Q5_1 => 24,
        Format::Q8_0 => 34,
        Format::Q4K => 144,
        Format::Q5K => 176,
        Format::Q6K => 210,
    }
}

/// Fills one tile of zeros from the rows of blocks of its outputs, of which there may be fewer than sixteen.
pub(super) fn pack_tile(format: Format, rows: &[u8], segments: usize, tile: &mut [u8]) {
    let (body, head) = (format.body(), format.head());
    let (bodies, heads) = tile.split_at_mut(segments * body);
    let block = block_bytes(format);
    let mut lanes = [Segment::EMPTY; LANES];
    for at in 0..segments {
        for (lane, row) in lanes.iter_mut().zip(rows.chunks_exact(segments * block)) {
            read(format, &row[at * block..(at + 1) * block], lane);
        }
        let body = &mut bodies[at * body..(at + 1) * body];
        pack_weights(format, &lanes, body);
        let parts = match format {
            Format::Q4K | Format::Q5K => 8,
            Format::Q6K => 16,
            _ => 0,
        };
        for (lane, segment) in lanes.iter().enumerate() {
            for part in 0..parts {
                body[scale_at(format, part, lane)] = segment.scales[part];
                if format.has_minima() {
                    body[minimum_at(format, part, lane)] = segment.minima[part];
                }
            }
            for (which, value) in segment.heads.iter().enumerate().take(head / (2 * LANES)) {
                let to = at * head + which * 2 * LANES + 2 * lane;
                heads[to..to + 2].copy_from_slice(value);
            }
        }
    }
}

/// Writes a segment's lines one after another, where [`weight`] finds the weights.
fn pack_weights(format: Format, lanes: &[Segment; LANES], body: &mut [u8]) {
    let word = |lane: &Segment, word: usize| {
        let w = &lane.weights[word * 4..word * 4 + 4];
        u32::from_le_bytes([w[0], w[1], w[2], w[3]])
    };
    let bits = |line: usize, lane: &Segment| match format {
        Format::Q8_0 => word(lane, line),
        Format::Q4_0 | Format::Q4_1 | Format::Q4K => {
            let low = line / 4 * 8 + line % 4;
            word(lane, low) | word(lane, low + 4) << 4
        }
        Format::Q5_0 | Format::Q5_1 | Format::Q5K => {
            let first = line / 5 * 8;
            let half = |at: usize| word(lane, first + at) & 0x0f0f_0f0f;
            let fifth = |at: usize| (word(lane, first + at) >> 4 & 0x0101_0101) << at;
            match line % 5 {
                4 => (0..8).map(fifth).fold(0, |all, bits| all | bits),
                at => half(at) | half(at + 4) << 4,
            }
        }
        Format::Q6K => {
            let first = line / 3 * 4;
            let low = |at: usize| word(lane, first + at) & 0x0f0f_0f0f;
            let high = |at: usize| (word(lane, first + at) >> 4 & 0x0303_0303) << (2 * at);
            match line % 3 {
                2 => high(0) | high(1) | high(2) | high(3),
                at => low(at) | low(at + 2) << 4,
            }
        }
    };
    for (at, line) in body[..format.weights()].as_chunks_mut::<LINE>().0.iter_mut().enumerate() {
        for (to, lane) in line.as_chunks_mut::<4>().0.iter_mut().zip(lanes) {
            *to = bits(at, lane).to_le_bytes();
        }
    }
}

/// Reads a block; the layouts are those of ggml.
fn read(format: Format, block: &[u8], to: &mut Segment) {
    match format {
        Format::Q4_0 | Format::Q4_1 | Format::Q5_0 | Format::Q5_1 => read_32(format, block, to),
        Format::Q8_0 => {
            to.heads[0].copy_from_slice(&block[..2]);
            for (weight, value) in to.weights.iter_mut().zip(&block[2..]) {
                *weight = value ^ 0x80;
            }
        }
        Format::Q4K => read_with_minima(block, (&[], &block[16..]), to),
        Format::Q5K => read_with_minima(block, (&block[16..48], &block[48..]), to),
        Format::Q6K => read_q6k(block, to),
    }
}

/// d, m where there is one, 4 bytes of fifth bits where there are, 16 bytes of half-bytes.
fn read_32(format: Format, block: &[u8], to: &mut Segment) {
    to.heads[0].copy_from_slice(&block[..2]);
    if format.has_base() {
        to.heads[1].copy_from_slice(&block[2..4]);
    }
    let (rest, pairs) = block.split_at(block.len() - 16);
    let fifths = match rest {
        [.., a, b, c, d] if format.has_fifth_bits() => u32::from_le_bytes([*a, *b, *c, *d]),
        _ => 0,
    };
    let fifth = |column: usize| ((fifths >> column & 1) << 4) as u8;
    for (at, pair) in pairs.iter().enumerate() {
        to.weights[at] = pair & 15 | fifth(at);
        to.weights[at + 16] = pair >> 4 | fifth(at + 16);
    }
}

/// d, dmin, twelve bytes of 6-bit scales and minima, 32 bytes of fifth bits where there are, 128 bytes of half-bytes.
fn read_with_minima(block: &[u8], (fifths, pairs): (&[u8], &[u8]), to: &mut Segment) {
    to.heads[0].copy_from_slice(&block[..2]);
    to.heads[1].copy_from_slice(&block[2..4]);
    let packed = &block[4..16];
    for part in 0..8 {
        if part < 4 {
            to.scales[part] = packed[part] & 63;
            to.minima[part] = packed[part + 4] & 63;
        } else {
            to.scales[part] = (packed[part + 4] & 15) | (packed[part - 4] >> 6) << 4;
            to.minima[part] = (packed[part + 4] >> 4) | (packed[part] >> 6) << 4;
        }
    }
    for (at, pair) in pairs.iter().enumerate() {
        let (part, column) = (at / 32 * 2, at % 32);
        let bits = fifths.get(column).copied().unwrap_or(0);
        let fifth = |part: usize| (bits >> part & 1) << 4;
        to.weights[part * 32 + column] = pair & 15 | fifth(part);
        to.weights[(part + 1) * 32 + column] = pair >> 4 | fifth(part + 1);
    }
}

/// 128 bytes of low half-bytes, 64 of upper bit pairs, 16 signed scales, d.
fn read_q6k(block: &[u8], to: &mut Segment) {
    let (low, high) = (&block[..128], &block[128..192]);
    for half in 0..2 {
        let (low, high) = (&low[half * 64..][..64], &high[half * 32..][..32]);
        let to = &mut to.weights[half * 128..][..128];
        for at in 0..32 {
            to[at] = low[at] & 15 | (high[at] & 3) << 4;
            to[at + 32] = low[at + 32] & 15 | (high[at] >> 2 & 3) << 4;
            to[at + 64] = low[at] >> 4 | (high[at] >> 4 & 3) << 4;
            to[at + 96] = low[at + 32] >> 4 | high[at] >> 6 << 4;
        }
    }
    to.scales.copy_from_slice(&block[192..208]);
    to.heads[0].copy_from_slice(&block[208..210]);
}

/// Row `lane` of a tile as numbers, by the same operations in the same order as ggml's own.
pub(super) fn unpack_row(format: Format, tile: &[u8], lane: usize, out: &mut [f32]) {
    let columns = format.segment();
    let segments = out.len() / columns;
    let (body, head) = (format.body(), format.head());
    let (bodies, heads) = tile.split_at(segments * body);
    for (at, out) in out.chunks_exact_mut(columns).enumerate() {
        let body = &bodies[at * body..(at + 1) * body];
        let heads = &heads[at * head..(at + 1) * head];
        let d = half_at(heads, lane);
        for (column, out) in out.iter_mut().enumerate() {
            let value = (weight(format, body, column, lane) - format.offset()) as f32;
            *out = match format {
                Format::Q4_0 | Format::Q5_0 | Format::Q8_0 => value * d,
                Format::Q4_1 | Format::Q5_1 => value * d + half_at(heads, LANES + lane),
                Format::Q4K | Format::Q5K => {
                    let scale = f32::from(body[scale_at(format, column / 32, lane)]);
                    let minimum = f32::from(body[minimum_at(format, column / 32, lane)]);
                    d * scale * value - half_at(heads, LANES + lane) * minimum
                }
                Format::Q6K => {
                    let scale = f32::from(body[scale_at(format, column / 16, lane)].cast_signed());
                    d * scale * value
                }
            };
        }
    }
}

/// The f16 at `index` as f32.
pub(super) fn half_at(bytes: &[u8], index: usize) -> f32 {
    f16::from_le_bytes([bytes[2 * index], bytes[2 * index + 1]]).to_f32()
}
