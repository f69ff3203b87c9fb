//! What a reference gave for a fixture, as `expected.safetensors` or `expected.json`.

use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use crate::{Error, model::Choices};

/// Larger files are refused before they are read.
const BYTES_MAX: u64 = 256 << 20;

/// Tokens in, and what came out.
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) prompt: Vec<u32>,
    /// Scores after each token of the prompt.
    pub(super) scores: Vec<Vec<f32>>,
    /// Tokens that follow the prompt when the best is taken each time.
    pub(super) greedy: Vec<u32>,
    /// By how much the best score of each step exceeded the second.
    pub(super) margins: Vec<f32>,
    /// Experts of each row of the prompt, by layer that has experts.
    pub(super) experts: Vec<Choices>,
}

/// The file of expectations: the model's own, or the one of the whole fixture.
pub(super) fn file_in(fixture: &Path, stem: Option<&str>) -> Option<PathBuf> {
    let own = stem.into_iter().map(|stem| format!("{stem}.expected"));
    let names = own.chain(["expected".to_owned()]);
    let files = names.flat_map(|name| ["safetensors", "json"].map(|ending| format!("{name}.{ending}")));
    files.map(|file| fixture.join(file)).find(|path| path.is_file())
}

/// Finds a table by its name.
type Get = Box<dyn Fn(&str) -> Result<Table, Error>>;

impl Expected {
    pub(super) fn read(fixture: &Path, stem: Option<&str>) -> Result<Self, Error> {
        let Some(path) = file_in(fixture, stem) else {
            return Err(Error::model(fixture, "fixture", "holds no expected.safetensors or expected.json"));
        };
        let refused = |problem: String| Error::model(&path, "file", problem);
        let length = std::fs::metadata(&path).map_err(|error| refused(error.to_string()))?.len();
        if length > BYTES_MAX {
            return Err(refused(format!("is {length} bytes long; at most {BYTES_MAX} are read")));
        }
        let bytes = std::fs::read(&path).map_err(|error| refused(error.to_string()))?;
        let get: Get = if path.extension().is_some_and(|e| e == "json") {
            let json: Value = serde_json::from_slice(&bytes)
                .map_err(|error| refused(format!("cannot be parsed: {error}")))?;
            Box::new(move |name| Table::of_json(json.get(name)).map_err(|p| Error::model(&path, name, p)))
        } else {
            Box::new(move |name| {
                let file = SafeTensors::deserialize(&bytes)
                    .map_err(|error| Error::model(&path, "safetensors header", error.to_string()))?;
                Table::of_tensor(&file, name).map_err(|problem| Error::model(&path, name, problem))
            })
        };
        let ids = |table: Table| table.values.iter().map(|value| *value as u32).collect::<Vec<u32>>();
        let floats = |row: &[f64]| row.iter().map(|value| *value as f32).collect::<Vec<f32>>();
        let (scores, experts) = (get("logits")?, get("experts").ok());
        let rows =
            |table: &Table| table.rows().map(|row| row.iter().map(|e| *e as usize).collect()).collect();
        Ok(Self {
            prompt: ids(get("prompt")?),
            scores: scores.rows().map(floats).collect(),
            greedy: ids(get("greedy")?),
            margins: floats(&get("margins")?.values),
            experts: experts.map_or_else(Vec::new, |all| all.parts().iter().map(rows).collect()),
        })
    }

    /// Holds the parts to each other and to the model.
    pub(super) fn check(&self, fixture: &Path, vocabulary: usize, has_experts: bool) -> Result<(), Error> {
        let refused = |part: &str, problem: String| Err(Error::model(fixture, part, problem));
        if self.prompt.is_empty() || self.scores.len() != self.prompt.len() {
            let problem = format!("{} rows for {} tokens", self.scores.len(), self.prompt.len());
            return refused("logits", problem);
        }
        if let Some(row) = self.scores.iter().find(|row| row.len() != vocabulary) {
            return refused("logits", format!("{} scores for a vocabulary of {vocabulary}", row.len()));
        }
        if self.greedy.is_empty() {
            return refused("greedy", "has no tokens, so that there is nothing to agree with".to_owned());
        }
        if has_experts && self.experts.is_empty() {
            return refused("experts", "is missing, and the model has experts".to_owned());
        }
        if self.margins.len() != self.greedy.len() {
            return refused("margins", format!("{} for {} tokens", self.margins.len(), self.greedy.len()));
        }
        if let Some(id) = self.prompt.iter().chain(&self.greedy).find(|id| **id as usize >= vocabulary) {
            return refused("prompt or greedy", format!("{id} is not below {vocabulary}"));
        }
        Ok(())
    }
}

/// Numbers with their shape.
struct Table {
    values: Vec<f64>,
    shape: Vec<usize>,
}

impl Table {
    fn of_tensor(file: &SafeTensors<'_>, name: &str) -> Result<Self, String> {
        let tensor = file.tensor(name).map_err(|error| error.to_string())?;
        let data = tensor.data();
        let values = match tensor.dtype() {
            Dtype::F32 => words(data, |b| f64::from(f32::from_le_bytes(b))),
            Dtype::I32 => words(data, |b| f64::from(i32::from_le_bytes(b))),
            Dtype::I64 => words(data, |b| i64::from_le_bytes(b) as f64),
            other => return Err(format!("has type {other:?}; F32, I32 and I64 are read")),
        };
        Ok(Self { values, shape: tensor.shape().to_vec() })
    }

    /// Nested lists of equal lengths.
    fn of_json(value: Option<&Value>) -> Result<Self, String> {
        let mut level: Vec<&Value> = value.into_iter().collect();
        let mut shape = Vec::new();
        while let Some(first) = level.first().and_then(|first| first.as_array()) {
            let length = first.len();
            let inner: Option<Vec<&Value>> = level
                .iter()
                .map(|list| list.as_array().filter(|l| l.len() == length))
                .try_fold(Vec::new(), |mut all, list| {
                    all.extend(list?);
                    Some(all)
                });
            level = inner.ok_or("is not a table of lists of equal length")?;
            shape.push(length);
        }
        if shape.is_empty() {
            return Err("is missing or not a list".into());
        }
        let values: Option<Vec<f64>> = level.iter().map(|value| value.as_f64()).collect();
        Ok(Self { values: values.ok_or("holds something that is not a number")?, shape })
    }

    /// Runs of the last dimension.
    fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact(self.shape.last().copied().unwrap_or(1).max(1))
    }

    /// Parts of the first dimension.
    fn parts(&self) -> Vec<Self> {
        let Some((&count, shape)) = self.shape.split_first() else { return Vec::new() };
        let size = (self.values.len() / count.max(1)).max(1);
        let part = |values: &[f64]| Self { values: values.to_vec(), shape: shape.to_vec() };
        self.values.chunks_exact(size).map(part).collect()
    }
}

fn words<const N: usize>(data: &[u8], value: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    data.as_chunks::<N>().0.iter().map(|bytes| value(*bytes)).collect()
}
