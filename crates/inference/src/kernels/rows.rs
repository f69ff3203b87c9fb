//! Operations on rows of activations, and the view of a candle tensor as such rows.

use candle_core::{CpuStorage, Device, Storage, StorageRef, Tensor};

use super::{dot, exponent::silu_times, form::wide, team};
use crate::Error;

/// Numbers that are worth a piece of work.
const PIECE: usize = 1 << 14;

/// A tensor of contiguous f32 rows on the CPU, held for reading.
pub(crate) struct Rows<'a> {
    storage: StorageRef<'a>,
    start: usize,
    count: usize,
    width: usize,
}

impl<'a> Rows<'a> {
    pub(crate) fn of(tensor: &'a Tensor) -> Result<Self, Error> {
        let (count, width) = tensor.dims2()?;
        let (storage, layout) = tensor.storage_and_layout();
        let Some((start, _)) = layout.contiguous_offsets() else {
            return Err(Error::Compute { problem: "rows are not contiguous".into() });
        };
        Ok(Self { storage, start, count, width })
    }

    pub(crate) fn as_slice(&self) -> Result<&[f32], Error> {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(values)) => {
                Ok(&values[self.start..self.start + self.count * self.width])
            }
            _ => Err(Error::Compute { problem: "rows are not f32 on the CPU".into() }),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }
}

/// The sum of two tensors of rows.
pub(crate) fn add(left: &Tensor, right: &Tensor) -> Result<Tensor, Error> {
    zip(left, right, |left, right| left + right)
}

/// `gate · sigmoid(gate) · up`, element by element.
pub(crate) fn silu_product(gate: &Tensor, up: &Tensor) -> Result<Tensor, Error> {
    let (gate, up) = (Rows::of(gate)?, Rows::of(up)?);
    let mut out = gate.as_slice()?.to_vec();
    let up = up.as_slice()?;
    team::share_runs(&mut out, PIECE, |at, out| silu_times(out, &up[at * PIECE..]));
    Ok(Tensor::from_vec(out, (gate.count, gate.width), &Device::Cpu)?)
}

fn zip(left: &Tensor, right: &Tensor, f: impl Fn(f32, f32) -> f32 + Sync) -> Result<Tensor, Error> {
    let (left, right) = (Rows::of(left)?, Rows::of(right)?);
    let mut out = left.as_slice()?.to_vec();
    let right = right.as_slice()?;
    team::share_runs(&mut out, PIECE, |at, out| {
        for (left, right) in out.iter_mut().zip(&right[at * PIECE..]) {
            *left = f(*left, *right);
        }
    });
    Ok(Tensor::from_vec(out, (left.count, left.width), &Device::Cpu)?)
}

/// Each run of `weight.len()` values divided by its root mean square, times the weight.
pub(crate) fn rms_norm(input: &Tensor, weight: &[f32], epsilon: f32) -> Result<Tensor, Error> {
    let rows = Rows::of(input)?;
    let mut out = rows.as_slice()?.to_vec();
    let piece = PIECE.next_multiple_of(weight.len().max(1));
    team::share_runs(&mut out, piece, |_, out| norm_in_place(out, weight, epsilon));
    Ok(Tensor::from_vec(out, (rows.count, rows.width), &Device::Cpu)?)
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

/// Norms each head where `norm` gives a weight, then turns it by its row's angles.
pub(crate) fn rotate(input: &Tensor, norm: Option<(&[f32], f32)>, angles: &Angles) -> Result<Tensor, Error> {
    let rows = Rows::of(input)?;
    let (pairs, width) = (angles.pairs, rows.width);
    let mut out = rows.as_slice()?.to_vec();
    let count = (PIECE / width.max(1)).max(1);
    team::share_runs(&mut out, count * width, |piece, out| {
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
    Ok(Tensor::from_vec(out, (rows.count, rows.width), &Device::Cpu)?)
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
