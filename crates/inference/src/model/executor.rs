//! What computes steps: this crate's kernels, or the tensor library's on a device.

use std::sync::Arc;

#[cfg(any(test, feature = "cuda"))]
use super::device;
use super::{
    cache::{Cache, Pool},
    config::Config,
    decoder::{Decoder, Segment},
    experts::{Choices, ExpertLoad},
    weights::Precision,
};
use crate::{Device, Error, KvType, formats::ModelFile, kernels::Layout};

/// A loaded model, wherever it is computed.
#[derive(Debug)]
pub(crate) enum Executor {
    /// On the processor, by this crate's kernels.
    Kernels(Box<Decoder>),
    /// On a device, by the tensor library's.
    #[cfg(any(test, feature = "cuda"))]
    Device(Box<device::Decoder>),
}

impl From<Decoder> for Executor {
    fn from(decoder: Decoder) -> Self {
        Self::Kernels(Box::new(decoder))
    }
}

impl Executor {
    /// Reads every tensor that the configuration asks for, for steps on `device`.
    pub(crate) fn load(
        file: &ModelFile,
        config: &Config,
        precision: Precision,
        device: Device,
    ) -> Result<Self, Error> {
        #[cfg(any(test, feature = "cuda"))]
        if let Some(device) = device.open()? {
            let decoder = device::Decoder::load(file, config, precision, &device)?;
            return Ok(Self::Device(Box::new(decoder)));
        }
        #[cfg(not(any(test, feature = "cuda")))]
        device.open()?;
        Decoder::load_in(file, config, precision).map(Self::from)
    }

    /// What a block of so many positions holds.
    pub(crate) fn layout(&self, block: usize) -> Layout {
        match self {
            Self::Kernels(decoder) => decoder.layout(block),
            #[cfg(any(test, feature = "cuda"))]
            Self::Device(decoder) => decoder.layout(block),
        }
    }

    /// A pool of at most so many blocks.
    pub(crate) fn pool(&self, layout: Layout, kind: KvType, blocks_max: usize) -> Result<Arc<Pool>, Error> {
        Ok(Arc::new(match self {
            Self::Kernels(_) => Pool::new(layout, kind, blocks_max),
            #[cfg(any(test, feature = "cuda"))]
            Self::Device(decoder) => decoder.pool(layout, kind, blocks_max)?,
        }))
    }

    /// An empty cache that is bounded only by what is computed into it.
    pub(crate) fn cache_in(&self, kind: KvType) -> Result<Cache, Error> {
        match self {
            Self::Kernels(decoder) => Ok(decoder.cache_in(kind)),
            #[cfg(any(test, feature = "cuda"))]
            Self::Device(decoder) => decoder.cache_in(kind),
        }
    }

    pub(crate) fn expert_load(&self) -> &ExpertLoad {
        match self {
            Self::Kernels(decoder) => decoder.expert_load(),
            #[cfg(any(test, feature = "cuda"))]
            Self::Device(decoder) => decoder.expert_load(),
        }
    }

    /// Computes the rows of all segments and returns the scores of those that want them, in order.
    pub(crate) fn forward(&self, segments: &mut [Segment<'_>]) -> Result<Vec<Vec<f32>>, Error> {
        let last: Vec<usize> = segments.iter().map(|s| usize::from(s.scores)).collect();
        self.forward_last(segments, &last)
    }

    /// The same, with the scores of the last rows of each segment, of so many as `last` says.
    pub(crate) fn forward_last(
        &self,
        segments: &mut [Segment<'_>],
        last: &[usize],
    ) -> Result<Vec<Vec<f32>>, Error> {
        match self {
            Self::Kernels(decoder) => decoder.forward_last(segments, last),
            #[cfg(any(test, feature = "cuda"))]
            Self::Device(decoder) => decoder.compute(segments, None, last),
        }
    }

    /// As [`Self::forward`], and the experts chosen for each row, one list per layer that has experts.
    pub(crate) fn forward_telling(
        &self,
        segments: &mut [Segment<'_>],
        chosen: &mut Vec<Choices>,
    ) -> Result<Vec<Vec<f32>>, Error> {
        match self {
            Self::Kernels(decoder) => decoder.forward_telling(segments, chosen),
            #[cfg(any(test, feature = "cuda"))]
            Self::Device(decoder) => {
                let last: Vec<usize> = segments.iter().map(|s| usize::from(s.scores)).collect();
                decoder.compute(segments, Some(chosen), &last)
            }
        }
    }
}
