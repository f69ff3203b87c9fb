//! `causeway policy diff`: what two policies say differently.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Value, json};

use super::args::Diff;
use super::read;

/// 1 where they differ.
pub(super) fn run(asked: &Diff, out: &mut impl Write) -> Result<ExitCode> {
    let (old, new) = (read::sound_rules(&asked.old)?, read::sound_rules(&asked.new)?);
    let changes = ::policy::diff(&old, &new);
    if asked.json {
        let report = json!({ "old_hash": old.hash(), "new_hash": new.hash(), "changes": changes });
        writeln!(out, "{report}")?;
    } else {
        for change in &changes {
            match (&change.old, &change.new) {
                (None, Some(_)) => writeln!(out, "+ {}", change.what)?,
                (Some(_), None) => writeln!(out, "- {}", change.what)?,
                (old, new) => writeln!(out, "~ {}: {} -> {}", change.what, shown(old), shown(new))?,
            }
        }
        if changes.is_empty() {
            writeln!(out, "both say the same")?;
        }
    }
    Ok(ExitCode::from(u8::from(!changes.is_empty())))
}

fn shown(value: &Option<Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "nothing".to_owned(),
    }
}
