//! Model files as they lie on disk: which tensors, of which type and shape, in which bytes.

mod bytes;
mod hashes;
mod tensor;
mod packing;
mod gguf;
mod huggingface;
#[cfg(test)]
mod fuzz_tests;
#[cfg(test)]
mod table_tests;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;

pub(crate) use bytes::{Blocks, Bytes, Later, Plain};
pub(crate) use gguf::Metadata;
pub(crate) use hashes::Hashes;
pub(crate) use packing::{FOUR_BIT_BLOCK, four_bit_values};
pub(crate) use tensor::RawTensor;
use tensor::size_of;

use crate::Error;

/// The words that describe the model, in the form of its format.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one for each model file")]
pub(crate) enum Description {
    /// Metadata of a GGUF file.
    Gguf(Metadata),
    /// The JSON files of a Hugging Face folder.
    HuggingFace {
        config: Value,
        generation: Option<Value>,
        tokenizer: Option<Value>,
        tokenizer_config: Option<Value>,
        /// The chat template in a file of its own.
        template: Option<String>,
    },
}

/// An opened model: description, tensors, and the hash of the weights.
#[derive(Debug)]
pub(crate) struct ModelFile {
    /// The file or folder, for messages.
    pub(crate) path: std::path::PathBuf,
    pub(crate) description: Description,
    pub(crate) tensors: BTreeMap<String, RawTensor>,
    /// Tensors of bytes, which are parts of others.
    plain: BTreeMap<String, (Vec<usize>, Bytes)>,
    pub(crate) hash: [u8; 32],
}

impl ModelFile {
    /// Opens a Hugging Face folder or a GGUF file and checks every tensor's extent.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        Self::open_knowing(path, &Hashes::none())
    }

    /// The same where hashes of files that did not change may be known from before.
    pub(crate) fn open_knowing(path: &Path, hashes: &Hashes) -> Result<Self, Error> {
        let is_folder = std::fs::metadata(path)
            .map_err(|error| Error::model(path, "file", format!("cannot be opened: {error}")))?
            .is_dir();
        if is_folder { huggingface::open(path, hashes) } else { gguf::open(path, hashes) }
    }

    /// The tensor `name`, which must have `shape`.
    pub(crate) fn tensor(&self, name: &str, shape: &[usize]) -> Result<RawTensor, Error> {
        let tensor =
            self.tensors.get(name).ok_or_else(|| Error::model(&self.path, name, "the tensor is missing"))?;
        if tensor.shape != shape {
            let problem =
                format!("has shape {:?}; the model's configuration asks for {shape:?}", tensor.shape);
            return Err(Error::model(&self.path, name, problem));
        }
        Ok(tensor.clone())
    }

    /// The bytes of a tensor of bytes, which must have `shape`.
    pub(crate) fn bytes_of(&self, name: &str, shape: &[usize]) -> Result<Bytes, Error> {
        match self.plain.get(name) {
            Some((found, bytes)) if found == shape => Ok(bytes.clone()),
            Some((found, _)) => {
                let problem = format!("has shape {found:?}; the model's configuration asks for {shape:?}");
                Err(Error::model(&self.path, name, problem))
            }
            None => Err(Error::model(&self.path, name, "the tensor of bytes is missing")),
        }
    }

    /// Bytes of all tensors.
    pub(crate) fn bytes(&self) -> u64 {
        self.tensors.values().map(|tensor| tensor.bytes.len() as u64).sum()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name) || self.plain.contains_key(name)
    }
}
