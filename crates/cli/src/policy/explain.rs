//! `causeway policy explain`: one request decided, with what would have to change for another place to win.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use ::policy::{Decision, Dollars, Facts, Flip, Input, Kind, Priority, Privacy};
use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};
use signals::Models;

use super::args::Explain;
use super::read;
use crate::args::{PriorityArg, PrivacyArg};
use crate::deploy::Deploy;

/// 1 where no place remains.
pub(super) fn run(deploy: &Deploy, asked: &Explain, out: &mut impl Write) -> Result<ExitCode> {
    let (file, text) = match asked.asked.as_slice() {
        [file, text] => (Some(PathBuf::from(file)), text),
        [text] => (None, text),
        _ => anyhow::bail!("give a text to ask"),
    };
    let rules = read::sound_rules(&read::named(deploy, file.as_ref()))?;
    let candidates = read::candidates(asked.candidates.as_ref(), &rules)?;
    let facts = rules.offline(facts(asked, read::facts(text, &Models::shipped()))?);
    let decision = ::policy::decide(&rules, &facts, &candidates, asked.seed);
    if asked.json {
        writeln!(out, "{}", value(&decision))?;
    } else {
        print(out, &decision)?;
    }
    Ok(ExitCode::from(u8::from(decision.place.is_none())))
}

/// The facts of the text with those that were typed.
fn facts(asked: &Explain, of_text: Facts) -> Result<Facts> {
    let facts = Facts {
        tenant: asked.tenant.as_deref().unwrap_or_default().into(),
        device: asked.device.as_deref().unwrap_or_default().into(),
        region: asked.region.as_deref().unwrap_or_default().into(),
        residency: asked.residency.as_deref().map(Into::into),
        only_place: asked.only.as_deref().map(Into::into),
        privacy: match asked.privacy {
            PrivacyArg::Normal => Privacy::Normal,
            PrivacyArg::HomeOnly => Privacy::HomeOnly,
            PrivacyArg::LocalOnly => Privacy::LocalOnly,
        },
        priority: match asked.priority {
            PriorityArg::Interactive => Priority::Interactive,
            PriorityArg::Normal => Priority::Normal,
            PriorityArg::Background => Priority::Background,
        },
        deadline_seconds: asked.deadline_seconds,
        price_max_usd: asked.price_max_usd,
        output_tokens_max: asked.max_tokens,
        ..of_text
    };
    let mut all: Map<String, Value> = match serde_json::to_value(&facts)? {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    for typed in &asked.facts {
        let (name, value) =
            typed.split_once('=').with_context(|| format!("`{typed}` is no fact; write NAME=VALUE"))?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
        all.insert(name.to_owned(), value);
    }
    let facts: Facts = serde_json::from_value(all.into()).context("a --fact does not fit")?;
    let shares = [("battery", facts.battery), ("intent_probability", Some(facts.intent_probability))];
    for (name, share) in shares {
        if let Some(share) = share.filter(|share| !(0.0..=1.0).contains(share)) {
            anyhow::bail!("a --fact does not fit: `{name}` is {share}; give a number from 0 to 1");
        }
    }
    Ok(facts)
}

fn print(out: &mut impl Write, decision: &Decision) -> Result<()> {
    let facts = &decision.trail.facts;
    let or_none = |text: &str| if text.is_empty() { "none".to_owned() } else { text.to_owned() };
    let list = |names: &[::policy::Name]| {
        or_none(&names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
    };
    writeln!(out, "signals")?;
    writeln!(out, "  language           {}", or_none(&facts.language))?;
    writeln!(out, "  topic              {}", facts.topic.name())?;
    let known = if facts.in_scope { "" } else { ", none that is known" };
    let (intent, probability) = (or_none(&facts.intent), facts.intent_probability);
    writeln!(out, "  intent             {intent} ({probability:.3}{known})")?;
    writeln!(out, "  prompt tokens      {}", facts.prompt_tokens)?;
    let (p50, p90) = (facts.output_tokens_p50, facts.output_tokens_p90);
    writeln!(out, "  output tokens      {p50:.0} (p50), {p90:.0} (p90)")?;
    writeln!(
        out,
        "  requirement        {:?}, difficulty {:.3}",
        facts.requirement.as_slice(),
        facts.difficulty
    )?;
    writeln!(out, "  personal data      {}", list(&facts.personal_data))?;
    writeln!(out, "  private content    {}", list(&facts.private_content))?;
    writeln!(out, "  privacy, priority  {}, {}", facts.privacy.name(), facts.priority.name())?;
    writeln!(out, "\n{decision}")?;
    // A grammar costs nothing wherever it is not asked: that says nothing of this request.
    let removed = decision.dearer_for_it().into_iter();
    for removed in removed.filter(|removed| removed.candidate.kind != Kind::Command) {
        let (place, total) = (&removed.candidate.place, Dollars(removed.columns.total_usd));
        if let Some(reason) = &removed.removal {
            writeln!(out, "{place} would have cost less ({total}): {reason}")?;
        }
    }
    let flips = decision.flips();
    if let Some(second) = decision.trail.runner_up.as_ref().filter(|_| !flips.is_empty()) {
        writeln!(out, "\nfor {second} to win, one of these would do")?;
        for flip in &flips {
            writeln!(out, "  {}", described(flip))?;
        }
    }
    Ok(())
}

/// A flip for people.
fn described(flip: &Flip) -> String {
    let of = flip.place.as_ref().map(|place| format!(" of {place}")).unwrap_or_default();
    let direction = if flip.at < flip.is { "below" } else { "above" };
    let (is, at) = match flip.input {
        Input::PriceUsd | Input::SecondUsd | Input::WrongAnswerUsd => {
            (Dollars(flip.is).to_string(), Dollars(flip.at).to_string())
        }
        Input::ExpectedSeconds => (format!("{:.3} s", flip.is), format!("{:.3} s", flip.at)),
        Input::ProbabilityRight => (format!("{:.3}", flip.is), format!("{:.3}", flip.at)),
    };
    format!("{}{of} {direction} {at} (it is {is})", flip.input.name())
}

fn value(decision: &Decision) -> Value {
    let removals: Vec<Value> = decision
        .removals()
        .map(|(place, reason)| json!({ "place": place, "code": reason.code(), "text": reason.to_string() }))
        .collect();
    json!({
        "class": decision.class,
        "place": decision.place.as_ref().map(|place| &place.place),
        "tier": decision.place.as_ref().map(|place| &place.tier),
        "runner_up": decision.trail.runner_up,
        "margin_usd": decision.trail.margin_usd,
        "removals": removals,
        "flips": decision.flips(),
        "decision": decision,
    })
}
