//! Which tensor is which: the names of both formats, and the shapes that the configuration asks for.

mod attention;
mod experts;
mod mxfp4;

use super::{
    config::{Architecture, Config},
    project::{Gated, Projection},
};
use crate::{
    Error,
    formats::{Description, ModelFile, RawTensor},
    kernels::Linear,
    packed::Packing,
};

/// In which numbers weights are multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precision {
    /// As the file holds them.
    File,
    /// Widened to f32, as reference implementations do.
    Float32,
}

/// What becomes of the matrices of a model that is being loaded.
pub(super) trait Making {
    type Matrix;

    /// The matrix in `tensor`. `name` is the tensor's, or that of the one that it is a part of.
    fn matrix(&self, name: &str, tensor: RawTensor) -> Result<Self::Matrix, String>;

    /// A matrix of which only rows are taken.
    fn table(&self, tensor: RawTensor) -> Result<Self::Matrix, String>;

    /// Whether every number of the model was found finite before.
    fn is_checked(&self) -> bool;
}

impl Making for Packing {
    type Matrix = Linear;

    fn matrix(&self, name: &str, tensor: RawTensor) -> Result<Linear, String> {
        self.linear(name, tensor)
    }

    fn table(&self, tensor: RawTensor) -> Result<Linear, String> {
        Linear::table(tensor)
    }

    fn is_checked(&self) -> bool {
        self.is_checked()
    }
}

/// Takes tensors out of a file by what they are for.
pub(super) struct Loader<'a, M = Packing> {
    file: &'a ModelFile,
    config: &'a Config,
    precision: Precision,
    making: &'a M,
    gguf: bool,
    /// What the names of a folder start with.
    prefix: &'static str,
}

impl<'a, M: Making> Loader<'a, M> {
    pub(super) fn new(file: &'a ModelFile, config: &'a Config, precision: Precision, making: &'a M) -> Self {
        let gguf = matches!(file.description, Description::Gguf(_));
        let prefixes = ["model.", "language_model.model.", "model.language_model."];
        let holds = |prefix: &&&str| file.has(&format!("{prefix}embed_tokens.weight"));
        let prefix = prefixes.iter().find(holds).copied().unwrap_or(prefixes[0]);
        Self { file, config, precision, making, gguf, prefix }
    }

    /// Gives back what of the file was mapped in. Reading a tensor has also mapped pages of its neighbours, some of them
    /// released before.
    pub(super) fn release(&self) {
        self.file.tensors.values().for_each(|tensor| tensor.bytes.release());
    }

    /// The same for one layer's tensors, so that the peak of a load stays low.
    pub(super) fn release_layer(&self, index: usize) {
        let number = format!(".{index}.");
        let own = self.file.tensors.iter().filter(|(name, _)| name.contains(&number));
        own.for_each(|(_, tensor)| tensor.bytes.release());
    }

    fn has(&self, name: &str) -> bool {
        self.file.has(name)
    }

    fn refused<T>(&self, name: &str, problem: impl Into<String>) -> Result<T, Error> {
        Err(Error::model(&self.file.path, name, problem))
    }

    /// A tensor whose numbers are all finite.
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<RawTensor, Error> {
        let tensor = self.file.tensor(name, shape)?;
        if !self.making.is_checked()
            && let Some(at) = tensor.first_broken()
        {
            return self.refused(name, format!("holds a number that is not finite in row {at}"));
        }
        match self.precision {
            Precision::File => Ok(tensor),
            Precision::Float32 => Ok(RawTensor::of_floats(tensor.floats(&self.file.path, name)?, shape)),
        }
    }

    fn linear(&self, name: &str, tensor: RawTensor) -> Result<M::Matrix, Error> {
        self.making.matrix(name, tensor).map_err(|problem| Error::model(&self.file.path, name, problem))
    }

    fn matrix(&self, name: &str, outputs: usize, inputs: usize) -> Result<M::Matrix, Error> {
        self.linear(name, self.tensor(name, &[outputs, inputs])?)
    }

    fn vector(&self, name: &str, length: usize) -> Result<Vec<f32>, Error> {
        self.tensor(name, &[length])?.floats(&self.file.path, name)
    }

    /// A norm's weight, as it is multiplied with.
    fn norm_weight(&self, name: &str, length: usize) -> Result<Vec<f32>, Error> {
        let offset = self.config.norm_offset;
        Ok(self.vector(name, length)?.into_iter().map(|weight| weight + offset).collect())
    }

    /// The matrix `base.weight` and, where asked for, the vector `base.bias`.
    fn projection(
        &self,
        base: &str,
        shape: [usize; 2],
        biased: bool,
    ) -> Result<Projection<M::Matrix>, Error> {
        let weight = self.matrix(&format!("{base}.weight"), shape[0], shape[1])?;
        let bias = biased.then(|| self.vector(&format!("{base}.bias"), shape[0])).transpose()?;
        Ok(Projection { weight, bias })
    }

    /// Rows of a matrix that holds several, with their biases.
    fn rows(
        &self,
        base: &str,
        total: [usize; 2],
        cut: [usize; 2],
        biased: bool,
    ) -> Result<Projection<M::Matrix>, Error> {
        let name = format!("{base}.weight");
        let rows = self.tensor(&name, &total)?.rows(cut[0], cut[1]);
        let weight = self.part(&name, rows)?;
        let bias = if biased {
            let all = self.vector(&format!("{base}.bias"), total[0])?;
            Some(all[cut[0]..cut[0] + cut[1]].to_vec())
        } else {
            None
        };
        Ok(Projection { weight, bias })
    }

    fn part(&self, name: &str, part: Option<RawTensor>) -> Result<M::Matrix, Error> {
        let part = part.ok_or_else(|| Error::model(&self.file.path, name, "a part of it is missing"))?;
        self.linear(name, part)
    }

    /// A layer's tensor by the file's format, without its ending.
    fn at(&self, layer: usize, gguf: &str, hf: &str) -> String {
        if self.gguf { format!("blk.{layer}.{gguf}") } else { format!("{}layers.{layer}.{hf}", self.prefix) }
    }

    fn top(&self, gguf: &str, hf: &str) -> String {
        if self.gguf { format!("{gguf}.weight") } else { format!("{}{hf}.weight", self.prefix) }
    }

    pub(super) fn embedding(&self) -> Result<M::Matrix, Error> {
        let name = self.top("token_embd", "embed_tokens");
        if self.config.tied {
            return self.matrix(&name, self.config.vocabulary, self.config.hidden);
        }
        let tensor = self.tensor(&name, &[self.config.vocabulary, self.config.hidden])?;
        self.making.table(tensor).map_err(|problem| Error::model(&self.file.path, name, problem))
    }

    pub(super) fn norm(&self) -> Result<Vec<f32>, Error> {
        self.norm_weight(&self.top("output_norm", "norm"), self.config.hidden)
    }

    pub(super) fn head(&self) -> Result<Option<M::Matrix>, Error> {
        if self.config.tied {
            return Ok(None);
        }
        let inner = self.prefix.strip_suffix("model.").unwrap_or_default();
        let names = [format!("{inner}lm_head.weight"), "lm_head.weight".to_owned()];
        let name = match &names {
            _ if self.gguf => "output.weight",
            [inner, _] if self.has(inner) => inner,
            [_, outer] => outer,
        };
        self.matrix(name, self.config.vocabulary, self.config.hidden).map(Some)
    }

    pub(super) fn attention_norm(&self, layer: usize) -> Result<Vec<f32>, Error> {
        self.layer_norm(layer, "attn_norm", "input_layernorm")
    }

    pub(super) fn mix_norm(&self, layer: usize) -> Result<Vec<f32>, Error> {
        match self.config.architecture {
            Architecture::Gemma3 => self.layer_norm(layer, "ffn_norm", "pre_feedforward_layernorm"),
            Architecture::GptOss => self.layer_norm(layer, "post_attention_norm", "post_attention_layernorm"),
            _ => self.layer_norm(layer, "ffn_norm", "post_attention_layernorm"),
        }
    }

    /// The norms of what attention and the block after it give, where the architecture has them.
    pub(super) fn result_norms(&self, layer: usize) -> Result<Option<[Vec<f32>; 2]>, Error> {
        if !self.config.architecture.norms_results() {
            return Ok(None);
        }
        Ok(Some([
            self.layer_norm(layer, "post_attention_norm", "post_attention_layernorm")?,
            self.layer_norm(layer, "post_ffw_norm", "post_feedforward_layernorm")?,
        ]))
    }

    fn layer_norm(&self, layer: usize, gguf: &str, hf: &str) -> Result<Vec<f32>, Error> {
        self.norm_weight(&format!("{}.weight", self.at(layer, gguf, hf)), self.config.hidden)
    }

    pub(super) fn dense(&self, layer: usize) -> Result<Gated<M::Matrix>, Error> {
        let Config { hidden, feed_forward: width, activation, .. } = *self.config;
        let biased = self.config.biases.mix;
        let gate = self.at(layer, "ffn_gate", "mlp.gate_proj");
        let down = self.at(layer, "ffn_down", "mlp.down_proj");
        let down = self.projection(&down, [hidden, width], biased)?;
        if self.has(&format!("{gate}.weight")) {
            let up = self.at(layer, "ffn_up", "mlp.up_proj");
            let gate = self.projection(&gate, [width, hidden], biased)?;
            let up = self.projection(&up, [width, hidden], biased)?;
            return Ok(Gated { gate, up, down, activation });
        }
        // One matrix holds both; a file that has neither is missing this one.
        let both = self.at(layer, "ffn_up", "mlp.gate_up_proj");
        let total = [2 * width, hidden];
        let gate = self.rows(&both, total, [0, width], biased)?;
        let up = self.rows(&both, total, [width, width], biased)?;
        Ok(Gated { gate, up, down, activation })
    }
}
