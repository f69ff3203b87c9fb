//! How queries and keys are turned by their position, for the kinds of rotation that the plain kernel does not do.

use super::config::Rope;
use crate::kernels::{Angles, Rotation, Rows, rms_norm, rotate};

/// A rotation made ready: its frequencies.
#[derive(Debug)]
pub(super) struct Turning {
    rotation: Rotation,
    width: usize,
    head_width: usize,
    magnitude: f32,
}

/// The turns of one step's rows.
#[derive(Debug)]
pub(super) enum Turns {
    /// Whole heads, plainly.
    Whole(Angles),
    /// The first numbers of each head, by cosines and sines that may be longer than 1.
    Part(Part),
}

/// Cosines and sines of the rows of one step, one per pair.
#[derive(Debug)]
pub(super) struct Part {
    cos: Vec<f32>,
    sin: Vec<f32>,
    /// Rotated numbers of a head, and all of them.
    width: usize,
    head_width: usize,
    interleaved: bool,
}

impl Turning {
    pub(super) fn new(rope: &Rope, head_width: usize) -> Self {
        let rotation = Rotation { interleaved: rope.interleaved, frequencies: rope.frequencies() };
        Self { rotation, width: rope.width, head_width, magnitude: rope.magnitude() }
    }

    pub(super) fn turns(&self, positions: &[usize]) -> Turns {
        if self.width == self.head_width && self.magnitude == 1.0 {
            return Turns::Whole(self.rotation.angles(positions));
        }
        let frequencies = &self.rotation.frequencies;
        let angles = positions.iter().flat_map(|p| frequencies.iter().map(move |f| *p as f32 * f));
        let (sin, cos) = angles
            .map(|angle| {
                let (sin, cos) = angle.sin_cos();
                (sin * self.magnitude, cos * self.magnitude)
            })
            .unzip();
        let interleaved = self.rotation.interleaved;
        Turns::Part(Part { cos, sin, width: self.width, head_width: self.head_width, interleaved })
    }
}

impl Turns {
    /// Norms each head where `norm` gives a weight, then turns it by its row's angles.
    pub(super) fn apply(&self, rows: &mut Rows, norm: Option<(&[f32], f32)>) {
        match self {
            Self::Whole(angles) => rotate(rows, norm, angles),
            Self::Part(part) => {
                if let Some((weight, epsilon)) = norm {
                    *rows = rms_norm(rows, weight, epsilon);
                }
                let width = rows.width();
                part.turn(rows.values_mut(), width);
            }
        }
    }
}

impl Part {
    fn turn(&self, values: &mut [f32], row_width: usize) {
        let pairs = self.width / 2;
        if pairs == 0 {
            return;
        }
        let turns = self.cos.chunks_exact(pairs).zip(self.sin.chunks_exact(pairs));
        for (row, (cos, sin)) in values.chunks_exact_mut(row_width).zip(turns) {
            for head in row.chunks_exact_mut(self.head_width) {
                for pair in 0..pairs {
                    let (a, b) =
                        if self.interleaved { (2 * pair, 2 * pair + 1) } else { (pair, pair + pairs) };
                    let (x, y) = (head[a], head[b]);
                    head[a] = x * cos[pair] - y * sin[pair];
                    head[b] = y * cos[pair] + x * sin[pair];
                }
            }
        }
    }
}
