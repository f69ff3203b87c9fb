//! The tensors of a mixture: stacked or one by one, gate and up apart or together, with what every row goes to.

use std::sync::Arc;

use super::{Loader, Making, attention::turned_over};
use crate::{
    Error,
    formats::RawTensor,
    model::{
        config::{Architecture, Config, Experts as ExpertConfig, Shared},
        experts::{ExpertLoad, Experts, Router, SharedExperts},
        project::{Gated, Projection},
    },
};

impl<M: Making> Loader<'_, M> {
    pub(in crate::model) fn experts(
        &self,
        layer: usize,
        load: ExpertLoad,
    ) -> Result<Experts<M::Matrix>, Error> {
        let hidden = self.config.hidden;
        let Some(config) = self.config.experts else {
            return self.refused("experts", "the configuration names none");
        };
        let mix = self.mix(layer);
        let clamped = self.config.architecture == Architecture::GptOss;
        let router =
            self.at(layer, "ffn_gate_inp", &format!("{mix}.{}", if clamped { "router" } else { "gate" }));
        let router = self.projection(&router, [config.count, hidden], clamped)?;
        let correction = if config.corrected { Some(self.correction(layer, config.count)?) } else { None };
        let stacked = self.at(layer, "", &format!("{mix}.experts.gate_up_proj"));
        let experts = if self.gguf {
            self.stacked_experts(layer, config)?
        } else if clamped {
            self.clamped_experts(layer, config)?
        } else if self.has(&stacked) {
            self.fused_experts(&stacked, config)?
        } else {
            (0..config.count).map(|expert| self.expert(layer, expert, config)).collect::<Result<_, _>>()?
        };
        Ok(Experts {
            router: Arc::new(Router { config, projection: router, correction }),
            experts,
            shared: config.shared.map(|shared| self.shared_experts(layer, shared)).transpose()?,
            load,
            seat: None,
        })
    }

    /// What the mixture is called in a folder.
    fn mix(&self, layer: usize) -> &'static str {
        let name = self.at(layer, "", "block_sparse_moe.gate.weight");
        if !self.gguf && self.has(&name) { "block_sparse_moe" } else { "mlp" }
    }

    fn correction(&self, layer: usize, count: usize) -> Result<Vec<f32>, Error> {
        let name = self.at(layer, "exp_probs_b.bias", "mlp.gate.e_score_correction_bias");
        // Some files leave the ending out.
        let short = self.at(layer, "exp_probs_b", "");
        self.vector(if self.gguf && self.has(&short) { &short } else { &name }, count)
    }

    fn shared_experts(&self, layer: usize, shared: Shared) -> Result<SharedExperts<M::Matrix>, Error> {
        let Config { hidden, activation, .. } = *self.config;
        let own = if shared.gated { "mlp.shared_expert" } else { "mlp.shared_experts" };
        let one = |part: &str, shape| {
            let base = self.at(layer, &format!("ffn_{part}_shexp"), &format!("{own}.{part}_proj"));
            self.projection(&base, shape, false)
        };
        let width = shared.feed_forward;
        let experts = Gated {
            gate: one("gate", [width, hidden])?,
            up: one("up", [width, hidden])?,
            down: one("down", [hidden, width])?,
            activation,
        };
        let gate = if shared.gated {
            let name = format!("{}.weight", self.at(layer, "ffn_gate_inp_shexp", "mlp.shared_expert_gate"));
            // GGUF files keep the single row as a vector.
            let flat = self.file.tensors.get(&name).is_some_and(|tensor| tensor.shape.len() == 1);
            let shape = [1, hidden];
            let mut row = self.tensor(&name, &shape[usize::from(flat)..])?;
            row.shape = shape.to_vec();
            Some(Projection { weight: self.linear(&name, row)?, bias: None })
        } else {
            None
        };
        Ok(SharedExperts { experts, gate })
    }

    /// One expert with tensors of its own.
    fn expert(&self, layer: usize, expert: usize, config: ExpertConfig) -> Result<Gated<M::Matrix>, Error> {
        let Config { hidden, activation, .. } = *self.config;
        let width = config.feed_forward;
        let mix = self.mix(layer);
        let names = if mix == "mlp" { ["gate_proj", "up_proj", "down_proj"] } else { ["w1", "w3", "w2"] };
        let one = |part: &str, shape| {
            self.projection(&self.at(layer, "", &format!("{mix}.experts.{expert}.{part}")), shape, false)
        };
        Ok(Gated {
            gate: one(names[0], [width, hidden])?,
            up: one(names[1], [width, hidden])?,
            down: one(names[2], [hidden, width])?,
            activation,
        })
    }

    /// All experts of a GGUF layer, stacked in three tensors, or in two.
    fn stacked_experts(&self, layer: usize, config: ExpertConfig) -> Result<Vec<Gated<M::Matrix>>, Error> {
        let Config { hidden, activation, .. } = *self.config;
        let (width, count) = (config.feed_forward, config.count);
        let bases = ["gate", "up", "down", "gate_up"].map(|n| format!("blk.{layer}.ffn_{n}_exps"));
        let [gate, up, down, both] = &bases;
        let fused = self.has(&format!("{both}.weight"));
        let stack = |base: &str, outputs, inputs| self.stack(base, [count, outputs, inputs]);
        let downs = stack(down, hidden, width)?;
        if fused {
            let both = stack(both, 2 * width, hidden)?;
            let cut = |expert, start| both.cut(self, expert, [start, width]);
            let one = |at| {
                let (gate, up) = (cut(at, 0)?, cut(at, width)?);
                Ok(Gated { gate, up, down: downs.cut(self, at, [0, hidden])?, activation })
            };
            return (0..count).map(one).collect();
        }
        let (gates, ups) = (stack(gate, width, hidden)?, stack(up, width, hidden)?);
        let one = |at| {
            Ok(Gated {
                gate: gates.cut(self, at, [0, width])?,
                up: ups.cut(self, at, [0, width])?,
                down: downs.cut(self, at, [0, hidden])?,
                activation,
            })
        };
        (0..count).map(one).collect()
    }

    fn stack(&self, base: &str, shape: [usize; 3]) -> Result<Stack, Error> {
        let name = format!("{base}.weight");
        let biases = format!("{base}.bias");
        let biases = match self.has(&biases) {
            true => Some(self.tensor(&biases, &shape[..2])?.floats(&self.file.path, &biases)?),
            false => None,
        };
        Ok(Stack { weights: self.tensor(&name, &shape)?, name, biases, rows: shape[1] })
    }

    /// All experts of a folder's layer, gate and up in one tensor.
    fn fused_experts(&self, both: &str, config: ExpertConfig) -> Result<Vec<Gated<M::Matrix>>, Error> {
        let Config { hidden, activation, .. } = *self.config;
        let (width, count) = (config.feed_forward, config.count);
        let down = both.replace("gate_up_proj", "down_proj");
        let stack = |name: &str, shape: [usize; 3]| {
            let weights = self.tensor(name, &shape)?;
            Ok::<_, Error>(Stack { weights, name: name.to_owned(), biases: None, rows: shape[1] })
        };
        let both = stack(both, [count, 2 * width, hidden])?;
        let down = stack(&down, [count, hidden, width])?;
        let one = |at| {
            Ok(Gated {
                gate: both.cut(self, at, [0, width])?,
                up: both.cut(self, at, [width, width])?,
                down: down.cut(self, at, [0, hidden])?,
                activation,
            })
        };
        (0..count).map(one).collect()
    }

    /// GPT-OSS: gate and up take turns in one tensor, inputs first; all have biases.
    fn clamped_experts(&self, layer: usize, config: ExpertConfig) -> Result<Vec<Gated<M::Matrix>>, Error> {
        let Config { hidden, activation, .. } = *self.config;
        let width = config.feed_forward;
        let name = |part: &str| self.at(layer, "", &format!("mlp.experts.{part}"));
        let both = self.outputs_first(&name("gate_up_proj"), [config.count, 2 * width, hidden])?;
        let down = self.outputs_first(&name("down_proj"), [config.count, hidden, width])?;
        let biases = |part: &str, width| {
            let name = name(part);
            self.tensor(&name, &[config.count, width])?.floats(&self.file.path, &name)
        };
        let both_biases = biases("gate_up_proj_bias", 2 * width)?;
        let down_biases = biases("down_proj_bias", hidden)?;
        let every_other = |at: usize, odd: usize| -> Result<Projection<M::Matrix>, Error> {
            let rows = both[at * 2 * width * hidden..(at + 1) * 2 * width * hidden].chunks_exact(hidden);
            let weight = rows.skip(odd).step_by(2).flatten().copied().collect();
            let biases = &both_biases[at * 2 * width..(at + 1) * 2 * width];
            let bias = biases.iter().skip(odd).step_by(2).copied().collect();
            let weight = self.linear("experts", RawTensor::of_floats(weight, &[width, hidden]))?;
            Ok(Projection { weight, bias: Some(bias) })
        };
        let one = |at: usize| {
            let weight = down[at * hidden * width..(at + 1) * hidden * width].to_vec();
            let weight = self.linear("experts", RawTensor::of_floats(weight, &[hidden, width]))?;
            let bias = Some(down_biases[at * hidden..(at + 1) * hidden].to_vec());
            let down = Projection { weight, bias };
            Ok(Gated { gate: every_other(at, 0)?, up: every_other(at, 1)?, down, activation })
        };
        (0..config.count).map(one).collect()
    }

    /// Stacked matrices in f32 with the outputs first, from floats with the inputs first or from 4-bit blocks.
    fn outputs_first(&self, name: &str, shape: [usize; 3]) -> Result<Vec<f32>, Error> {
        let [count, outputs, inputs] = shape;
        if self.has(&format!("{name}_blocks")) {
            return self.four_bit(name, shape);
        }
        let values = self.tensor(name, &[count, inputs, outputs])?.floats(&self.file.path, name)?;
        Ok(values.chunks_exact(inputs * outputs).flat_map(|one| turned_over(one, outputs)).collect())
    }
}

/// Experts' matrices one after another.
struct Stack {
    name: String,
    weights: RawTensor,
    biases: Option<Vec<f32>>,
    /// Rows of one expert.
    rows: usize,
}

impl Stack {
    /// Rows of one expert.
    fn cut<M: Making>(
        &self,
        loader: &Loader<'_, M>,
        expert: usize,
        [start, count]: [usize; 2],
    ) -> Result<Projection<M::Matrix>, Error> {
        let part = self.weights.part(expert).and_then(|part| part.rows(start, count));
        let weight = loader.part(&self.name, part)?;
        let first = expert * self.rows + start;
        let bias = self.biases.as_ref().map(|biases| biases[first..first + count].to_vec());
        Ok(Projection { weight, bias })
    }
}
