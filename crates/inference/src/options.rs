//! The engine's bounds: every queue, cache and step size is one of these numbers.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{Device, Error, HubOptions, kernels::WHOLE};

/// How to build an engine; every bound it keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// A Hugging Face folder, a `.gguf` file, or a name on a hub: `hf:owner/name[@revision][:file.gguf]`.
    pub model: PathBuf,
    /// Where names on a hub lead.
    pub hub: HubOptions,
    /// What computes: `cpu`, or `cuda:0` and so on in builds with the feature `cuda`. On a card, `threads` and
    /// `packed_cache` speed nothing up, `kv_type` is F16 or F32, and experts are not bounded.
    pub device: Device,
    /// Requests computed in one step, at most.
    pub sequences_max: usize,
    /// Token rows computed in one step, at most; at least `sequences_max`.
    pub step_tokens_max: usize,
    /// Tokens of prompt and answer together; the model's own limit applies below it.
    pub context_tokens_max: usize,
    /// Requests that wait for a place, at most.
    pub queue_len_max: usize,
    /// Compute threads; 0 means one per core.
    pub threads: usize,
    /// How precisely keys and values are kept.
    pub kv_type: KvType,
    /// Tokens of a block of the KV cache, a power of two from 16 to 1024. 64 is what attention takes at a time: smaller
    /// blocks make its products shorter, larger ones leave more of the last block unused.
    pub kv_block_tokens: usize,
    /// Tokens that the KV cache may hold; 0 means as many as `sequences_max` whole contexts, within `kv_bytes_max`.
    pub kv_tokens_max: usize,
    /// Bytes that the KV cache may take; 0 means no bound where `kv_tokens_max` is one, and 1 GiB otherwise.
    pub kv_bytes_max: u64,
    /// Whether requests that begin alike, of the same tenant, share what was computed of their beginnings.
    pub kv_shared: bool,
    /// Tokens of an answer that are guessed ahead and checked in one step, at most 16; 0: none. Guesses change no answer. They
    /// are looked up in the text so far, or made by `draft`.
    pub draft_tokens_max: usize,
    /// A smaller model of the same tokenizer that makes the guesses; a path or a name on a hub, as `model`.
    pub draft: Option<PathBuf>,
    /// A step lasts at least this long (a power cap); 0 means as fast as it goes. In milliseconds when serialised.
    #[serde(rename = "step_interval_min_ms", with = "milliseconds")]
    pub step_interval_min: Duration,
    /// A folder for files of packed weights, which later loads and other processes map instead of packing anew; unset,
    /// weights are packed into memory. Only who may change the model may be able to write there.
    pub packed_cache: Option<PathBuf>,
    /// Bytes of all files in `packed_cache` together; those used longest ago make room.
    pub packed_cache_bytes_max: u64,
    /// Bytes of experts that are in memory at a time, for models larger than memory; unset, all may be. The others are
    /// read from `packed_cache` when they are needed. On Linux only.
    pub experts_resident_bytes_max: Option<u64>,
}

/// Numbers of the KV cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KvType {
    /// 4 bytes each.
    F32,
    /// 2 bytes each, as other engines keep them unless told otherwise.
    #[default]
    F16,
    /// 1 byte each, and 4 bytes for each position's key and values of each head: their greatest number becomes 127, so
    /// that a number errs by at most 1/254 of it.
    Q8,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            model: PathBuf::new(),
            hub: HubOptions::default(),
            device: Device::default(),
            sequences_max: 16,
            step_tokens_max: 256,
            context_tokens_max: 2048,
            queue_len_max: 256,
            threads: 0,
            kv_type: KvType::default(),
            kv_block_tokens: 64,
            kv_tokens_max: 0,
            kv_bytes_max: 0,
            kv_shared: true,
            draft_tokens_max: 0,
            draft: None,
            step_interval_min: Duration::ZERO,
            packed_cache: None,
            packed_cache_bytes_max: 64 << 30,
            experts_resident_bytes_max: None,
        }
    }
}

// Bounds on the bounds: a typing error in a configuration must not become an allocation.
const SEQUENCES_MAX: usize = 4_096;
const STEP_TOKENS_MAX: usize = 65_536;
const CONTEXT_TOKENS_MAX: usize = 1 << 22;
const QUEUE_LEN_MAX: usize = 1 << 20;
const THREADS_MAX: usize = 1_024;
const BLOCK_TOKENS_MAX: usize = 1_024;
const KV_TOKENS_MAX: usize = 1 << 32;
const DRAFT_TOKENS_MAX: usize = 16;
const STEP_INTERVAL_MAX: Duration = Duration::from_secs(10);

impl Options {
    /// Refuses numbers that cannot work, by field.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        between("sequences_max", self.sequences_max, 1, SEQUENCES_MAX)?;
        between("step_tokens_max", self.step_tokens_max, self.sequences_max, STEP_TOKENS_MAX)?;
        between("context_tokens_max", self.context_tokens_max, 2, CONTEXT_TOKENS_MAX)?;
        between("queue_len_max", self.queue_len_max, 1, QUEUE_LEN_MAX)?;
        between("threads", self.threads, 0, THREADS_MAX)?;
        between("kv_block_tokens", self.kv_block_tokens, WHOLE, BLOCK_TOKENS_MAX)?;
        between("kv_tokens_max", self.kv_tokens_max, 0, KV_TOKENS_MAX)?;
        if !self.kv_block_tokens.is_power_of_two() {
            let problem = format!("is {}, which is no power of two", self.kv_block_tokens);
            return Err(Error::BadOption { field: "kv_block_tokens", problem });
        }
        between("draft_tokens_max", self.draft_tokens_max, 0, DRAFT_TOKENS_MAX)?;
        if self.draft.is_some() && self.draft_tokens_max == 0 {
            let problem = "names a model, but `draft_tokens_max` is 0 and nothing is guessed".to_owned();
            return Err(Error::BadOption { field: "draft", problem });
        }
        if !self.device.is_own() && self.kv_type == KvType::Q8 {
            let problem =
                format!("is `q8`, which `{}` does not keep: `f16` or `f32` is allowed", self.device);
            return Err(Error::BadOption { field: "kv_type", problem });
        }
        if !self.device.is_own() && self.experts_resident_bytes_max.is_some() {
            let problem = format!("is set, but all experts of a model are on `{}`: unset it", self.device);
            return Err(Error::BadOption { field: "experts_resident_bytes_max", problem });
        }
        if self.step_interval_min > STEP_INTERVAL_MAX {
            let problem =
                format!("is {:?}; at most {STEP_INTERVAL_MAX:?} is allowed", self.step_interval_min);
            return Err(Error::BadOption { field: "step_interval_min", problem });
        }
        Ok(())
    }
}

fn between(field: &'static str, value: usize, min: usize, max: usize) -> Result<(), Error> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(Error::BadOption { field, problem: format!("is {value}; {min} to {max} is allowed") })
}

/// Durations as whole or fractional milliseconds, so that a configuration file says `12` and not a table.
mod milliseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(value.as_secs_f64() * 1e3)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let milliseconds = f64::deserialize(from)?;
        Duration::try_from_secs_f64(milliseconds / 1e3).map_err(D::Error::custom)
    }
}
