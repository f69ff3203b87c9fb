//! A model on a device of the tensor library: its steps computed by the library's kernels instead of this crate's.
//!
//! Weights and the KV cache lie on the device; the books of the cache, the choice of experts and of tokens stay on the
//! processor. Activations between products are f32. A row's numbers may depend on what is computed beside it, since the
//! library chooses its kernels by shape.

mod weights;
mod turns;
mod blocks;
mod step;
mod attention;
mod mixture;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Tensor};

use attention::Heads;
pub(crate) use blocks::Blocks;
use mixture::Mixture;
use step::Step;
use turns::{Turning, Turns};
use weights::{AsRead, Feed, Matrix, vector};

use super::{
    cache::{Cache, Pool},
    config::{Architecture, Config},
    decoder::Segment,
    experts::{Choices, ExpertLoad},
    weights::{Loader, Precision},
};
use crate::{
    Error, KvType,
    formats::ModelFile,
    kernels::{KeyShape, Layout, SPAN},
};

/// Blocks that a pool without a bound has room for at first.
const BLOCKS_AT_FIRST: usize = 16;

/// A model on a device.
#[derive(Debug)]
pub(crate) struct Decoder {
    config: Config,
    device: Device,
    embedding: Matrix,
    layers: Vec<Layer>,
    norm: Tensor,
    /// None where the embedding is also the head.
    head: Option<Matrix>,
    turnings: Vec<Turning>,
    /// The windows that layers have, each once.
    windows: Vec<Option<usize>>,
    expert_load: ExpertLoad,
    /// The pools of caches that belong to no other, by type.
    loose: Mutex<Vec<(KvType, Arc<Pool>)>>,
}

/// One layer.
#[derive(Debug)]
struct Layer {
    attention_norm: Tensor,
    attention: Heads,
    mix_norm: Tensor,
    mix: Mix,
    result_norms: Option<[Tensor; 2]>,
    /// Index into the decoder's turnings.
    rope: usize,
    /// Index into the decoder's windows.
    sight: usize,
}

/// What follows attention.
#[derive(Debug)]
enum Mix {
    Dense(Box<Feed>),
    Experts(Box<Mixture>),
}

/// Why a model of this architecture cannot be computed on a device; none where it can.
pub(crate) fn refusal(architecture: Architecture) -> Option<&'static str> {
    match architecture {
        Architecture::DeepSeek2 | Architecture::DeepSeek3 => {
            Some("keeps keys and values compressed, which is computed on the processor only")
        }
        _ => None,
    }
}

impl Decoder {
    /// Reads every tensor that the configuration asks for and moves it to the device.
    pub(crate) fn load(
        file: &ModelFile,
        config: &Config,
        precision: Precision,
        device: &Device,
    ) -> Result<Self, Error> {
        if let Some(reason) = refusal(config.architecture) {
            return Err(Error::model(&file.path, config.architecture.name(), reason));
        }
        let loader = Loader::new(file, config, precision, &AsRead);
        let expert_load = ExpertLoad::new(config.experts.map_or(0, |experts| experts.count));
        let mut windows: Vec<Option<usize>> = Vec::new();
        for kind in &config.layer_kinds {
            if !windows.contains(&kind.window) {
                windows.push(kind.window);
            }
        }
        let moved = |part: String| {
            move |error: Error| match error {
                Error::Compute { problem } => {
                    Error::model(&file.path, part, format!("cannot be moved to the device: {problem}"))
                }
                other => other,
            }
        };
        let layers = (0..config.layers).map(|index| {
            let sight = windows.iter().position(|window| *window == config.layer_kinds[index].window);
            let layer = Layer::read(&loader, (config, index), sight.unwrap_or(0), &expert_load, device);
            loader.release_layer(index);
            layer.map_err(moved(format!("layer {index}")))
        });
        let layers = layers.collect::<Result<_, _>>()?;
        let matrix = |part: &str, tensor| {
            Matrix::new(&tensor, device).map_err(Error::from).map_err(moved(part.to_owned()))
        };
        let decoder = Self {
            layers,
            embedding: matrix("embedding", loader.embedding()?)?,
            norm: vector(&loader.norm()?, device)?,
            head: loader.head()?.map(|head| matrix("head", head)).transpose()?,
            turnings: config.ropes.iter().map(Turning::new).collect(),
            windows,
            expert_load,
            loose: Mutex::default(),
            device: device.clone(),
            config: config.clone(),
        };
        loader.release();
        Ok(decoder)
    }

    fn shape(&self) -> KeyShape {
        let heads = self.config.heads;
        KeyShape { heads: heads.key, key_width: heads.width, value_width: heads.width }
    }

    /// What a block of so many positions holds.
    pub(crate) fn layout(&self, block: usize) -> Layout {
        Layout::new((0..self.config.layers).map(|_| self.shape()), block)
    }

    pub(crate) fn expert_load(&self) -> &ExpertLoad {
        &self.expert_load
    }

    /// A pool of blocks on the device; all of them are made at once where there is a bound.
    pub(crate) fn pool(&self, layout: Layout, kind: KvType, blocks_max: usize) -> Result<Pool, Error> {
        let at_first = if blocks_max == usize::MAX { BLOCKS_AT_FIRST } else { blocks_max };
        let kept = (self.config.layers, self.shape());
        let blocks = Blocks::new((&self.device, kind), kept, (at_first, layout.block()))?;
        Ok(Pool::on_device(layout, kind, blocks_max, Arc::new(blocks)))
    }

    /// An empty cache bounded only by what is computed into it. All of one type have one pool, so that they may be in
    /// one step.
    pub(crate) fn cache_in(&self, kind: KvType) -> Result<Cache, Error> {
        let mut loose = self.loose.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, pool)) = loose.iter().find(|(own, _)| *own == kind) {
            return Ok(pool.cache(None));
        }
        let pool = Arc::new(self.pool(self.layout(SPAN), kind, usize::MAX)?);
        loose.push((kind, Arc::clone(&pool)));
        Ok(pool.cache(None))
    }

    /// Computes the rows of all segments; gives the scores of the last rows of each, of so many as `last` says, and the
    /// experts chosen for each row, one list per layer that has experts.
    pub(crate) fn compute(
        &self,
        segments: &mut [Segment<'_>],
        mut chosen: Option<&mut Vec<Choices>>,
        last: &[usize],
    ) -> Result<Vec<Vec<f32>>, Error> {
        for segment in segments.iter_mut() {
            segment.cache.make_room(segment.tokens.len())?;
        }
        let seen = (self.windows.as_slice(), self.config.heads.query);
        let Some(step) = Step::new(segments, seen, &self.device)? else { return Ok(Vec::new()) };
        let turns = self.turnings.iter().map(|turning| turning.turns(&step.positions, &self.device));
        let turns = turns.collect::<candle_core::Result<Vec<_>>>()?;
        let mut rows = self.embedding.rows(&step.ids)?;
        if self.config.embedding_scale != 1.0 {
            rows = (rows * f64::from(self.config.embedding_scale))?;
        }
        for (index, layer) in self.layers.iter().enumerate() {
            let told = match (&layer.mix, &mut chosen) {
                (Mix::Experts(_), Some(layers)) => {
                    layers.push(Choices::new());
                    layers.last_mut()
                }
                _ => None,
            };
            rows =
                layer.forward((index, self.config.norm_epsilon), rows, (&turns[layer.rope], &step), told)?;
        }
        let scores = self.scores(&rows, segments, last)?;
        for segment in segments {
            segment.cache.advance(segment.tokens);
        }
        Ok(scores)
    }

    /// The head's product with the last rows of each segment, of so many as are wanted.
    fn scores(
        &self,
        rows: &Tensor,
        segments: &[Segment<'_>],
        wanted: &[usize],
    ) -> candle_core::Result<Vec<Vec<f32>>> {
        let mut last = Vec::new();
        let mut end = 0;
        for (segment, wanted) in segments.iter().zip(wanted) {
            end += segment.tokens.len();
            last.extend((end - segment.tokens.len().min(*wanted)..end).map(|row| row as u32));
        }
        if last.is_empty() {
            return Ok(Vec::new());
        }
        let count = last.len();
        let rows = rows.index_select(&Tensor::from_vec(last, count, &self.device)?, 0)?;
        let rows = candle_nn::ops::rms_norm(&rows, &self.norm, self.config.norm_epsilon)?;
        let mut scores = self.head.as_ref().unwrap_or(&self.embedding).product(&rows)?;
        if let Some(cap) = self.config.score_cap.map(f64::from) {
            scores = ((scores / cap)?.tanh()? * cap)?;
        }
        scores.to_dtype(DType::F32)?.to_vec2()
    }
}

impl Layer {
    /// Reads one layer and moves it to the device.
    fn read(
        loader: &Loader<'_, AsRead>,
        (config, index): (&Config, usize),
        sight: usize,
        load: &ExpertLoad,
        device: &Device,
    ) -> Result<Self, Error> {
        let has_experts = config.experts.is_some() && !config.dense_layers.contains(&index);
        let mix = if has_experts {
            Mix::Experts(Box::new(Mixture::new(loader.experts(index, load.clone())?, device)?))
        } else {
            Mix::Dense(Box::new(Feed::new(&loader.dense(index)?, device)?))
        };
        let result_norms = match loader.result_norms(index)? {
            Some([taken, given]) => Some([vector(&taken, device)?, vector(&given, device)?]),
            None => None,
        };
        Ok(Self {
            attention_norm: vector(&loader.attention_norm(index)?, device)?,
            attention: Heads::new(loader.attention(index)?, device)?,
            mix_norm: vector(&loader.mix_norm(index)?, device)?,
            mix,
            result_norms,
            rope: config.layer_kinds[index].rope,
            sight,
        })
    }

    fn forward(
        &self,
        (index, epsilon): (usize, f32),
        rows: Tensor,
        (turns, step): (&Turns, &Step),
        told: Option<&mut Choices>,
    ) -> candle_core::Result<Tensor> {
        let norm = |rows: &Tensor, weight: &Tensor| candle_nn::ops::rms_norm(rows, weight, epsilon);
        let normed = norm(&rows, &self.attention_norm)?;
        let mut given = self.attention.forward((index, self.sight), &normed, turns, step)?;
        if let Some([weight, _]) = &self.result_norms {
            given = norm(&given, weight)?;
        }
        let rows = (rows + given)?;
        let normed = norm(&rows, &self.mix_norm)?;
        let mut given = match &self.mix {
            Mix::Dense(dense) => dense.forward(&normed)?,
            Mix::Experts(experts) => experts.forward(&normed, told)?,
        };
        if let Some([_, weight]) = &self.result_norms {
            given = norm(&given, weight)?;
        }
        rows + given
    }
}
