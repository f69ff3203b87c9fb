//! The demo models, measured: exercises written, asked, marked and summed up.

mod measure;
mod bootstrap;
mod engine;
mod eval;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use skills::{Item, Split};

use crate::args;
use crate::deploy::Deploy;

pub(crate) use eval::eval;

/// One model's answer to one question: what the difficulty estimate is fitted to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// `device` or `cloud`.
    pub(crate) model: String,
    /// BLAKE3 of its weights.
    pub(crate) model_hash: String,
    pub(crate) skill: String,
    pub(crate) text: String,
    pub(crate) right: bool,
    pub(crate) output_tokens: u32,
}

/// `causeway model data`
pub(crate) fn data(data: &args::Data, out: &mut impl Write) -> Result<ExitCode> {
    let mut out = BufWriter::new(out);
    for item in skills::items(data.split, data.seed).take(data.items) {
        serde_json::to_writer(&mut out, &item)?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// `causeway model outcomes`
pub(crate) async fn outcomes(
    deploy: &Deploy,
    options: &args::Outcomes,
    out: &mut impl Write,
) -> Result<ExitCode> {
    let items: Vec<Item> = skills::items(Split::Calibration, options.seed).take(options.items).collect();
    let file = File::create(&options.out).with_context(|| options.out.display().to_string())?;
    let mut file = BufWriter::new(file);
    let device = options.parts.edge_model.clone().unwrap_or_else(|| deploy.device_model());
    let cloud = options.parts.cloud_model.clone().unwrap_or_else(|| deploy.cloud_model());
    for (name, path) in [("device", device), ("cloud", cloud)] {
        let (hash, answers) = engine::answer_all(&path, options.parts.hub(), &items).await?;
        let right = answers.iter().filter(|answer| answer.right).count();
        writeln!(out, "{name}: {right} of {} right", items.len())?;
        for (item, answer) in items.iter().zip(answers) {
            let outcome = Outcome {
                model: name.to_owned(),
                model_hash: hash.clone(),
                skill: item.skill.to_string(),
                text: item.prompt.clone(),
                right: answer.right,
                output_tokens: answer.output_tokens,
            };
            serde_json::to_writer(&mut file, &outcome)?;
            file.write_all(b"\n")?;
        }
    }
    file.flush()?;
    Ok(ExitCode::SUCCESS)
}
