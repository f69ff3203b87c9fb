//! Rotation of queries and keys by the positions of a step's rows.

use candle_core::{D, Device, Result, Tensor};
use candle_nn::rotary_emb::{rope_i, rope_thd};

use crate::model::config::Rope;

/// A rotation made ready: its frequencies.
#[derive(Debug)]
pub(super) struct Turning {
    frequencies: Vec<f32>,
    magnitude: f32,
    width: usize,
    interleaved: bool,
}

/// The turns of one step's rows: cosines and sines, `[row, pair]`.
#[derive(Debug)]
pub(super) struct Turns {
    cos: Tensor,
    sin: Tensor,
    /// Rotated numbers of a head.
    width: usize,
    interleaved: bool,
}

impl Turning {
    pub(super) fn new(rope: &Rope) -> Self {
        Self {
            frequencies: rope.frequencies(),
            magnitude: rope.magnitude(),
            width: rope.width,
            interleaved: rope.interleaved,
        }
    }

    pub(super) fn turns(&self, positions: &[usize], device: &Device) -> Result<Turns> {
        let angles = positions.iter().flat_map(|p| self.frequencies.iter().map(move |f| *p as f32 * f));
        let (sin, cos): (Vec<f32>, Vec<f32>) = angles
            .map(|angle| {
                let (sin, cos) = angle.sin_cos();
                (sin * self.magnitude, cos * self.magnitude)
            })
            .unzip();
        let shape = (positions.len(), self.frequencies.len());
        Ok(Turns {
            cos: Tensor::from_vec(cos, shape, device)?,
            sin: Tensor::from_vec(sin, shape, device)?,
            width: self.width,
            interleaved: self.interleaved,
        })
    }
}

impl Turns {
    /// Turns heads, `[row, head, number]`, each by its row's angles.
    pub(super) fn apply(&self, heads: &Tensor) -> Result<Tensor> {
        let width = heads.dim(D::Minus1)?;
        if self.width == 0 {
            return Ok(heads.clone());
        }
        if self.width == width {
            return self.turn(heads);
        }
        let turned = self.turn(&heads.narrow(D::Minus1, 0, self.width)?.contiguous()?)?;
        let rest = heads.narrow(D::Minus1, self.width, width - self.width)?;
        Tensor::cat(&[turned, rest.contiguous()?], D::Minus1)
    }

    fn turn(&self, heads: &Tensor) -> Result<Tensor> {
        if self.interleaved {
            // Each row is a batch of its own of one position.
            let (cos, sin) = (self.cos.unsqueeze(1)?, self.sin.unsqueeze(1)?);
            rope_i(&heads.unsqueeze(2)?, &cos, &sin)?.squeeze(2)
        } else {
            rope_thd(&heads.unsqueeze(0)?, &self.cos, &self.sin)?.squeeze(0)
        }
    }
}
