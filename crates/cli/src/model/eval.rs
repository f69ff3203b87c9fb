//! `causeway model eval`: the test set through the real road, as device alone, cloud alone and routed.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use inference::HubOptions;
use policy::Dollars;
use proto::v1::Action;
use serde::Serialize;
use skills::{Item, Skill, Split};

use super::bootstrap::{Difference, paired};
use super::engine::{self, OUTPUT_TOKENS_MAX};
use super::measure::{self, Summary};
use crate::args::Eval;
use crate::ask::{Question, ask};
use crate::deploy::Deploy;
use crate::road::Road;

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    items: usize,
    seed: u64,
    device: Summary,
    cloud: Summary,
    routed: Summary,
    /// Routed accuracy over the cloud's.
    routed_over_cloud: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    quantisation_loss: Option<Losses>,
}

/// Accuracy with BF16 weights less accuracy with 4-bit weights, as fractions.
#[derive(Debug, Serialize)]
struct Losses {
    /// Absent where the BF16 weights are not at hand: those of the device are written by training, not shipped.
    device: Option<Difference>,
    cloud: Option<Difference>,
}

/// Runs it and prints one table.
pub(crate) async fn eval(deploy: &Deploy, options: &Eval, out: &mut impl Write) -> Result<ExitCode> {
    let items: Vec<Item> = skills::items(Split::Test, options.seed).take(options.items).collect();
    // The grammar is left out of `device` and `cloud`, which are about the models. Each has a road of its own, so that
    // none finds what another has taught the hops, or has put into the windows of their caps and budgets.
    let mut columns = Vec::new();
    for only_place in ["device", "cloud-fast", ""] {
        let road = Road::start(deploy, &options.parts, None).await?;
        columns.push(put(&road, &items, only_place).await?);
        road.stop().await?;
    }
    let [device, cloud, routed] = columns.try_into().map_err(|_| anyhow!("three columns are measured"))?;
    let quantisation_loss = if options.no_quantization {
        None
    } else {
        Some(Losses {
            device: loss(&deploy.device_model_bf16(), &items, &device).await?,
            cloud: loss(&deploy.cloud_model_bf16(), &items, &cloud).await?,
        })
    };
    let [device, cloud, routed] = [device, cloud, routed].map(|results| Summary::of(&results));
    let routed_over_cloud = routed.exact_match / cloud.exact_match;
    let (items, seed) = (options.items, options.seed);
    let report = Report { items, seed, device, cloud, routed, routed_over_cloud, quantisation_loss };
    if options.json {
        serde_json::to_writer_pretty(&mut *out, &report)?;
        writeln!(out)?;
    } else {
        print(&report, out)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// One question after the other, so that times are those of a quiet house.
async fn put(road: &Road, items: &[Item], only_place: &str) -> Result<Vec<measure::Result>> {
    let mut results = Vec::with_capacity(items.len());
    for item in items {
        let question = Question {
            text: item.prompt.clone(),
            only_place: only_place.to_owned(),
            max_tokens: u32::try_from(OUTPUT_TOKENS_MAX).ok(),
            ..Question::default()
        };
        let answer = ask(&road.agent, &question, |_| {}).await;
        let answer = answer
            .map_err(|status| anyhow!("item {}: {:?}: {}", item.id, status.code(), status.message()))?;
        let right = match &answer.action {
            Some(action) => is_done(&item.answer, action),
            None => skills::is_right(item.skill, &item.answer, &answer.text),
        };
        results.push(measure::Result::new(item.skill, right, &answer));
    }
    Ok(results)
}

/// Whether the grammar's action does what a home exercise asks for. The devices of the exercises are not those of the demo
/// home, so that only what names no device can be right: a timer, in minutes there and in seconds here.
fn is_done(expected: &str, action: &Action) -> bool {
    let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap_or_default();
    let (expected, arguments) = (parse(expected), parse(&action.arguments_json));
    let seconds = expected["value"].as_u64().map(|minutes| minutes * 60);
    expected["do"] == "timer"
        && action.name == "set_timer"
        && seconds.is_some()
        && arguments["duration_seconds"].as_u64() == seconds
}

async fn loss(bf16: &Path, items: &[Item], four_bit: &[measure::Result]) -> Result<Option<Difference>> {
    if !bf16.join("model.safetensors").is_file() {
        return Ok(None);
    }
    let full: Vec<bool> = engine::answer_all(bf16, HubOptions::default(), items)
        .await?
        .iter()
        .map(|marked| marked.right)
        .collect();
    let quantised: Vec<bool> = four_bit.iter().map(|result| result.right).collect();
    Ok(Some(paired(&full, &quantised, 1)))
}

fn print(report: &Report, out: &mut impl Write) -> Result<()> {
    let columns = [&report.device, &report.cloud, &report.routed];
    writeln!(out, "{} questions of the test set (seed {}), through the road\n", report.items, report.seed)?;
    writeln!(out, "{:<24} {:>12} {:>12} {:>12}", "", "device", "cloud", "routed")?;
    let mut row = |name: &str, cell: &dyn Fn(&Summary) -> String| {
        let [device, cloud, routed] = columns.map(cell);
        writeln!(out, "{name:<24} {device:>12} {cloud:>12} {routed:>12}")
    };
    for skill in Skill::ALL {
        let share =
            |summary: &Summary| percent(summary.skills.get(skill.name()).copied().unwrap_or_default());
        row(skill.name(), &share)?;
    }
    row("exact match, all", &|summary| percent(summary.exact_match))?;
    row("sent to the cloud", &|summary| percent(summary.cloud_share))?;
    row("price", &|summary| Dollars(summary.usd).to_string())?;
    row("first token p50, ms", &|summary| format!("{:.1}", summary.ttft_ms.p50))?;
    row("first token p95, ms", &|summary| format!("{:.1}", summary.ttft_ms.p95))?;
    row("end p50, ms", &|summary| format!("{:.1}", summary.total_ms.p50))?;
    row("end p95, ms", &|summary| format!("{:.1}", summary.total_ms.p95))?;
    writeln!(out, "\nrouted accuracy is {} of the cloud's", percent(report.routed_over_cloud))?;
    if let Some(losses) = &report.quantisation_loss {
        for (name, loss) in [("device", losses.device), ("cloud", losses.cloud)] {
            let Some(loss) = loss else {
                writeln!(
                    out,
                    "{name}: no BF16 weights here to compare with; deploy/models/train writes them"
                )?;
                continue;
            };
            let points = |fraction: f64| format!("{:+.2}", fraction * 100.0);
            let (mean, low, high) = (points(loss.mean), points(loss.low), points(loss.high));
            writeln!(
                out,
                "{name}: 4-bit weights lose {mean} points against BF16 (95 % interval {low} to {high})"
            )?;
        }
    }
    Ok(())
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

#[cfg(test)]
mod tests;
