//! Rows of activations as 8-bit integers, interleaved so that a kernel reads them in the order in which it needs them.
//!
//! The scale of a run of activations is a f32, its greatest absolute value over 127. A run with a value that is not
//! finite gets such a scale, so that its products are not finite either. Rows stand in panels; in a panel of `m` rows
//! the words of four columns lie side by side, one per row.

use super::layout::Format;
use crate::kernels::{Buffer, Form, form::wide, team};

/// Rows of a panel, the largest that fits.
const PANELS: [usize; 6] = [16, 12, 8, 4, 2, 1];
/// A run whose greatest value is below this is taken for zeros.
const GREATEST_MIN: f32 = 1e-30;
/// Below so many activations the work is not worth sharing.
const PARALLEL_MIN: usize = 1 << 13;
/// As many activations are worth a piece of work.
const PIECE: usize = 1 << 13;
/// Adding and subtracting this rounds to the nearest whole number, ties to even, below 2²² on every processor.
const ROUNDING: f32 = 12_582_912.0;

/// Quantised activations for weights of one format.
#[derive(Debug)]
pub(crate) struct Input {
    pub(super) format: Format,
    pub(super) columns: usize,
    panels: Vec<Place>,
    values: Buffer<i32>,
    scales: Buffer<f32>,
    sums: Buffer<i32>,
}

/// Which rows a panel holds.
#[derive(Debug, Clone, Copy)]
struct Place {
    first: usize,
    rows: usize,
}

/// One panel, for reading.
#[derive(Debug, Clone, Copy)]
pub(super) struct Panel<'a> {
    /// Its first row.
    pub(super) first: usize,
    pub(super) rows: usize,
    /// Words of four activations: `[columns / 4][rows]`.
    pub(super) values: &'a [i32],
    /// `[segments][rows]`.
    pub(super) scales: &'a [f32],
    /// `[segments][format.sums()][rows]`: negative sums times the weights' offset, so that a product can start from
    /// them; plain sums where a f16 is added to weights; for Q4_K and Q5_K pairs of plain sums of 32 in the halves of a
    /// word.
    pub(super) sums: &'a [i32],
}

impl Input {
    /// The rows of `floats` that `order` gives, of which each of `groups` starts a panel. Every row that `order` gives
    /// is below `floats.len() / columns`.
    pub(crate) fn gather(
        format: Format,
        columns: usize,
        floats: &[f32],
        order: impl Fn(usize) -> usize + Sync,
        groups: impl Iterator<Item = usize>,
    ) -> Self {
        let panels = panels(groups);
        let rows = panels.last().map_or(0, |place| place.first + place.rows);
        let segments = columns / format.segment();
        let mut input = Self {
            format,
            columns,
            panels,
            values: Buffer::stale(rows * columns / 4),
            scales: Buffer::stale(rows * segments),
            sums: Buffer::stale(rows * segments * format.sums()),
        };
        input.fill(|row| &floats[order(row) * columns..][..columns]);
        input
    }

    /// All rows of `floats`.
    pub(crate) fn new(format: Format, columns: usize, floats: &[f32]) -> Self {
        Self::gather(format, columns, floats, |row| row, std::iter::once(floats.len() / columns))
    }

    fn fill<'f>(&mut self, row: impl Fn(usize) -> &'f [f32] + Sync) {
        let (format, columns) = (self.format, self.columns);
        let segments = columns / format.segment();
        let places = std::mem::take(&mut self.panels);
        let values = team::Pieces::new(&mut self.values);
        let scales = team::Pieces::new(&mut self.scales);
        let sums = team::Pieces::new(&mut self.sums);
        // A piece is some neighbouring segments of a panel.
        let most = places.iter().map(|place| place.rows).max().unwrap_or(1);
        let length = (PIECE / (most * format.segment())).max(1);
        let runs = segments.div_ceil(length);
        let one = |piece: usize| {
            let Place { first, rows } = places[piece / runs];
            let from = piece % runs * length;
            let count = length.min(segments - from);
            let part = |each: usize| ((first * segments + rows * from) * each, rows * count * each);
            let (value, scale, sum) = (part(format.segment() / 4), part(1), part(format.sums()));
            // SAFETY: panels hold different rows, pieces of a panel different segments, and each is asked for once, so
            // that parts do not overlap.
            let (values, scales, sums) = unsafe {
                (values.part(value.0, value.1), scales.part(scale.0, scale.1), sums.part(sum.0, sum.1))
            };
            let mut to = Filling { values, scales, sums, rows, format };
            let columns = from * format.segment()..(from + count) * format.segment();
            for at in 0..rows {
                to.row(at, &row(first + at)[columns.clone()]);
            }
        };
        let pieces = places.len() * runs;
        if places.iter().map(|place| place.rows).sum::<usize>() * columns < PARALLEL_MIN {
            (0..pieces).for_each(one);
        } else {
            team::share(pieces, one);
        }
        self.panels = places;
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    pub(crate) fn rows(&self) -> usize {
        self.panels.last().map_or(0, |place| place.first + place.rows)
    }

    /// The panels of the rows `start..end`, which are whole groups.
    pub(super) fn panels_of(&self, start: usize, end: usize) -> std::ops::Range<usize> {
        let at = |row| self.panels.partition_point(|place| place.first < row);
        at(start)..at(end)
    }

    pub(super) fn panel(&self, index: usize) -> Panel<'_> {
        let Place { first, rows } = self.panels[index];
        let segments = self.columns / self.format.segment();
        let part = |each: usize| first * each..(first + rows) * each;
        Panel {
            first,
            rows,
            values: &self.values[part(self.columns / 4)],
            scales: &self.scales[part(segments)],
            sums: &self.sums[part(segments * self.format.sums())],
        }
    }
}

/// Cuts each group into panels.
fn panels(groups: impl Iterator<Item = usize>) -> Vec<Place> {
    let mut places = Vec::new();
    let mut first = 0;
    for group in groups {
        let mut left = group;
        for size in PANELS {
            while left >= size {
                places.push(Place { first, rows: size });
                first += size;
                left -= size;
            }
        }
    }
    places
}

/// A panel in the making.
struct Filling<'a> {
    values: &'a mut [i32],
    scales: &'a mut [f32],
    sums: &'a mut [i32],
    rows: usize,
    format: Format,
}

impl Filling<'_> {
    fn row(&mut self, row: usize, floats: &[f32]) {
        let length = self.format.segment();
        let mut whole = [0i8; 256];
        for (at, floats) in floats.chunks_exact(length).enumerate() {
            let whole = &mut whole[..length];
            self.scales[at * self.rows + row] = quantise(floats, whole);
            let words = whole.chunks_exact(4).map(|w| {
                i32::from_le_bytes([
                    w[0].cast_unsigned(),
                    w[1].cast_unsigned(),
                    w[2].cast_unsigned(),
                    w[3].cast_unsigned(),
                ])
            });
            let to = &mut self.values[at * length / 4 * self.rows..];
            for (word, to) in words.zip(to.chunks_exact_mut(self.rows)) {
                to[row] = word;
            }
            let count = self.format.sums();
            let mut runs = [0i32; 16];
            sums_of(whole, &mut runs);
            // Sums of 16, of which `each` are a run's.
            let each = length / count / 16;
            let sum = |from: usize, each: usize| runs[from..from + each].iter().sum::<i32>();
            let sums = &mut self.sums[at * count * self.rows..];
            for (run, to) in sums.chunks_exact_mut(self.rows).enumerate().take(count) {
                let first = run * each;
                to[row] = if self.format.has_minima() {
                    (sum(first, 2) & 0xffff) | sum(first + 2, 2) << 16
                } else if self.format.has_base() {
                    sum(first, each)
                } else {
                    -self.format.offset() * sum(first, each)
                };
            }
        }
    }
}

#[inline(always)]
fn sums_of_plain(values: &[i8], sums: &mut [i32; 16]) {
    for (sum, values) in sums.iter_mut().zip(values.as_chunks::<16>().0) {
        *sum = values.iter().map(|value| i32::from(*value)).sum();
    }
}

wide!(
    /// The sums of each sixteen values.
    sums_of, sums_of_plain, (values: &[i8], sums: &mut [i32; 16])
);

/// Writes `floats` over their scale as whole numbers from -127 to 127 and returns the scale.
fn quantise(floats: &[f32], out: &mut [i8]) -> f32 {
    #[cfg(target_arch = "x86_64")]
    {
        let form = Form::best();
        if form == Form::Avx512 {
            // SAFETY: the processor has what the form needs.
            return unsafe { quantise_avx512(floats, out) };
        }
        if form == Form::Avx2 {
            // SAFETY: the processor has what the form needs.
            return unsafe { quantise_avx2(floats, out) };
        }
    }
    quantise_plain(floats, out)
}

/// # Safety
///
/// The processor has AVX-512F and AVX-512BW.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn quantise_avx512(floats: &[f32], out: &mut [i8]) -> f32 {
    quantise_plain(floats, out)
}

/// # Safety
///
/// The processor has AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn quantise_avx2(floats: &[f32], out: &mut [i8]) -> f32 {
    quantise_plain(floats, out)
}

/// Written without branches so that the compiler widens it for each of the processors above.
#[inline(always)]
fn quantise_plain(floats: &[f32], out: &mut [i8]) -> f32 {
    // As bits, infinity is above every number and what is not a number above infinity.
    let greatest = floats.iter().fold(0, |greatest, value| (value.to_bits() & 0x7fff_ffff).max(greatest));
    let greatest = f32::from_bits(greatest);
    let inverse = if greatest < GREATEST_MIN { 0.0 } else { 127.0 / greatest };
    for (out, value) in out.iter_mut().zip(floats) {
        let rounded = value * inverse + ROUNDING;
        *out = rounded.to_bits().wrapping_sub(ROUNDING.to_bits()) as i8;
    }
    greatest / 127.0
}
