//! The product of a tile and a panel, said plainly: the reference of the other forms, which give the same bits.

use super::{
    input::Panel,
    layout::{Format, LANES, minimum_at, scale_at, weight},
    pack::half_at,
};

/// Writes the products of the tile's outputs with the panel's rows.
pub(super) fn product(format: Format, tile: &[u8], panel: Panel<'_>, out: &mut [[f32; LANES]]) {
    let columns = format.segment();
    let segments = panel.scales.len() / panel.rows;
    let (body, head) = (format.body(), format.head());
    let (bodies, heads) = tile.split_at(segments * body);
    for (row, out) in out.iter_mut().enumerate() {
        for (lane, out) in out.iter_mut().enumerate() {
            *out = 0.0;
            for at in 0..segments {
                let segment = Segment {
                    format,
                    body: &bodies[at * body..(at + 1) * body],
                    values: &panel.values[at * columns / 4 * panel.rows..],
                    sums: &panel.sums[at * format.sums() * panel.rows..],
                    rows: panel.rows,
                };
                let heads = &heads[at * head..(at + 1) * head];
                let scale = panel.scales[at * panel.rows + row];
                let total = segment.total(row, lane);
                *out = (total as f32).mul_add(half_at(heads, lane) * scale, *out);
                if format.has_base() {
                    let base = half_at(heads, LANES + lane) * scale;
                    *out = (segment.sums[row] as f32).mul_add(base, *out);
                }
                if format.has_minima() {
                    let minima = -segment.minima(row, lane);
                    *out = (minima as f32).mul_add(half_at(heads, LANES + lane) * scale, *out);
                }
            }
        }
    }
}

/// A segment of a tile beside that of a panel.
struct Segment<'a> {
    format: Format,
    body: &'a [u8],
    values: &'a [i32],
    sums: &'a [i32],
    rows: usize,
}

impl Segment<'_> {
    /// The sum of weights, times their integer scales, times activations.
    fn total(&self, row: usize, lane: usize) -> i32 {
        let columns = self.format.segment();
        match self.format {
            Format::Q4_0 | Format::Q5_0 | Format::Q8_0 => self.sums[row] + self.dot(0..columns, row, lane),
            Format::Q4_1 | Format::Q5_1 => self.dot(0..columns, row, lane),
            Format::Q4K | Format::Q5K => (0..8)
                .map(|part| {
                    let scale = i32::from(self.body[scale_at(self.format, part, lane)]);
                    scale * self.dot(part * 32..(part + 1) * 32, row, lane)
                })
                .sum(),
            Format::Q6K => (0..16)
                .map(|part| {
                    let scale = i32::from(self.body[scale_at(self.format, part, lane)].cast_signed());
                    let start = self.sums[part * self.rows + row];
                    scale * (start + self.dot(part * 16..(part + 1) * 16, row, lane))
                })
                .sum(),
        }
    }

    fn dot(&self, columns: std::ops::Range<usize>, row: usize, lane: usize) -> i32 {
        let one = |column: usize| {
            let word = self.values[column / 4 * self.rows + row].to_le_bytes();
            weight(self.format, self.body, column, lane) * i32::from(word[column % 4].cast_signed())
        };
        columns.map(one).sum()
    }

    /// The sum of minima times the sums of activations.
    fn minima(&self, row: usize, lane: usize) -> i32 {
        let one = |part: usize| {
            let pair = self.sums[part / 2 * self.rows + row];
            let sum = if part.is_multiple_of(2) { pair << 16 >> 16 } else { pair >> 16 };
            i32::from(self.body[minimum_at(self.format, part, lane)]) * sum
        };
        (0..8).map(one).sum()
    }
}
