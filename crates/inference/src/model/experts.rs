//! The mixture of experts: each row goes to its few best experts, and only those are computed.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::weights::Gated;
use crate::{
    Error,
    kernels::{Linear, Rows, add_scaled, softmax},
};

/// Rows computed by each expert, over all layers, since the model was built.
#[derive(Debug, Clone, Default)]
pub(crate) struct ExpertLoad(Arc<[AtomicU64]>);

impl ExpertLoad {
    pub(crate) fn new(experts: usize) -> Self {
        Self((0..experts).map(|_| AtomicU64::new(0)).collect())
    }

    /// Starts the count anew.
    pub(crate) fn clear(&self) {
        self.0.iter().for_each(|rows| rows.store(0, Ordering::Relaxed));
    }

    pub(crate) fn rows(&self) -> Vec<u64> {
        self.0.iter().map(|rows| rows.load(Ordering::Relaxed)).collect()
    }
}

/// One layer's router and experts.
#[derive(Debug)]
pub(super) struct Experts {
    pub(super) router: Linear,
    pub(super) experts: Vec<Gated>,
    pub(super) top_k: usize,
    /// The chosen experts' weights are scaled to the sum of 1.
    pub(super) normalised: bool,
    pub(super) load: ExpertLoad,
}

/// The rows that go to one expert, each with its weight.
#[derive(Debug, Default, Clone)]
struct Group {
    rows: Vec<(usize, f32)>,
}

impl Experts {
    pub(super) fn forward(&self, input: &Tensor) -> Result<Tensor, Error> {
        let (count, width) = input.dims2()?;
        let rows = Rows::of(input)?;
        let rows = rows.as_slice()?;
        let groups = self.route(rows, count);
        // Each expert with rows computes them in one product; the others are not touched.
        let busy: Vec<(usize, &Group)> =
            groups.iter().enumerate().filter(|(_, g)| !g.rows.is_empty()).collect();
        let compute = |(expert, group): &(usize, &Group)| {
            let gathered: Vec<f32> = group
                .rows
                .iter()
                .flat_map(|(row, _)| &rows[row * width..(row + 1) * width])
                .copied()
                .collect();
            let gathered = Tensor::from_vec(gathered, (group.rows.len(), width), &Device::Cpu)?;
            self.load.0[*expert].fetch_add(group.rows.len() as u64, Ordering::Relaxed);
            self.experts[*expert].forward(&gathered)
        };
        let parts: Vec<Tensor> = if rayon::current_num_threads() == 1 {
            busy.iter().map(compute).collect::<Result<_, _>>()?
        } else {
            busy.par_iter().map(compute).collect::<Result<_, _>>()?
        };
        // Summed in the order of the experts, so that a row's sum does not depend on its neighbours.
        let mut out = vec![0f32; count * width];
        for ((_, group), part) in busy.iter().zip(&parts) {
            let part = Rows::of(part)?;
            for ((row, weight), part) in group.rows.iter().zip(part.as_slice()?.chunks_exact(width)) {
                add_scaled(&mut out[row * width..(row + 1) * width], *weight, part);
            }
        }
        Ok(Tensor::from_vec(out, (count, width), &Device::Cpu)?)
    }

    /// Chooses each row's experts and groups the rows by expert.
    fn route(&self, rows: &[f32], count: usize) -> Vec<Group> {
        let mut groups = vec![Group::default(); self.experts.len()];
        let mut scores = self.router.product(rows);
        for (row, scores) in scores.chunks_exact_mut(self.experts.len()).enumerate().take(count) {
            softmax(scores);
            let mut order: Vec<usize> = (0..scores.len()).collect();
            order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
            let chosen = &order[..self.top_k];
            let sum: f32 = if self.normalised { chosen.iter().map(|e| scores[*e]).sum() } else { 1.0 };
            for &expert in chosen {
                groups[expert].rows.push((row, scores[expert] / sum));
            }
        }
        groups
    }
}
