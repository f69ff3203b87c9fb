//! The decoder: embedding, layers, head, for the rows of many sequences in one step.

use std::sync::Arc;

use super::{
    attention::Attention,
    cache::{Cache, Pool},
    config::Config,
    experts::{Choices, ExpertLoad, Experts},
    latent::LatentAttention,
    project::Gated,
    residency::{Next, Residency},
    turns::{Turning, Turns},
    weights::{Loader, Precision},
};
use crate::{
    Error, KvType,
    formats::ModelFile,
    kernels::{Asking, Buffer, KeyShape, Layout, Linear, Rows, SPAN, add, add_then_norm, rms_norm, team},
    packed::Packing,
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
    turnings: Vec<Turning>,
    expert_load: ExpertLoad,
}

/// One layer.
#[derive(Debug)]
struct Layer {
    attention_norm: Vec<f32>,
    attention: Attending,
    mix_norm: Vec<f32>,
    mix: Mix,
    /// Norms of what attention and the mix give.
    result_norms: Option<[Vec<f32>; 2]>,
    /// Index into the decoder's turnings.
    rope: usize,
}

/// How a layer attends.
#[derive(Debug)]
enum Attending {
    Heads(Box<Attention>),
    Latent(Box<LatentAttention>),
}

/// What follows attention.
#[derive(Debug)]
enum Mix {
    Dense(Box<Gated>),
    Experts(Box<Experts>),
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

/// The rows of each segment, against what one layer holds of it.
pub(super) fn asking<'a>(segments: &'a [Segment<'_>], layer: usize) -> Vec<Asking<'a>> {
    let mut first = 0;
    let one = |segment: &'a Segment<'_>| {
        let rows = segment.tokens.len();
        first += rows;
        Some(Asking { past: segment.cache.layer(layer)?, first: first - rows, rows })
    };
    segments.iter().filter_map(one).collect()
}

/// Adds the keys and values of the rows of all segments to one layer, each to its own cache.
pub(super) fn extend(segments: &mut [Segment<'_>], layer: usize, shape: KeyShape, rows: [&Rows; 2]) {
    let mut ends = Buffer::<i32>::stale(segments.len());
    let mut end = 0;
    for (to, segment) in ends.iter_mut().zip(segments.iter()) {
        end += segment.tokens.len();
        *to = end as i32;
    }
    let one = |at: usize, segment: &mut Segment<'_>| {
        let end = ends[at] as usize;
        let rows =
            rows.map(|all| &all.values()[(end - segment.tokens.len()) * all.width()..end * all.width()]);
        segment.cache.extend(layer, shape, rows);
    };
    team::share_runs(segments, 1, |at, segments| segments.iter_mut().for_each(|segment| one(at, segment)));
}

impl Decoder {
    /// Reads every tensor that the configuration asks for.
    #[cfg(test)]
    pub(crate) fn load(file: &ModelFile, config: &Config) -> Result<Self, Error> {
        Self::load_in(file, config, Precision::File)
    }

    /// The same with all weights in the given numbers.
    pub(crate) fn load_in(file: &ModelFile, config: &Config, precision: Precision) -> Result<Self, Error> {
        Self::read(&Loader::new(file, config, precision, &Packing::Memory), config)
    }

    /// The same with tiles from where `packing` has them.
    pub(crate) fn load_packed(file: &ModelFile, config: &Config, packing: &Packing) -> Result<Self, Error> {
        Self::read(&Loader::new(file, config, Precision::File, packing), config)
    }

    fn read(loader: &Loader<'_>, config: &Config) -> Result<Self, Error> {
        let expert_load = ExpertLoad::new(config.experts.map_or(0, |experts| experts.count));
        let layers = (0..config.layers).map(|index| {
            let layer = layer(loader, config, index, &expert_load);
            loader.release_layer(index);
            layer
        });
        let layers = layers.collect::<Result<_, Error>>()?;
        let head_width = config.latent.map_or(config.heads.width, |latent| latent.rotated_width);
        let turnings = config.ropes.iter().map(|rope| Turning::new(rope, head_width)).collect();
        let (embedding, norm, head) = (loader.embedding()?, loader.norm()?, loader.head()?);
        loader.release();
        Ok(Self { embedding, layers, norm, head, turnings, expert_load, config: config.clone() })
    }

    /// Keeps no more than `bytes_max` of experts in memory; they must lie in files.
    ///
    /// # Errors
    ///
    /// Says why the bound cannot be kept.
    pub(crate) fn limit_experts(&mut self, bytes_max: u64) -> Result<(), String> {
        let mixture = |layer: &Layer| match &layer.mix {
            Mix::Experts(experts) => Some((Arc::clone(&experts.router), layer.mix_norm.clone())),
            Mix::Dense(_) => None,
        };
        let routers: Vec<_> = self.layers.iter().filter_map(mixture).collect();
        let mixtures = self.layers.iter_mut().filter_map(|layer| match &mut layer.mix {
            Mix::Experts(experts) => Some(&mut **experts),
            Mix::Dense(_) => None,
        });
        let mut mixtures: Vec<&mut Experts> = mixtures.collect();
        let residency = Residency::new(mixtures.iter().map(|mixture| &**mixture), bytes_max)?;
        for (index, mixture) in mixtures.iter_mut().enumerate() {
            let next = routers.get(index + 1).map(|(router, norm)| {
                let ratio = |(next, own): (&f32, &f32)| if *own == 0.0 { 0.0 } else { next / own };
                let scale = norm.iter().zip(&routers[index].1).map(ratio).collect();
                Next { router: Arc::clone(router), scale }
            });
            mixture.seat = Some(residency.seat(index, next));
        }
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn cache(&self) -> Cache {
        self.cache_in(KvType::F32)
    }

    /// An empty cache that keeps its numbers so precisely, bounded only by what is computed into it.
    pub(crate) fn cache_in(&self, kind: KvType) -> Cache {
        Arc::new(Pool::new(self.layout(SPAN), kind, usize::MAX)).cache(None)
    }

    /// Where a block of so many positions has each layer's keys and values.
    pub(crate) fn layout(&self, block: usize) -> Layout {
        let shape = |layer: &Layer| match &layer.attention {
            Attending::Heads(heads) => heads.attend.shape,
            Attending::Latent(latent) => latent.attend.shape,
        };
        Layout::new(self.layers.iter().map(shape), block)
    }

    pub(crate) fn expert_load(&self) -> &ExpertLoad {
        &self.expert_load
    }

    /// Computes the rows of all segments and returns the scores of those that want them, in order.
    #[cfg(test)]
    pub(crate) fn forward(&self, segments: &mut [Segment<'_>]) -> Result<Vec<Vec<f32>>, Error> {
        let last: Vec<usize> = segments.iter().map(|s| usize::from(s.scores)).collect();
        self.compute(segments, None, &last)
    }

    /// The same, with the scores of the last rows of each segment, of so many as `last` says.
    pub(crate) fn forward_last(
        &self,
        segments: &mut [Segment<'_>],
        last: &[usize],
    ) -> Result<Vec<Vec<f32>>, Error> {
        self.compute(segments, None, last)
    }

    /// The same, and the experts chosen for each row, one list per layer that has experts.
    pub(crate) fn forward_telling(
        &self,
        segments: &mut [Segment<'_>],
        chosen: &mut Vec<Choices>,
    ) -> Result<Vec<Vec<f32>>, Error> {
        let last: Vec<usize> = segments.iter().map(|s| usize::from(s.scores)).collect();
        self.compute(segments, Some(chosen), &last)
    }

    fn compute(
        &self,
        segments: &mut [Segment<'_>],
        mut chosen: Option<&mut Vec<Choices>>,
        last: &[usize],
    ) -> Result<Vec<Vec<f32>>, Error> {
        for segment in segments.iter_mut() {
            segment.cache.make_room(segment.tokens.len())?;
        }
        let ids: Vec<u32> = segments.iter().flat_map(|s| s.tokens).copied().collect();
        let positions: Vec<usize> =
            segments.iter().flat_map(|s| (0..s.tokens.len()).map(|at| s.cache.tokens() + at)).collect();
        let turns: Vec<Turns> = self.turnings.iter().map(|turning| turning.turns(&positions)).collect();
        let epsilon = self.config.norm_epsilon;
        let mut rows = self.embed(ids);
        // What the layer before gave is added together with the norm of the sum.
        let mut before: Option<Rows> = None;
        for (index, layer) in self.layers.iter().enumerate() {
            let turns = &turns[layer.rope];
            let normed = match before.take() {
                Some(given) => add_then_norm(&mut rows, &given, &layer.attention_norm, epsilon),
                None => rms_norm(&rows, &layer.attention_norm, epsilon),
            };
            let mut given = match &layer.attention {
                Attending::Heads(heads) => heads.forward(index, &normed, turns, segments),
                Attending::Latent(latent) => latent.forward(index, &normed, turns, segments),
            };
            if let Mix::Dense(dense) = &layer.mix {
                dense.soon();
            }
            if let Some([norm, _]) = &layer.result_norms {
                given = rms_norm(&given, norm, epsilon);
            }
            let normed = add_then_norm(&mut rows, &given, &layer.mix_norm, epsilon);
            let mut given = match &layer.mix {
                Mix::Dense(dense) => dense.forward(&normed),
                Mix::Experts(experts) => {
                    let chosen = chosen.as_mut().map(|layers| {
                        layers.push(Choices::new());
                        layers.last_mut()
                    });
                    experts.forward(&normed, chosen.flatten())
                }
            };
            self.soon_after(index);
            if let Some([_, norm]) = &layer.result_norms {
                given = rms_norm(&given, norm, epsilon);
            }
            before = Some(given);
        }
        if let Some(given) = before {
            add(&mut rows, &given);
        }
        let scores = self.scores(&rows, segments, last);
        for segment in segments {
            segment.cache.advance(segment.tokens);
        }
        Ok(scores)
    }

    /// Tells threads that wait what follows a layer.
    fn soon_after(&self, layer: usize) {
        match self.layers.get(layer + 1).map(|next| &next.attention) {
            Some(Attending::Heads(next)) => next.soon(),
            Some(Attending::Latent(_)) => {}
            None => Linear::soon([self.head()]),
        }
    }

    fn head(&self) -> &Linear {
        self.head.as_ref().unwrap_or(&self.embedding)
    }

    fn embed(&self, ids: Vec<u32>) -> Rows {
        let mut rows = self.embedding.lookup(ids.into_iter());
        let scale = self.config.embedding_scale;
        if scale != 1.0 {
            rows.values_mut().iter_mut().for_each(|value| *value *= scale);
        }
        rows
    }

    /// The head's product with the last rows of each segment, of so many as are wanted.
    fn scores(&self, rows: &Rows, segments: &[Segment<'_>], wanted: &[usize]) -> Vec<Vec<f32>> {
        let width = self.config.hidden;
        let count =
            segments.iter().zip(wanted).map(|(segment, wanted)| segment.tokens.len().min(*wanted)).sum();
        if count == 0 {
            return Vec::new();
        }
        let mut last = Rows::stale(count, width);
        let mut places = last.values_mut().chunks_exact_mut(width);
        let mut end = 0;
        for (segment, wanted) in segments.iter().zip(wanted) {
            end += segment.tokens.len();
            let wanted = segment.tokens.len().min(*wanted);
            for (place, row) in places.by_ref().take(wanted).zip(end - wanted..end) {
                place.copy_from_slice(&rows.values()[row * width..(row + 1) * width]);
            }
        }
        let normed = rms_norm(&last, &self.norm, self.config.norm_epsilon);
        let mut scores = self.head().product(normed.values());
        if let Some(cap) = self.config.score_cap {
            scores.values_mut().iter_mut().for_each(|score| *score = cap * (*score / cap).tanh());
        }
        scores.each().map(<[f32]>::to_vec).collect()
    }
}

/// Reads one layer.
fn layer(loader: &Loader<'_>, config: &Config, index: usize, load: &ExpertLoad) -> Result<Layer, Error> {
    let has_experts = config.experts.is_some() && !config.dense_layers.contains(&index);
    let attention = match config.latent {
        Some(widths) => Attending::Latent(Box::new(loader.latent_attention(index, widths)?)),
        None => Attending::Heads(Box::new(loader.attention(index)?)),
    };
    let mix = if has_experts {
        Mix::Experts(Box::new(loader.experts(index, load.clone())?))
    } else {
        Mix::Dense(Box::new(loader.dense(index)?))
    };
    Ok(Layer {
        attention_norm: loader.attention_norm(index)?,
        attention,
        mix_norm: loader.mix_norm(index)?,
        mix,
        result_norms: loader.result_norms(index)?,
        rope: config.layer_kinds[index].rope,
    })
}
