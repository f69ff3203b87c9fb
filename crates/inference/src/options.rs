//! The engine's bounds: every queue, cache and step size is one of these numbers.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::Error;

/// How to build an engine; every bound it keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// A Hugging Face folder or a `.gguf` file.
    pub model: PathBuf,
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
}

impl Default for Options {
    fn default() -> Self {
        Self {
            model: PathBuf::new(),
            sequences_max: 16,
            step_tokens_max: 256,
            context_tokens_max: 2048,
            queue_len_max: 256,
            threads: 0,
            kv_type: KvType::default(),
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
const STEP_INTERVAL_MAX: Duration = Duration::from_secs(10);

impl Options {
    /// Refuses numbers that cannot work, by field.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        between("sequences_max", self.sequences_max, 1, SEQUENCES_MAX)?;
        between("step_tokens_max", self.step_tokens_max, self.sequences_max, STEP_TOKENS_MAX)?;
        between("context_tokens_max", self.context_tokens_max, 2, CONTEXT_TOKENS_MAX)?;
        between("queue_len_max", self.queue_len_max, 1, QUEUE_LEN_MAX)?;
        between("threads", self.threads, 0, THREADS_MAX)?;
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
