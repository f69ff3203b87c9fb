//! Hugging Face folders: the JSON files and the safetensors shards they point at.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path},
};

use candle_core::quantized::GgmlDType;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use super::{Bytes, Description, ModelFile, RawTensor, hash_of, size_of};
use crate::Error;

/// Larger JSON files are refused before they are read; the largest known tokenizer takes a tenth of this.
const JSON_BYTES_MAX: u64 = 256 << 20;

/// Opens the folder and checks that every tensor lies within its file.
pub(super) fn open(folder: &Path) -> Result<ModelFile, Error> {
    let config = json(&folder.join("config.json"))?;
    let tokenizer = json(&folder.join("tokenizer.json"))?;
    let generation = folder.join("generation_config.json");
    let generation = generation.exists().then(|| json(&generation)).transpose()?;
    let mut tensors = BTreeMap::new();
    let mut maps = Vec::new();
    for shard in shards(folder)? {
        let path = folder.join(&shard);
        let bytes = Bytes::map(&path)?;
        read_shard(&path, &bytes, &mut tensors)?;
        maps.push(bytes);
    }
    let hash = hash_of(&maps);
    let description = Description::HuggingFace { config, generation, tokenizer };
    Ok(ModelFile { path: folder.to_owned(), description, tensors, hash })
}

fn json(path: &Path) -> Result<Value, Error> {
    let refused = |problem: String| Error::model(path, "JSON", problem);
    let size = std::fs::metadata(path).map_err(|e| refused(format!("cannot be opened: {e}")))?.len();
    if size > JSON_BYTES_MAX {
        return Err(refused(format!("is {size} bytes long; at most {JSON_BYTES_MAX} are read")));
    }
    let bytes = std::fs::read(path).map_err(|e| refused(format!("cannot be read: {e}")))?;
    serde_json::from_slice(&bytes).map_err(|e| refused(format!("cannot be parsed: {e}")))
}

/// The names of the weight files, sorted.
fn shards(folder: &Path) -> Result<BTreeSet<String>, Error> {
    let single = "model.safetensors";
    let index = folder.join("model.safetensors.index.json");
    if folder.join(single).exists() || !index.exists() {
        return Ok(BTreeSet::from([single.to_owned()]));
    }
    let map = json(&index)?;
    let map = map
        .get("weight_map")
        .and_then(Value::as_object)
        .ok_or_else(|| Error::model(&index, "weight_map", "is missing"))?;
    map.iter()
        .map(|(tensor, file)| match file.as_str() {
            // A name with a separator or `..` would reach outside the folder.
            Some(file) if Path::new(file).components().eq([Component::Normal(file.as_ref())]) => {
                Ok(file.to_owned())
            }
            _ => Err(Error::model(
                &index,
                tensor.as_str(),
                format!("is said to lie in {file}, not a file name"),
            )),
        })
        .collect()
}

fn read_shard(path: &Path, bytes: &Bytes, tensors: &mut BTreeMap<String, RawTensor>) -> Result<(), Error> {
    let data = bytes.as_slice();
    let file = SafeTensors::deserialize(data)
        .map_err(|error| Error::model(path, "safetensors header", error.to_string()))?;
    for (name, view) in file.tensors() {
        let kind = match view.dtype() {
            Dtype::F32 => GgmlDType::F32,
            Dtype::F16 => GgmlDType::F16,
            Dtype::BF16 => GgmlDType::BF16,
            other => {
                let problem = format!("has type {other:?}, which is not supported; F32, F16 and BF16 are");
                return Err(Error::model(path, name, problem));
            }
        };
        let shape = view.shape().to_vec();
        let size = size_of(kind, &shape).map_err(|problem| Error::model(path, name.as_str(), problem))?;
        // The view's bytes are a part of `data`, so the distance of their starts is an index into it.
        let start = view.data().as_ptr().addr().checked_sub(data.as_ptr().addr());
        let part = start.filter(|_| view.data().len() == size).and_then(|start| bytes.part(start, size));
        let Some(bytes) = part else {
            return Err(Error::model(
                path,
                name,
                format!("needs {size} bytes, its entry gives {}", view.data().len()),
            ));
        };
        if tensors.insert(name.clone(), RawTensor { kind, shape, bytes }).is_some() {
            return Err(Error::model(path, name, "is in more than one file"));
        }
    }
    Ok(())
}
