//! Reads what the commands need: policies, candidates, and the facts of a text.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use ::policy::{Candidate, Error, Facts, Name, RULES_BYTES_MAX, Rules, Topic, Vector, Version};
use anyhow::{Context as _, Result, bail};
use signals::Models;

use crate::deploy::Deploy;

/// Most bytes of a file of candidates.
const CANDIDATES_BYTES_MAX: u64 = 16 << 20;

/// The file named, or the demo's policy.
pub(super) fn named(deploy: &Deploy, file: Option<&PathBuf>) -> PathBuf {
    file.cloned().unwrap_or_else(|| deploy.policy())
}

/// The text of a policy. One byte more than it may have is read, so that the parser says that it is too large.
pub(super) fn text(file: &Path) -> Result<String> {
    let mut text = String::new();
    File::open(file)
        .and_then(|opened| opened.take(RULES_BYTES_MAX as u64 + 1).read_to_string(&mut text))
        .with_context(|| file.display().to_string())?;
    Ok(text)
}

/// A policy, or the flaw that keeps it from being one.
pub(super) fn rules(file: &Path) -> Result<std::result::Result<Rules, Error>> {
    Ok(Rules::parse(&file.display().to_string(), &text(file)?))
}

/// A policy that must be one.
pub(super) fn sound_rules(file: &Path) -> Result<Rules> {
    Ok(rules(file)??)
}

/// The places in a file, or those that the tiers describe.
pub(super) fn candidates(file: Option<&PathBuf>, rules: &Rules) -> Result<Vec<Candidate>> {
    let Some(file) = file else { return Ok(rules.described_candidates()) };
    let place = || file.display().to_string();
    let mut text = String::new();
    File::open(file)
        .and_then(|opened| opened.take(CANDIDATES_BYTES_MAX).read_to_string(&mut text))
        .with_context(place)?;
    let candidates: Vec<Candidate> = serde_json::from_str(&text).with_context(place)?;
    if candidates.len() > ::policy::LIST_LEN_MAX {
        bail!("{}: {} candidates; give at most {}", place(), candidates.len(), ::policy::LIST_LEN_MAX);
    }
    Ok(candidates)
}

/// What can be known of a text. Personal data is what tells who somebody is or how to reach them: a town alone does not.
pub(super) fn facts(text: &str, models: &Models) -> Facts {
    let signals = signals::read(text, models);
    let shape = &signals.shape;
    let identifying = signals.spans.iter().filter(|span| span.kind.identifies());
    let mut personal_data: Vec<Name> =
        identifying.map(|span| span.kind.name().to_lowercase().into()).collect();
    personal_data.sort();
    personal_data.dedup();
    let content = signals.content.name();
    Facts {
        prompt_tokens: signals.prompt_tokens,
        output_tokens_p50: signals.output_tokens_p50,
        output_tokens_p90: signals.output_tokens_p90,
        requirement: Vector::new(&signals.requirement),
        difficulty: signals.difficulty,
        topic: named_topic(signals.topic.name()),
        language: signals.language.code().into(),
        script: script(&signals),
        intent: (*signals.intent.name).into(),
        intent_probability: signals.intent.probability,
        in_scope: signals.intent.in_scope,
        private_content: if content.is_empty() { Vec::new() } else { vec![content.into()] },
        personal_data,
        has_code: shape.code,
        has_numbers: shape.numbers > 0,
        has_lists: shape.list_items > 0,
        turns: 1,
        versions: models.versions().map(version).to_vec(),
        ..Facts::default()
    }
}

/// The edition of a model, whose name is what stands before its hash.
fn version(version: &str) -> Version {
    Version::new(version.rsplit_once('-').map_or(version, |(name, _)| name), version)
}

fn named_topic(name: &str) -> Topic {
    Topic::ALL.iter().find(|(known, _)| *known == name).map_or(Topic::None, |(_, topic)| *topic)
}

fn script(signals: &signals::Signals) -> Name {
    match serde_json::to_value(signals.script) {
        Ok(serde_json::Value::String(name)) => name.into(),
        _ => Name::default(),
    }
}
