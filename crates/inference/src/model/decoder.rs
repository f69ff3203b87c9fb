//! The decoder: embedding, layers, head, for the rows of many sequences in one step.

use candle_core::{Device, Tensor};

use super::{
    attention::Attention,
    cache::Cache,
    config::Config,
    experts::{ExpertLoad, Experts},
    weights::{Gated, Loader},
};
use crate::{
    Error,
    formats::ModelFile,
    kernels::{Linear, Rotation, Rows, add, rms_norm},
};

/// A loaded model.
#[derive(Debug)]
pub(crate) struct Decoder {
    config: Config,
    embedding: Linear,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    /// None where the embedding is also the head.
    head: Option<Linear>,
    rotation: Rotation,
    expert_load: ExpertLoad,
}

/// One layer.
#[derive(Debug)]
struct Layer {
    attention_norm: Vec<f32>,
    attention: Attention,
    mix_norm: Vec<f32>,
    mix: Mix,
}

/// What follows attention.
#[derive(Debug)]
enum Mix {
    Dense(Gated),
    Experts(Experts),
}

/// Rows of one sequence in a step.
#[derive(Debug)]
pub(crate) struct Segment<'a> {
    /// The tokens to compute, after those in the cache. At least one.
    pub(crate) tokens: &'a [u32],
    pub(crate) cache: &'a mut Cache,
    /// Whether the scores after the last row are wanted.
    pub(crate) scores: bool,
}

impl Decoder {
    /// Reads every tensor that the configuration asks for.
    pub(crate) fn load(file: &ModelFile, config: Config) -> Result<Self, Error> {
        let loader = Loader::new(file, &config);
        let expert_load = ExpertLoad::new(config.experts.map_or(0, |experts| experts.count));
        let layers = (0..config.layers)
            .map(|index| {
                let has_experts = config.experts.is_some() && !config.dense_layers.contains(&index);
                let mix = if has_experts {
                    Mix::Experts(loader.experts(index, expert_load.clone())?)
                } else {
                    Mix::Dense(loader.dense(index)?)
                };
                Ok(Layer {
                    attention_norm: loader.attention_norm(index)?,
                    attention: loader.attention(index)?,
                    mix_norm: loader.mix_norm(index)?,
                    mix,
                })
            })
            .collect::<Result<_, Error>>()?;
        let rotation = Rotation::new(config.rotation_base, config.heads.width, config.rotation_interleaved);
        let (embedding, norm, head) = (loader.embedding()?, loader.norm()?, loader.head()?);
        Ok(Self { embedding, layers, norm, head, rotation, expert_load, config })
    }

    pub(crate) fn cache(&self) -> Cache {
        Cache::new(self.config.layers)
    }

    pub(crate) fn expert_load(&self) -> &ExpertLoad {
        &self.expert_load
    }

    /// Computes the rows of all segments and returns the scores of those that want them, in order.
    pub(crate) fn forward(&self, segments: &mut [Segment<'_>]) -> Result<Vec<Vec<f32>>, Error> {
        let ids: Vec<u32> = segments.iter().flat_map(|s| s.tokens).copied().collect();
        let positions: Vec<usize> =
            segments.iter().flat_map(|s| (0..s.tokens.len()).map(|at| s.cache.tokens() + at)).collect();
        let angles = self.rotation.angles(&positions);
        let epsilon = self.config.norm_epsilon;
        let mut rows = self.embedding.lookup(ids.into_iter())?;
        for (index, layer) in self.layers.iter().enumerate() {
            let normed = rms_norm(&rows, &layer.attention_norm, epsilon)?;
            rows = add(&rows, &layer.attention.forward(index, &normed, &angles, segments)?)?;
            let normed = rms_norm(&rows, &layer.mix_norm, epsilon)?;
            let mixed = match &layer.mix {
                Mix::Dense(dense) => dense.forward(&normed)?,
                Mix::Experts(experts) => experts.forward(&normed)?,
            };
            rows = add(&rows, &mixed)?;
        }
        let scores = self.scores(&rows, segments)?;
        for segment in segments {
            segment.cache.advance(segment.tokens.len());
        }
        Ok(scores)
    }

    /// The head's product with the last row of each segment that wants scores.
    fn scores(&self, rows: &Tensor, segments: &[Segment<'_>]) -> Result<Vec<Vec<f32>>, Error> {
        let width = self.config.hidden;
        let rows = Rows::of(rows)?;
        let rows = rows.as_slice()?;
        let mut last = Vec::new();
        let mut end = 0;
        for segment in segments {
            end += segment.tokens.len();
            if segment.scores {
                last.extend_from_slice(&rows[(end - 1) * width..end * width]);
            }
        }
        let count = last.len() / width;
        if count == 0 {
            return Ok(Vec::new());
        }
        let last = Tensor::from_vec(last, (count, width), &Device::Cpu)?;
        let normed = rms_norm(&last, &self.norm, self.config.norm_epsilon)?;
        let normed = Rows::of(&normed)?;
        let scores = self.head.as_ref().unwrap_or(&self.embedding).product(normed.as_slice()?);
        Ok(scores.chunks_exact(self.config.vocabulary).map(<[f32]>::to_vec).collect())
    }
}
