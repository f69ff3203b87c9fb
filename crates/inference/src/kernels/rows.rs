//! Rows of activations, and the operations on them.

use super::{arena::Buffer, dot, exponent::silu_times, form::wide, team};

/// Numbers that are worth a piece of work.
const PIECE: usize = 1 << 14;

/// Rows of f32, one after another.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    values: Buffer<f32>,
    width: usize,
}

impl Rows {
    /// `values` as rows of `width`, of which they are whole ones.
    pub(crate) fn new(values: impl Into<Buffer<f32>>, width: usize) -> Self {
        Self { values: values.into(), width: width.max(1) }
    }

    /// Rows that are written whole before they are read.
    pub(crate) fn stale(count: usize, width: usize) -> Self {
        Self::new(Buffer::stale(count * width), width)
    }

    /// Rows of zeros.
    pub(crate) fn zeroed(count: usize, width: usize) -> Self {
        Self::new(Buffer::zeroed(count * width), width)
    }

    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }

    pub(crate) fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    pub(crate) fn count(&self) -> usize {
        self.values.len() / self.width
    }

    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// The rows, one by one.
    pub(crate) fn each(&self) -> std::slice::ChunksExact<'_, f32> {
        self.values.chunks_exact(self.width)
    }
}

/// `gates` becomes `gate · sigmoid(gate) · up`, element by element.
pub(crate) fn silu_product(gates: &mut Rows, ups: &Rows) {
    let ups = ups.values();
    team::share_runs(gates.values_mut(), PIECE, |at, gates| silu_times(gates, &ups[at * PIECE..]));
}

/// Adds to `rows` what was given for them.
pub(crate) fn add(rows: &mut Rows, given: &Rows) {
    let given = given.values();
    team::share_runs(rows.values_mut(), PIECE, |at, rows| add_each(rows, &given[at * PIECE..]));
}

/// Adds to `rows` what was given for them, and returns the norm of the sums; in one pass.
pub(crate) fn add_then_norm(rows: &mut Rows, given: &Rows, weight: &[f32], epsilon: f32) -> Rows {
    let mut normed = Rows::stale(rows.count(), rows.width);
    let piece = PIECE.next_multiple_of(rows.width);
    let (given, length) = (given.values(), normed.values.len());
    let out = team::Pieces::new(normed.values_mut());
    team::share_runs(rows.values_mut(), piece, |at, rows| {
        let start = at * piece;
        add_each(rows, &given[start..]);
        // SAFETY: each run of rows is given out once, and its place in the output is its own.
        let out = unsafe { out.part(start, piece.min(length - start)) };
        out.copy_from_slice(rows);
        norm_in_place(out, weight, epsilon);
    });
    normed
}

fn add_each(left: &mut [f32], right: &[f32]) {
    for (left, right) in left.iter_mut().zip(right) {
        *left += right;
    }
}

/// Each run of `weight.len()` values divided by its root mean square, times the weight.
pub(crate) fn rms_norm(input: &Rows, weight: &[f32], epsilon: f32) -> Rows {
    let mut out = input.clone();
    let piece = PIECE.next_multiple_of(weight.len().max(1));
    team::share_runs(out.values_mut(), piece, |_, out| norm_in_place(out, weight, epsilon));
    out
}

fn norm_in_place(values: &mut [f32], weight: &[f32], epsilon: f32) {
    for run in values.chunks_exact_mut(weight.len()) {
        let mean_square = dot(run, run) / weight.len() as f32;
        let scale = 1.0 / (mean_square + epsilon).sqrt();
        for (value, weight) in run.iter_mut().zip(weight) {
            *value = *value * scale * weight;
        }
    }
}

/// How queries and keys are turned by their position.
#[derive(Debug, Clone)]
pub(crate) struct Rotation {
    /// Pairs are neighbours rather than halves apart.
    pub(crate) interleaved: bool,
    /// One frequency per pair.
    pub(crate) frequencies: Vec<f32>,
}

/// Cosines and sines of the rows of one step, one per pair.
#[derive(Debug)]
pub(crate) struct Angles {
    interleaved: bool,
    cos: Vec<f32>,
    sin: Vec<f32>,
    pairs: usize,
}

impl Rotation {
    /// Frequencies `base^(-2i/width)`, as f32 like the reference implementations.
    pub(crate) fn new(base: f32, width: usize, interleaved: bool) -> Self {
        let frequencies =
            (0..width / 2).map(|pair| 1.0 / base.powf((2 * pair) as f32 / width as f32)).collect();
        Self { interleaved, frequencies }
    }

    pub(crate) fn angles(&self, positions: &[usize]) -> Angles {
        let angle = positions.iter().flat_map(|p| self.frequencies.iter().map(move |f| *p as f32 * f));
        let (sin, cos) = angle.map(f32::sin_cos).unzip();
        Angles { interleaved: self.interleaved, cos, sin, pairs: self.frequencies.len() }
    }
}

/// Norms each head where `norm` gives a weight, then turns it by its row's angles; in one pass.
pub(crate) fn rotate(rows: &mut Rows, norm: Option<(&[f32], f32)>, angles: &Angles) {
    let (pairs, width) = (angles.pairs, rows.width);
    let count = (PIECE / width).max(1);
    team::share_runs(rows.values_mut(), count * width, |piece, out| {
        if let Some((weight, epsilon)) = norm {
            norm_in_place(out, weight, epsilon);
        }
        let first = piece * count * pairs;
        let turns = angles.cos[first..].chunks_exact(pairs).zip(angles.sin[first..].chunks_exact(pairs));
        for (row, (cos, sin)) in out.chunks_exact_mut(width).zip(turns) {
            for head in row.chunks_exact_mut(2 * pairs) {
                if angles.interleaved {
                    turn_neighbours(head, cos, sin);
                } else {
                    let (left, right) = head.split_at_mut(pairs);
                    turn_halves(left, right, cos, sin);
                }
            }
        }
    });
}

fn turn_neighbours(head: &mut [f32], cos: &[f32], sin: &[f32]) {
    for ((pair, cos), sin) in head.chunks_exact_mut(2).zip(cos).zip(sin) {
        let (x, y) = (pair[0], pair[1]);
        pair[0] = x * cos - y * sin;
        pair[1] = y * cos + x * sin;
    }
}

#[inline(always)]
fn turn_halves_plain(left: &mut [f32], right: &mut [f32], cos: &[f32], sin: &[f32]) {
    for (((left, right), cos), sin) in left.iter_mut().zip(right).zip(cos).zip(sin) {
        let (x, y) = (*left, *right);
        *left = x * cos - y * sin;
        *right = y * cos + x * sin;
    }
}

wide!(
    /// Turns pairs that are halves of a head apart.
    turn_halves, turn_halves_plain, (left: &mut [f32], right: &mut [f32], cos: &[f32], sin: &[f32])
);

/// Scores to probabilities, in place. Scores without a finite greatest become NaN.
pub(crate) fn softmax(scores: &mut [f32]) {
    let greatest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for score in scores.iter_mut() {
        *score = (*score - greatest).exp();
        sum += *score;
    }
    for score in scores.iter_mut() {
        *score /= sum;
    }
}
