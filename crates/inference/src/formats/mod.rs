//! Model files as they lie on disk: which tensors, of which type and shape, in which bytes.

mod bytes;
mod gguf;
mod huggingface;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, path::Path};

use candle_core::quantized::GgmlDType;
use serde_json::Value;

pub(crate) use bytes::{Blocks, Bytes, Plain};
pub(crate) use gguf::Metadata;

use crate::Error;

/// One tensor's type, shape and bytes; the bytes are exactly as many as type and shape ask for.
#[derive(Debug, Clone)]
pub(crate) struct RawTensor {
    pub(crate) kind: GgmlDType,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: Bytes,
}

/// The words that describe the model, in the form of its format.
#[derive(Debug)]
pub(crate) enum Description {
    /// Metadata of a GGUF file.
    Gguf(Metadata),
    /// The JSON files of a Hugging Face folder.
    HuggingFace { config: Value, generation: Option<Value>, tokenizer: Value },
}

/// An opened model: description, tensors, and the hash of the weights.
#[derive(Debug)]
pub(crate) struct ModelFile {
    /// The file or folder, for messages.
    pub(crate) path: std::path::PathBuf,
    pub(crate) description: Description,
    pub(crate) tensors: BTreeMap<String, RawTensor>,
    pub(crate) hash: [u8; 32],
}

impl ModelFile {
    /// Opens a Hugging Face folder or a GGUF file and checks every tensor's extent.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let is_folder = std::fs::metadata(path)
            .map_err(|error| Error::model(path, "file", format!("cannot be opened: {error}")))?
            .is_dir();
        if is_folder { huggingface::open(path) } else { gguf::open(path) }
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

    pub(crate) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }
}

impl RawTensor {
    /// Part `index` of the first dimension, as a tensor of one dimension less.
    pub(crate) fn part(&self, index: usize) -> Option<Self> {
        let (&parts, shape) = self.shape.split_first()?;
        if index >= parts || shape.is_empty() {
            return None;
        }
        let part_bytes = self.bytes.len() / parts;
        let bytes = self.bytes.part(index * part_bytes, part_bytes)?;
        Some(Self { kind: self.kind, shape: shape.to_vec(), bytes })
    }

    /// Rows `start..start + count` of the first dimension.
    pub(crate) fn rows(&self, start: usize, count: usize) -> Option<Self> {
        let (&rows, rest) = self.shape.split_first()?;
        if rows == 0 || start.checked_add(count)? > rows {
            return None;
        }
        let row_bytes = self.bytes.len() / rows;
        let bytes = self.bytes.part(start * row_bytes, count * row_bytes)?;
        let mut shape = vec![count];
        shape.extend_from_slice(rest);
        Some(Self { kind: self.kind, shape, bytes })
    }

    pub(crate) fn elements(&self) -> u64 {
        self.shape.iter().map(|&d| d as u64).product()
    }
}

/// Bytes that a tensor of this type and shape takes, or what is wrong with them.
fn size_of(kind: GgmlDType, shape: &[usize]) -> Result<usize, String> {
    let elements = shape
        .iter()
        .try_fold(1usize, |product, &dimension| product.checked_mul(dimension))
        .ok_or_else(|| format!("shape {shape:?} has more elements than can be counted"))?;
    let columns = shape.last().copied().unwrap_or(1);
    if elements == 0 {
        return Err(format!("shape {shape:?} is empty"));
    }
    if !columns.is_multiple_of(kind.block_size()) {
        let block = kind.block_size();
        return Err(format!("rows of {columns} are not a multiple of {kind:?}'s blocks of {block}"));
    }
    (elements / kind.block_size())
        .checked_mul(kind.type_size())
        .ok_or_else(|| format!("shape {shape:?} has more bytes than can be counted"))
}

/// BLAKE3 over files in the given order.
fn hash_of<'a>(files: impl IntoIterator<Item = &'a Bytes>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for file in files {
        hasher.update(file.as_slice());
    }
    *hasher.finalize().as_bytes()
}
