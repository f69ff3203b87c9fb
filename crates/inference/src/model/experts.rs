//! The mixture of experts: each row goes to its few best experts, and only those are computed.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{
    config::{Activation, Experts as Config, Groups, Scoring},
    project::{Gated, Projection},
    residency::{Seat, Tally},
};
use crate::{
    ExpertCounters,
    kernels::{Expert, Linear, Rows, add_scaled, mixture, softmax},
};

/// Rows computed by each expert, over all layers, since the model was built, and how often experts were in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct ExpertLoad {
    rows: Arc<[AtomicU64]>,
    pub(super) tally: Arc<Tally>,
}

impl ExpertLoad {
    pub(crate) fn new(experts: usize) -> Self {
        Self { rows: (0..experts).map(|_| AtomicU64::new(0)).collect(), tally: Arc::default() }
    }

    /// Counts rows of an expert.
    pub(super) fn add(&self, expert: usize, rows: usize) {
        self.rows[expert].fetch_add(rows as u64, Ordering::Relaxed);
    }

    /// Starts the count anew.
    pub(crate) fn clear(&self) {
        self.rows.iter().for_each(|rows| rows.store(0, Ordering::Relaxed));
        self.tally.clear();
    }

    pub(crate) fn rows(&self) -> Vec<u64> {
        self.rows.iter().map(|rows| rows.load(Ordering::Relaxed)).collect()
    }

    pub(crate) fn residency(&self) -> ExpertCounters {
        self.tally.read()
    }
}

/// The experts chosen for each row of a layer, the best first.
pub(crate) type Choices = Vec<Vec<usize>>;

/// One layer's router and experts.
#[derive(Debug)]
pub(super) struct Experts<W = Linear> {
    pub(super) router: Arc<Router<W>>,
    pub(super) experts: Vec<Gated<W>>,
    pub(super) shared: Option<SharedExperts<W>>,
    pub(super) load: ExpertLoad,
    /// Where not all experts of the model stay in memory.
    pub(super) seat: Option<Seat>,
}

/// What chooses a layer's experts.
#[derive(Debug)]
pub(super) struct Router<W = Linear> {
    pub(super) config: Config,
    pub(super) projection: Projection<W>,
    /// Added to the scores for the choice.
    pub(super) correction: Option<Vec<f32>>,
}

/// Experts that every row goes to, and the weight of what they give.
#[derive(Debug)]
pub(super) struct SharedExperts<W = Linear> {
    pub(super) experts: Gated<W>,
    pub(super) gate: Option<Projection<W>>,
}

/// The rows that go to one expert, each with its weight.
#[derive(Debug, Default, Clone)]
struct Group {
    rows: Vec<(usize, f32)>,
}

impl Experts {
    /// The mixture's rows; `chosen` is told of the choices where someone asks.
    pub(super) fn forward(&self, input: &Rows, chosen: Option<&mut Choices>) -> Rows {
        let groups = self.route(input, chosen);
        // Each expert with rows computes them in one product; the others are not touched.
        let busy: Vec<(usize, &Group)> =
            groups.iter().enumerate().filter(|(_, g)| !g.rows.is_empty()).collect();
        for (expert, group) in &busy {
            self.load.add(*expert, group.rows.len());
        }
        if let Some(seat) = &self.seat {
            let busy: Vec<(usize, usize)> = busy.iter().map(|(e, group)| (*e, group.rows.len())).collect();
            seat.take(&busy, input);
        }
        let mixed = self.mixed(&busy, input);
        let mut out = mixed.unwrap_or_else(|| self.one_by_one(&busy, input));
        if let Some(shared) = &self.shared {
            shared.add(input, &mut out);
        }
        out
    }

    /// All experts' products shared out together, where their form allows.
    fn mixed(&self, busy: &[(usize, &Group)], input: &Rows) -> Option<Rows> {
        let experts: Vec<Expert<'_>> = busy
            .iter()
            .map(|(expert, group)| {
                let Gated { gate, up, down, activation } = &self.experts[*expert];
                let plain = [gate, up, down].iter().all(|part| part.bias.is_none());
                let [gate, up, down] = [&gate.weight, &up.weight, &down.weight];
                let expert = Expert { gate, up, down, rows: &group.rows };
                (plain && *activation == Activation::Silu).then_some(expert)
            })
            .collect::<Option<_>>()?;
        mixture(&experts, input.values(), input.count())
    }

    fn one_by_one(&self, busy: &[(usize, &Group)], input: &Rows) -> Rows {
        let width = input.width();
        let row_of = |row: usize| row * width..(row + 1) * width;
        let mut out = Rows::zeroed(input.count(), width);
        // Summed in the order of the experts, so that a row's sum does not depend on its neighbours.
        for (expert, group) in busy {
            let mut gathered = Rows::stale(group.rows.len(), width);
            for (to, (row, _)) in gathered.values_mut().chunks_exact_mut(width).zip(&group.rows) {
                to.copy_from_slice(&input.values()[row_of(*row)]);
            }
            let part = self.experts[*expert].forward(&gathered);
            for ((row, weight), part) in group.rows.iter().zip(part.each()) {
                add_scaled(&mut out.values_mut()[row_of(*row)], *weight, part);
            }
        }
        out
    }

    /// Chooses each row's experts and groups the rows by expert.
    fn route(&self, input: &Rows, mut chosen: Option<&mut Choices>) -> Vec<Group> {
        let mut groups = vec![Group::default(); self.experts.len()];
        for (row, weighted) in self.router.choices(input).into_iter().enumerate() {
            if let Some(chosen) = &mut chosen {
                chosen.push(weighted.iter().map(|(expert, _)| *expert).collect());
            }
            for (expert, weight) in weighted {
                groups[expert].rows.push((row, weight));
            }
        }
        groups
    }
}

impl Router {
    /// Each row's experts with their weights, the best first.
    pub(super) fn choices(&self, input: &Rows) -> Vec<Vec<(usize, f32)>> {
        let mut scores = self.projection.forward(input);
        scores.values_mut().chunks_exact_mut(self.config.count).map(|scores| self.choose(scores)).collect()
    }
}

impl<W> Router<W> {
    /// A row's experts with their weights, the best first.
    pub(super) fn choose(&self, scores: &mut [f32]) -> Vec<(usize, f32)> {
        match self.config.scoring {
            Scoring::Softmax => softmax(scores),
            Scoring::Sigmoid => scores.iter_mut().for_each(|s| *s = 1.0 / (1.0 + (-*s).exp())),
            Scoring::SoftmaxOfChosen => {}
        }
        let mut ranks = scores.to_vec();
        if let Some(correction) = &self.correction {
            ranks.iter_mut().zip(correction).for_each(|(rank, correction)| *rank += correction);
        }
        if let Some(groups) = self.config.groups {
            leave_out(&mut ranks, groups);
        }
        let mut order: Vec<usize> = (0..ranks.len()).collect();
        order.sort_by(|a, b| ranks[*b].total_cmp(&ranks[*a]).then(a.cmp(b)));
        order.truncate(self.config.top_k);
        let mut weights: Vec<f32> = order.iter().map(|expert| scores[*expert]).collect();
        if self.config.scoring == Scoring::SoftmaxOfChosen {
            softmax(&mut weights);
        }
        let sum: f32 = if self.config.normalised { weights.iter().sum() } else { 1.0 };
        order.into_iter().zip(weights).map(|(e, weight)| (e, weight / sum * self.config.scale)).collect()
    }
}

/// Makes the experts of all but the best groups the worst.
fn leave_out(ranks: &mut [f32], groups: Groups) {
    let size = ranks.len() / groups.count;
    let worth = |group: &[f32]| {
        let mut sorted = group.to_vec();
        sorted.sort_by(|a, b| b.total_cmp(a));
        sorted.iter().take(if groups.by_two { 2 } else { 1 }).sum::<f32>()
    };
    let worths: Vec<f32> = ranks.chunks_exact(size).map(worth).collect();
    let mut order: Vec<usize> = (0..groups.count).collect();
    order.sort_by(|a, b| worths[*b].total_cmp(&worths[*a]).then(a.cmp(b)));
    for group in &order[groups.kept..] {
        ranks[group * size..(group + 1) * size].fill(f32::NEG_INFINITY);
    }
}

impl SharedExperts {
    /// Adds to each row what the shared experts give for it.
    fn add(&self, input: &Rows, out: &mut Rows) {
        let width = out.width();
        let given = self.experts.forward(input);
        let scores = self.gate.as_ref().map(|gate| gate.forward(input));
        for (row, out) in out.values_mut().chunks_exact_mut(width).enumerate() {
            let weight = scores.as_ref().map_or(1.0, |scores| 1.0 / (1.0 + (-scores.values()[row]).exp()));
            add_scaled(out, weight, &given.values()[row * width..(row + 1) * width]);
        }
    }
}
