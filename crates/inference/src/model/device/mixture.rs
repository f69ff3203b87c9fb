//! The mixture of experts on a device: routed on the processor, as everywhere, and only chosen experts computed.

use candle_core::{
    Device, Result, Tensor,
    quantized::{GgmlDType, QTensor},
};

use super::weights::{Aligned, Feed, Matrix, Product, activate};
use crate::{
    formats::RawTensor,
    model::{
        config::Activation,
        experts::{Choices, ExpertLoad, Experts, Router, SharedExperts},
        project::{Gated, Projection},
    },
};

/// One layer's router and experts.
#[derive(Debug)]
pub(super) struct Mixture {
    router: Router<Matrix>,
    bank: Bank,
    shared: Option<(Feed, Option<Product>)>,
    load: ExpertLoad,
}

/// The experts.
#[derive(Debug)]
enum Bank {
    /// Each matrix of all experts in one tensor, of which the device takes the chosen ones by itself.
    Stacked(Box<Stacks>),
    /// Each for itself.
    Apart(Vec<Feed>),
}

/// Matrices of all experts, `[expert, output, input]`.
#[derive(Debug)]
struct Stacks {
    gate: QTensor,
    up: QTensor,
    down: QTensor,
    activation: Activation,
}

/// A row's experts with their weights, the best first.
type Chosen = Vec<(usize, f32)>;

impl Mixture {
    pub(super) fn new(layer: Experts<RawTensor>, device: &Device) -> Result<Self> {
        let Experts { router, experts, shared, load, .. } = layer;
        let weight = Matrix::new(&router.projection.weight, device)?;
        let projection = Projection { weight, bias: router.projection.bias.clone() };
        let correction = router.correction.clone();
        let shared = shared.map(|SharedExperts { experts, gate }| {
            let gate = gate.map(|gate| Product::new(&gate, device)).transpose()?;
            Ok::<_, candle_core::Error>((Feed::new(&experts, device)?, gate))
        });
        Ok(Self {
            router: Router { config: router.config, projection, correction },
            bank: Bank::new(&experts, device)?,
            shared: shared.transpose()?,
            load,
        })
    }

    /// The mixture's rows; `told` is told of the choices where someone asks.
    pub(super) fn forward(&self, input: &Tensor, told: Option<&mut Choices>) -> Result<Tensor> {
        let (rows, width) = input.dims2()?;
        let chosen = self.route(input)?;
        for (expert, _) in chosen.iter().flatten() {
            self.load.add(*expert, 1);
        }
        let each = self.router.config.top_k;
        let given = self.bank.forward(input, &chosen, each)?.reshape((rows, each, width))?;
        let weights = Tensor::from_iter(chosen.iter().flatten().map(|(_, weight)| *weight), input.device())?;
        let mut out = given.broadcast_mul(&weights.reshape((rows, each, 1))?)?.sum(1)?;
        if let Some(told) = told {
            told.extend(chosen.iter().map(|row| row.iter().map(|(expert, _)| *expert).collect::<Vec<_>>()));
        }
        if let Some((experts, gate)) = &self.shared {
            let mut given = experts.forward(input)?;
            if let Some(gate) = gate {
                given = given.broadcast_mul(&candle_nn::ops::sigmoid(&gate.forward(input)?)?)?;
            }
            out = (out + given)?;
        }
        Ok(out)
    }

    fn route(&self, input: &Tensor) -> Result<Vec<Chosen>> {
        let Projection { weight, bias } = &self.router.projection;
        let mut rows = weight.product(input)?.to_vec2::<f32>()?;
        for row in &mut rows {
            if let Some(bias) = bias {
                row.iter_mut().zip(bias).for_each(|(score, bias)| *score += bias);
            }
        }
        Ok(rows.iter_mut().map(|scores| self.router.choose(scores)).collect())
    }
}

impl Bank {
    fn new(experts: &[Gated<RawTensor>], device: &Device) -> Result<Self> {
        let part = |of: fn(&Gated<RawTensor>) -> &Projection<RawTensor>| {
            let parts: Vec<&Projection<RawTensor>> = experts.iter().map(of).collect();
            stacked(&parts, device).transpose()
        };
        let parts = [part(|e| &e.gate), part(|e| &e.up), part(|e| &e.down)];
        if let ([Some(gate), Some(up), Some(down)], Some(first)) = (parts, experts.first()) {
            let activation = first.activation;
            return Ok(Self::Stacked(Box::new(Stacks { gate: gate?, up: up?, down: down?, activation })));
        }
        let apart = experts.iter().map(|expert| Feed::new(expert, device));
        Ok(Self::Apart(apart.collect::<Result<_>>()?))
    }

    /// What each row's experts give for it, row after row: `[row · expert, number]`.
    fn forward(&self, input: &Tensor, chosen: &[Chosen], each: usize) -> Result<Tensor> {
        match self {
            Self::Stacked(stacks) => {
                let rows = chosen.len();
                let ids = chosen.iter().flatten().map(|(expert, _)| *expert as u32);
                let ids = Tensor::from_iter(ids, input.device())?.reshape((rows, each))?;
                let input = input.contiguous()?.unsqueeze(1)?;
                let (gate, up) = (indexed(&stacks.gate, &input, &ids)?, indexed(&stacks.up, &input, &ids)?);
                indexed(&stacks.down, &activate(stacks.activation, &gate, &up)?, &ids)?.flatten_to(1)
            }
            Self::Apart(experts) => apart(experts, input, chosen),
        }
    }
}

/// Each expert that was chosen computes its rows in one product.
fn apart(experts: &[Feed], input: &Tensor, chosen: &[Chosen]) -> Result<Tensor> {
    let mut groups: Vec<Vec<(u32, usize)>> = vec![Vec::new(); experts.len()];
    let mut count = 0;
    for (row, chosen) in chosen.iter().enumerate() {
        for (expert, _) in chosen {
            groups[*expert].push((row as u32, count));
            count += 1;
        }
    }
    let mut places = vec![0u32; count];
    let (mut parts, mut done) = (Vec::new(), 0);
    for (expert, group) in experts.iter().zip(&groups).filter(|(_, group)| !group.is_empty()) {
        let rows = Tensor::from_iter(group.iter().map(|(row, _)| *row), input.device())?;
        parts.push(expert.forward(&input.index_select(&rows, 0)?)?);
        for (_, place) in group {
            places[*place] = done;
            done += 1;
        }
    }
    Tensor::cat(&parts, 0)?.index_select(&Tensor::from_vec(places, count, input.device())?, 0)
}

/// Equal matrices without biases as one tensor, in a type that the device takes by index.
fn stacked(parts: &[&Projection<RawTensor>], device: &Device) -> Result<Option<QTensor>> {
    let Some(first) = parts.first() else { return Ok(None) };
    let (kind, shape) = (first.weight.kind, first.weight.shape.as_slice());
    let alike = |part: &&Projection<RawTensor>| {
        part.bias.is_none() && part.weight.kind == kind && part.weight.shape == shape
    };
    if !takes_by_index(device, kind) || !parts.iter().all(alike) {
        return Ok(None);
    }
    let bytes = Aligned::of(parts.iter().map(|part| part.weight.bytes.as_slice()));
    let shape = [&[parts.len()], shape].concat();
    bytes.blocks(kind, &shape, device).map(Some)
}

fn takes_by_index(device: &Device, kind: GgmlDType) -> bool {
    // Not Q8_0, although the library offers it: its kernel steps from expert to expert as if blocks held 256 numbers.
    let has_kernel =
        matches!(kind, GgmlDType::Q2K | GgmlDType::Q3K | GgmlDType::Q4K | GgmlDType::Q5K | GgmlDType::Q6K);
    has_kernel && (device.is_cuda() || cfg!(test))
}

/// The products of rows, `[row, one or as many as are chosen, number]`, with the matrices chosen for each.
fn indexed(stack: &QTensor, rows: &Tensor, ids: &Tensor) -> Result<Tensor> {
    #[cfg(test)]
    if rows.device().is_cpu() {
        return super::tests::indexed(stack, rows, ids);
    }
    stack.indexed_moe_forward(rows, ids)
}
