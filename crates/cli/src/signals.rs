//! `causeway signals`: what the text says, how well, and learning it.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::{BufRead as _, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use ::signals::train;
use ::signals::{MODEL_COUNT, Models};
use anyhow::{Context as _, Result, bail};

use crate::args::{EvalTask, FitTask};
use crate::model::Outcome;

pub(crate) mod data;
mod measure;
mod eval;
mod fit;
#[cfg(test)]
mod tests;

/// Training draws its folds from this; the same outcomes give the same file.
const SEED: u64 = 1;

/// Readings that the time is the median of.
const READINGS: usize = 101;

/// `causeway signals show`
pub(crate) fn show(text: &str, json: bool, out: &mut impl Write) -> Result<ExitCode> {
    let models = Models::shipped();
    let mut value = serde_json::to_value(::signals::read(text, &models))?;
    value["version"] = models.version().into();
    value["versions"] = models.versions().as_slice().into();
    let parts: [(&str, &dyn Fn()); 5] = [
        ("language", &|| {
            black_box(models.language_of(black_box(text)));
        }),
        ("intent", &|| drop(black_box(models.intent_of(black_box(text))))),
        ("topic", &|| {
            black_box(models.topic_of(black_box(text)));
        }),
        ("content", &|| {
            black_box(models.content_of(black_box(text)));
        }),
        ("spans", &|| drop(black_box(models.spans_of(black_box(text))))),
    ];
    for (name, part) in parts {
        value["micros"][name] = micros(part).into();
    }
    value["micros_p50"] = micros(&|| drop(black_box(::signals::read(black_box(text), &models)))).into();
    if json {
        writeln!(out, "{value}")?;
    } else {
        let fields = value.as_object().into_iter().flatten();
        for (name, value) in fields {
            writeln!(out, "{name:<20} {value}")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The median of several readings.
fn micros(read: &dyn Fn()) -> f64 {
    let reading = || {
        let start = Instant::now();
        read();
        start.elapsed().as_secs_f64() * 1e6
    };
    measure::median((0..READINGS).map(|_| reading()).collect()).unwrap_or_default()
}

/// `causeway signals train`
pub(crate) fn train(outcomes: &Path, file: &Path, json: bool, out: &mut impl Write) -> Result<ExitCode> {
    let (hashes, outcomes) = read(outcomes)?;
    let trained = train::fit(&outcomes, SEED)?.taught_by(hashes.each_ref().map(String::as_str))?;
    fs::write(file, trained.model.to_bytes()).with_context(|| file.display().to_string())?;
    let report = serde_json::to_value(&trained.report)?;
    if json {
        writeln!(out, "{report}")?;
    } else {
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
        writeln!(out, "wrote {} ({})", file.display(), trained.model.version())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `causeway signals eval`
pub(crate) fn eval(task: EvalTask, files: &[PathBuf], json: bool, out: &mut impl Write) -> Result<ExitCode> {
    let rows = data::read_all(files)?;
    let rows: Vec<&data::Row> = rows.iter().collect();
    let models = Models::shipped();
    let measures = match task {
        EvalTask::Intent => eval::intent(&rows, &models)?,
        EvalTask::Pii => eval::pii(&rows, &models)?,
        EvalTask::Safety => eval::safety(&rows, &models)?,
        EvalTask::Language => eval::language(&rows, &models)?,
    };
    measures.print(json, out)?;
    Ok(ExitCode::SUCCESS)
}

/// `causeway signals fit`
pub(crate) fn fit(
    task: FitTask,
    folder: &Path,
    file: Option<&Path>,
    json: bool,
    out: &mut impl Write,
) -> Result<ExitCode> {
    let (bytes, measures) = fit::fit(task, folder, SEED)?;
    measures.print(json, out)?;
    if let Some(file) = file {
        fs::write(file, &bytes).with_context(|| file.display().to_string())?;
        if !json {
            writeln!(out, "wrote {} ({} bytes)", file.display(), bytes.len())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The outcomes of a file, and which weights they are of: the device's and the cloud's, one each.
fn read(path: &Path) -> Result<([String; MODEL_COUNT], Vec<train::Outcome>)> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let (mut hashes, mut outcomes) = ([const { String::new() }; MODEL_COUNT], Vec::new());
    for (at, line) in BufReader::new(file).lines().enumerate() {
        let place = || format!("{}:{}", path.display(), at + 1);
        let outcome: Outcome = serde_json::from_str(&line?).with_context(place)?;
        let model = match outcome.model.as_str() {
            "device" => 0,
            "cloud" => 1,
            other => bail!("{}: model is `{other}`; write device or cloud", place()),
        };
        let Outcome { text, right, output_tokens, model_hash, .. } = outcome;
        let known: &mut String = &mut hashes[model];
        if known.is_empty() {
            *known = model_hash;
        } else if *known != model_hash {
            bail!("{}: another model answered for `{}` before", place(), outcome.model);
        }
        outcomes.push(train::Outcome { text, model, right, output_tokens });
    }
    if let Some(silent) = hashes.iter().position(String::is_empty) {
        bail!("{}: nothing of the {} model", path.display(), ["device", "cloud"][silent]);
    }
    Ok((hashes, outcomes))
}
