//! Settings with nothing left open: what a request says, else what the model's files say, else greedy.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;

use crate::{
    Error, Sampling,
    formats::{Description, Metadata, ModelFile},
};

/// How the tokens of one answer are chosen; the fields are those of [`Sampling`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    pub(crate) temperature: f32,
    pub(crate) top_p: f32,
    pub(crate) top_k: usize,
    pub(crate) min_p: f32,
    pub(crate) repetition_penalty: f32,
    pub(crate) presence_penalty: f32,
    pub(crate) frequency_penalty: f32,
    pub(crate) logit_bias: BTreeMap<u32, f32>,
    pub(crate) logprobs: Option<usize>,
}

impl Settings {
    /// What a request leaves open is as `otherwise` says.
    pub(crate) fn new(asked: Sampling, otherwise: &Sampling) -> Self {
        Self {
            temperature: asked.temperature.or(otherwise.temperature).unwrap_or(0.0),
            top_p: asked.top_p.or(otherwise.top_p).unwrap_or(1.0),
            top_k: asked.top_k.or(otherwise.top_k).unwrap_or(0),
            min_p: asked.min_p.or(otherwise.min_p).unwrap_or(0.0),
            repetition_penalty: asked.repetition_penalty.or(otherwise.repetition_penalty).unwrap_or(1.0),
            presence_penalty: asked.presence_penalty,
            frequency_penalty: asked.frequency_penalty,
            logit_bias: asked.logit_bias,
            logprobs: asked.logprobs,
        }
    }
}

/// What the model's files say: `generation_config.json` of a folder, `general.sampling.*` of a GGUF file.
pub(crate) fn defaults(file: &ModelFile) -> Result<Sampling, Error> {
    match &file.description {
        Description::Gguf(metadata) => of_gguf(&file.path, metadata),
        Description::HuggingFace { generation: Some(generation), .. } => {
            of_folder(&file.path.join("generation_config.json"), generation)
        }
        Description::HuggingFace { generation: None, .. } => Ok(Sampling::default()),
    }
}

/// As `transformers` reads it: without `do_sample` an answer is greedy, whatever temperature stands beside it. What is
/// not there is off; a temperature is 1 where an answer is drawn and none is given.
fn of_folder(path: &Path, generation: &Value) -> Result<Sampling, Error> {
    let number = |key: &str| match generation.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_f64() {
            Some(number) => Ok(Some(number as f32)),
            None => Err(Error::model(path, key, format!("is {value}, not a number"))),
        },
    };
    let drawn = generation.get("do_sample").and_then(Value::as_bool).unwrap_or(false);
    let sampling = Sampling {
        temperature: Some(if drawn { number("temperature")?.unwrap_or(1.0) } else { 0.0 }),
        top_p: number("top_p")?,
        top_k: number("top_k")?.map(|k| k.max(0.0) as usize),
        min_p: number("min_p")?,
        repetition_penalty: number("repetition_penalty")?,
        ..Sampling::default()
    };
    in_range(path, "", sampling)
}

/// The keys that llama.cpp's converter writes.
fn of_gguf(path: &Path, metadata: &Metadata) -> Result<Sampling, Error> {
    let number = |key: &str| {
        let key = format!("general.sampling.{key}");
        metadata.float(&key).or_else(|| metadata.unsigned(&key).map(|n| n as f64)).map(|n| n as f32)
    };
    let sampling = Sampling {
        temperature: number("temp"),
        top_p: number("top_p"),
        top_k: number("top_k").map(|k| k.max(0.0) as usize),
        min_p: number("min_p"),
        repetition_penalty: number("penalty_repeat"),
        ..Sampling::default()
    };
    in_range(path, "general.sampling: ", sampling)
}

fn in_range(path: &Path, prefix: &str, sampling: Sampling) -> Result<Sampling, Error> {
    match sampling.validate() {
        Ok(()) => Ok(sampling),
        Err(Error::BadRequest { field, problem }) => {
            Err(Error::model(path, format!("{prefix}{field}"), problem))
        }
        Err(error) => Err(error),
    }
}
