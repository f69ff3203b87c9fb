//! `causeway policy calibrate` and `evaluate`: what models can do, from tables of outcomes, and what routing by it is worth.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use ::signals::train::irt::{self, Fitted, OutOfFold};
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

mod outcomes;
mod curve;
mod sureness;
mod pair;
mod fleet;
mod page;
#[cfg(test)]
mod tests;

use outcomes::Outcomes;

/// `causeway policy evaluate`
#[derive(Debug, clap::Args)]
pub struct Evaluate {
    /// Tables of outcomes, read as one: weak and strong, scores by model, or a model and whether it was right.
    #[arg(value_name = "OUTCOMES.jsonl", required = true)]
    pub files: Vec<PathBuf>,
    /// The cheap model of the pair; without it, the cheapest, or else the least often right.
    #[arg(long, value_name = "MODEL")]
    pub weak: Option<String>,
    /// The dear model of the pair; without it, the most often right.
    #[arg(long, value_name = "MODEL")]
    pub strong: Option<String>,
    /// Prices of the models, as JSON: {model: {input_price, output_price}} in US dollars per million tokens.
    #[arg(long, value_name = "FILE.json")]
    pub prices: Option<PathBuf>,
    /// Rows of this kind only, such as `suite=assist`.
    #[arg(long = "only", value_name = "FIELD=VALUE")]
    pub only: Vec<String>,
    /// Tables that are not learned from, on which the same estimates are tried too.
    #[arg(long, value_name = "OUTCOMES.jsonl")]
    pub transfer: Vec<PathBuf>,
    /// Where a report with the curves goes.
    #[arg(long, value_name = "FILE.html")]
    pub html: Option<PathBuf>,
    /// Samples that the intervals are drawn from.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    pub resamples: u32,
    /// What draws folds and samples.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `causeway policy calibrate`
#[derive(Debug, clap::Args)]
pub struct Calibrate {
    /// Tables of outcomes, read as one.
    #[arg(value_name = "OUTCOMES.jsonl", required = true)]
    pub files: Vec<PathBuf>,
    /// Where what was learned is written, or with --add read from.
    #[arg(long, value_name = "FILE.json")]
    pub out: PathBuf,
    /// Add this model to what is in the file, and change nothing else in it.
    #[arg(long, value_name = "MODEL")]
    pub add: Option<String>,
    /// Rows of this kind only, such as `suite=assist`.
    #[arg(long = "only", value_name = "FIELD=VALUE")]
    pub only: Vec<String>,
    /// What draws the folds.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// How the intervals are drawn.
#[derive(Clone, Copy, Debug)]
struct Chance {
    resamples: u32,
    seed: u64,
}

/// Prints what routing is worth on texts that were not learned from.
pub(crate) fn evaluate(asked: &Evaluate, out: &mut impl Write) -> Result<ExitCode> {
    let outcomes = Outcomes::read(&asked.files, &asked.only, asked.prices.as_deref())?;
    let chance = Chance { resamples: asked.resamples, seed: asked.seed };
    let (weak, strong) = outcomes.pair(asked.weak.as_deref(), asked.strong.as_deref())?;
    // Two models part along one line of their own, which is learned better from them alone.
    let two = outcomes.only(weak, strong);
    let of_two = irt::out_of_fold(&two.table, asked.seed)?;
    let pair = pair::Pair::of(&two, &of_two, 0, 1)?;
    let mut report = pair.report(chance);
    report["texts_all"] = outcomes.table.texts.len().into();
    report["models"] = outcomes.table.models.clone().into();
    report["calibration"] = sureness::by_model(&two, &of_two);
    if outcomes.table.models.len() > 2 {
        let predicted = irt::out_of_fold(&outcomes.table, asked.seed)?;
        report["calibration"] = sureness::by_model(&outcomes, &predicted);
        report["fleet"] = fleet::report(&outcomes, &predicted, chance);
    }
    if !asked.transfer.is_empty() {
        report["transfer"] = transfer(asked, &outcomes, (weak, strong))?;
    }
    if let Some(path) = &asked.html {
        let html = page::page(&report, &pair, &two, &of_two);
        fs::write(path, html).with_context(|| path.display().to_string())?;
    }
    if asked.json {
        writeln!(out, "{report}")?;
    } else {
        print(&report, out)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The pair's estimates, learned from all of the first tables, on tables that they have never seen.
fn transfer(asked: &Evaluate, from: &Outcomes, (weak, strong): (usize, usize)) -> Result<Value> {
    let fitted = irt::fit(&from.table, asked.seed)?;
    let mut all = Vec::new();
    for path in &asked.transfer {
        let to = Outcomes::read(std::slice::from_ref(path), &[], asked.prices.as_deref())?;
        let models = to.table.models.len();
        let mut right = vec![0.0; to.table.texts.len() * models];
        let (to_weak, to_strong) = to.pair(None, None)?;
        for (text, row) in to.table.texts.iter().zip(right.chunks_mut(models)) {
            let requires = fitted.requirement.of(text);
            row[to_weak] = fitted.abilities[weak].1.right(&requires);
            row[to_strong] = fitted.abilities[strong].1.right(&requires);
        }
        let predicted = OutOfFold { right, folds: vec![0; to.table.texts.len()] };
        let pair = pair::Pair::of(&to, &predicted, to_weak, to_strong)?;
        let mut report = pair.report(Chance { resamples: asked.resamples, seed: asked.seed });
        report["file"] = path.display().to_string().into();
        all.push(report);
    }
    Ok(all.into())
}

/// Fits abilities and writes them.
pub(crate) fn calibrate(asked: &Calibrate, out: &mut impl Write) -> Result<ExitCode> {
    let outcomes = Outcomes::read(&asked.files, &asked.only, None)?;
    let fitted = match &asked.add {
        None => irt::fit(&outcomes.table, asked.seed)?,
        Some(model) => added(asked, &outcomes, model)?,
    };
    fs::write(&asked.out, serde_json::to_vec(&fitted)?).with_context(|| asked.out.display().to_string())?;
    if asked.json {
        writeln!(out, "{}", json!({ "abilities": &fitted.abilities }))?;
        return Ok(ExitCode::SUCCESS);
    }
    for (name, ability) in &fitted.abilities {
        let shown: Vec<String> = ability.ability.iter().map(|one| format!("{one:.3}")).collect();
        writeln!(out, "{name:<40} abilities = [{}], ease {:.3}", shown.join(", "), ability.ease)?;
    }
    writeln!(out, "wrote {}", asked.out.display())?;
    Ok(ExitCode::SUCCESS)
}

fn added(asked: &Calibrate, outcomes: &Outcomes, model: &str) -> Result<Fitted> {
    let path = asked.out.display();
    let bytes = fs::read(&asked.out).with_context(|| path.to_string())?;
    let mut fitted: Fitted = serde_json::from_slice(&bytes)
        .with_context(|| format!("{path}: this is not what `policy calibrate --out` wrote"))?;
    let table = &outcomes.table;
    let Some(index) = table.models.iter().position(|name| name == model) else {
        bail!("no outcome is of `{model}`: there are {}", table.models.join(", "));
    };
    let own: Vec<(&str, f64)> = (0..table.texts.len())
        .filter_map(|text| Some((table.texts[text].as_str(), table.score(text, index)?)))
        .collect();
    let ability = fitted.ability(&own);
    fitted.abilities.retain(|(name, _)| name != model);
    fitted.abilities.push((model.to_owned(), ability));
    Ok(fitted)
}

/// The report for people: every number by its path.
fn print(report: &Value, out: &mut impl Write) -> Result<()> {
    let mut lines = Vec::new();
    flatten("", report, &mut lines);
    for (path, value) in lines {
        writeln!(out, "{path:<44} {value}")?;
    }
    Ok(())
}

fn flatten(path: &str, value: &Value, lines: &mut Vec<(String, String)>) {
    let under = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| flatten(&under(key), value, lines)),
        Value::Array(list) if list.iter().any(Value::is_object) => {
            list.iter().enumerate().for_each(|(at, value)| flatten(&under(&at.to_string()), value, lines));
        }
        Value::Array(list) => {
            let shown: Vec<String> = list.iter().map(number).collect();
            lines.push((path.to_owned(), shown.join("  ")));
        }
        _ => lines.push((path.to_owned(), number(value))),
    }
}

fn number(value: &Value) -> String {
    match (value.as_u64(), value.as_f64()) {
        (None, Some(number)) => format!("{number:.4}"),
        _ => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
    }
}
