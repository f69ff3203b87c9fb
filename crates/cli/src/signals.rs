//! `causeway signals`: what the text says, and fitting what it says to outcomes.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use ::signals::Models;
use ::signals::train::{self, fit};
use anyhow::{Context as _, Result, bail};

use crate::model::Outcome;

/// Training draws its folds from this; the same outcomes give the same file.
const SEED: u64 = 1;

/// Readings that the time is the median of.
const READINGS: usize = 101;

/// `causeway signals show`
pub(crate) fn show(text: &str, json: bool, out: &mut impl Write) -> Result<ExitCode> {
    let models = Models::shipped();
    let signals = ::signals::read(text, &models);
    let mut micros: Vec<f64> = (0..READINGS)
        .map(|_| {
            let start = Instant::now();
            let _ = std::hint::black_box(::signals::read(std::hint::black_box(text), &models));
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    micros.sort_by(f64::total_cmp);
    let mut value = serde_json::to_value(signals)?;
    value["version"] = models.version().into();
    value["micros_p50"] = micros[READINGS / 2].into();
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

/// `causeway signals train`
pub(crate) fn train(outcomes: &Path, file: &Path, json: bool, out: &mut impl Write) -> Result<ExitCode> {
    let trained = fit(&read(outcomes)?, SEED)?;
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

fn read(path: &Path) -> Result<Vec<train::Outcome>> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let mut outcomes = Vec::new();
    for (at, line) in BufReader::new(file).lines().enumerate() {
        let place = || format!("{}:{}", path.display(), at + 1);
        let outcome: Outcome = serde_json::from_str(&line?).with_context(place)?;
        let model = match outcome.model.as_str() {
            "device" => 0,
            "cloud" => 1,
            other => bail!("{}: model is `{other}`; write device or cloud", place()),
        };
        let Outcome { text, right, output_tokens, .. } = outcome;
        outcomes.push(train::Outcome { text, model, right, output_tokens });
    }
    Ok(outcomes)
}
