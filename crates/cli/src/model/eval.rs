//! `causeway model eval`: the test set through the real road, as device alone, cloud alone and routed.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use inference::HubOptions;
use policy::{Dollars, Rules};
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
    /// What the policy lets go up at most, whatever would be best.
    escalation_caps: Vec<Cap>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quantisation_loss: Option<Losses>,
}

/// An escalation cap of the policy that was measured with.
#[derive(Debug, Serialize)]
struct Cap {
    name: String,
    /// As a fraction of the requests of a window.
    share_max: f64,
    window_seconds: f64,
}

/// Accuracy with BF16 weights less accuracy with 4-bit weights, as fractions.
#[derive(Debug, Serialize)]
struct Losses {
    /// Absent where the BF16 weights are not at hand: those of the device are written by training, not shipped, and
    /// those of a model in the demo's place are not known.
    device: Option<Difference>,
    cloud: Option<Difference>,
    /// Whether a model stood in the place of the demo's: the device's, the cloud's.
    #[serde(skip)]
    replaced: [bool; 2],
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
        let replaced = [options.parts.edge_model.is_some(), options.parts.cloud_model.is_some()];
        let [own_device, own_cloud] = replaced.map(|replaced| !replaced);
        Some(Losses {
            device: loss(own_device.then(|| deploy.device_model_bf16()), &items, &device).await?,
            cloud: loss(own_cloud.then(|| deploy.cloud_model_bf16()), &items, &cloud).await?,
            replaced,
        })
    };
    let [device, cloud, routed] = [device, cloud, routed].map(|results| Summary::of(&results));
    let routed_over_cloud = routed.exact_match / cloud.exact_match;
    let (items, seed) = (options.items, options.seed);
    let escalation_caps = caps(options.parts.policy.as_ref().unwrap_or(&deploy.policy()))?;
    let report =
        Report { items, seed, device, cloud, routed, routed_over_cloud, escalation_caps, quantisation_loss };
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

fn caps(policy: &Path) -> Result<Vec<Cap>> {
    let name = policy.display().to_string();
    let rules = Rules::parse(&name, &fs::read_to_string(policy).context(name.clone())?)?;
    let cap = |cap: &policy::Cap| Cap {
        name: cap.name.to_string(),
        share_max: cap.share_max,
        window_seconds: cap.window_seconds,
    };
    Ok(rules.caps().iter().map(cap).collect())
}

/// What 4 bits cost against the BF16 weights in this folder, where they are there.
async fn loss(
    bf16: Option<PathBuf>,
    items: &[Item],
    four_bit: &[measure::Result],
) -> Result<Option<Difference>> {
    let Some(bf16) = bf16.filter(|folder| folder.join("model.safetensors").is_file()) else {
        return Ok(None);
    };
    let (_, answers) = engine::answer_all(&bf16, HubOptions::default(), items).await?;
    let full: Vec<bool> = answers.iter().map(|marked| marked.right).collect();
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
    for cap in &report.escalation_caps {
        let (name, share, seconds) = (&cap.name, percent(cap.share_max), cap.window_seconds);
        writeln!(out, "escalation cap {name}: at most {share} of the requests of {seconds} s go up")?;
    }
    report.quantisation_loss.as_ref().map_or(Ok(()), |losses| print_losses(losses, out))
}

fn print_losses(losses: &Losses, out: &mut impl Write) -> Result<()> {
    let models = [("device", losses.device), ("cloud", losses.cloud)];
    for ((name, loss), replaced) in models.into_iter().zip(losses.replaced) {
        match loss {
            Some(loss) => {
                let points = |fraction: f64| format!("{:+.2}", fraction * 100.0);
                let (mean, low, high) = (points(loss.mean), points(loss.low), points(loss.high));
                writeln!(
                    out,
                    "{name}: 4-bit weights lose {mean} points against BF16 (95 % interval {low} to {high})"
                )?;
            }
            None if replaced => {
                writeln!(
                    out,
                    "{name}: not the demo's model, so that there is no BF16 of it to compare with"
                )?;
            }
            None => {
                let made_by = "deploy/models/train/full.sh writes them";
                writeln!(out, "{name}: no BF16 weights here to compare with; {made_by}")?;
            }
        }
    }
    Ok(())
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

#[cfg(test)]
mod tests;
