//! Hugging Face folders: the JSON files and the safetensors shards they point at.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path},
};

use candle_core::quantized::GgmlDType;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use super::{Bytes, Description, Hashes, ModelFile, RawTensor, size_of};
use crate::Error;

/// Larger JSON files are refused before they are read; the largest known tokenizer takes a tenth of this.
const JSON_BYTES_MAX: u64 = 256 << 20;

/// Opens the folder and checks that every tensor lies within its file.
pub(super) fn open(folder: &Path, hashes: &Hashes) -> Result<ModelFile, Error> {
    let config = json(&folder.join("config.json"))?;
    let optional = |name: &str| {
        let path = folder.join(name);
        path.exists().then(|| json(&path)).transpose()
    };
    let tokenizer = optional("tokenizer.json")?;
    let generation = optional("generation_config.json")?;
    let tokenizer_config = optional("tokenizer_config.json")?;
    let template = template(folder)?;
    let mut found = Found::default();
    let mut maps = Vec::new();
    for shard in shards(folder)? {
        let path = folder.join(&shard);
        let bytes = Bytes::map(&path)?;
        read_shard(&path, &bytes, &mut found)?;
        maps.push((path, bytes));
    }
    let hash = hashes.of(&maps);
    let description = Description::HuggingFace { config, generation, tokenizer, tokenizer_config, template };
    let Found { tensors, plain } = found;
    Ok(ModelFile { path: folder.to_owned(), description, tensors, plain, hash })
}

/// The chat template, where it has a file of its own: as it is, or as JSON.
fn template(folder: &Path) -> Result<Option<String>, Error> {
    let path = folder.join("chat_template.jinja");
    if path.exists() {
        let bytes = bounded(&path)?;
        let text = String::from_utf8(bytes).map_err(|_| Error::model(&path, "file", "is not UTF-8"))?;
        return Ok(Some(text));
    }
    let path = folder.join("chat_template.json");
    if !path.exists() {
        return Ok(None);
    }
    Ok(json(&path)?.get("chat_template").and_then(Value::as_str).map(str::to_owned))
}

/// The tensors of all shards.
#[derive(Default)]
struct Found {
    tensors: BTreeMap<String, RawTensor>,
    plain: BTreeMap<String, (Vec<usize>, Bytes)>,
}

fn json(path: &Path) -> Result<Value, Error> {
    let refused = |error| Error::model(path, "JSON", format!("cannot be parsed: {error}"));
    serde_json::from_slice(&bounded(path)?).map_err(refused)
}

/// A file that is not too long to be read whole.
fn bounded(path: &Path) -> Result<Vec<u8>, Error> {
    let refused = |problem: String| Error::model(path, "JSON", problem);
    let size = std::fs::metadata(path).map_err(|e| refused(format!("cannot be opened: {e}")))?.len();
    if size > JSON_BYTES_MAX {
        return Err(refused(format!("is {size} bytes long; at most {JSON_BYTES_MAX} are read")));
    }
    std::fs::read(path).map_err(|e| refused(format!("cannot be read: {e}")))
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

fn read_shard(path: &Path, bytes: &Bytes, found: &mut Found) -> Result<(), Error> {
    let data = bytes.as_slice();
    let file = SafeTensors::deserialize(data)
        .map_err(|error| Error::model(path, "safetensors header", error.to_string()))?;
    for (name, view) in file.tensors() {
        // The view's bytes are a part of `data`, so the distance of their starts is an index into it.
        let start = view.data().as_ptr().addr().checked_sub(data.as_ptr().addr());
        let part = |size: usize| {
            start.filter(|_| view.data().len() == size).and_then(|start| bytes.part(start, size))
        };
        let kind = match view.dtype() {
            Dtype::F32 => GgmlDType::F32,
            Dtype::F16 => GgmlDType::F16,
            Dtype::BF16 => GgmlDType::BF16,
            Dtype::U8 => {
                // Blocks of 4-bit floats and their exponents.
                if let Some(bytes) = part(view.data().len()) {
                    found.plain.insert(name, (view.shape().to_vec(), bytes));
                }
                continue;
            }
            other => {
                let problem = format!("has type {other:?}, which is not supported; F32, F16 and BF16 are");
                return Err(Error::model(path, name, problem));
            }
        };
        let shape = view.shape().to_vec();
        let size = size_of(kind, &shape).map_err(|problem| Error::model(path, name.as_str(), problem))?;
        let Some(bytes) = part(size) else {
            return Err(Error::model(
                path,
                name,
                format!("needs {size} bytes, its entry gives {}", view.data().len()),
            ));
        };
        if found.tensors.insert(name.clone(), RawTensor { kind, shape, bytes }).is_some() {
            return Err(Error::model(path, name, "is in more than one file"));
        }
    }
    Ok(())
}
