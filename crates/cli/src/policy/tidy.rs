//! `causeway policy fmt`: policy files in their canonical form.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use ::policy::{RULES_BYTES_MAX, Rules};
use anyhow::{Context as _, Result, bail};
use serde_json::json;

use super::args::Fmt;
use super::read;
use crate::deploy::Deploy;

/// 1 where a file was to be checked and is not in its form.
pub(super) fn run(deploy: &Deploy, asked: &Fmt, out: &mut impl Write) -> Result<ExitCode> {
    let files = if asked.files.is_empty() { vec![deploy.policy()] } else { asked.files.clone() };
    let mut changed = Vec::new();
    for file in &files {
        let text = read::text(file)?;
        if text.len() > RULES_BYTES_MAX {
            bail!("{}: more than {RULES_BYTES_MAX} bytes are no policy", file.display());
        }
        let tidy = ::policy::format(&file.display().to_string(), &text)?;
        if tidy == text {
            continue;
        }
        unchanged(&text, &tidy).with_context(|| file.display().to_string())?;
        changed.push(file.display().to_string());
        if !asked.check {
            replace(file, &tidy)?;
        }
        if !asked.json {
            let done = if asked.check { "is not in its form" } else { "brought into its form" };
            writeln!(out, "{}: {done}", file.display())?;
        }
    }
    if asked.json {
        writeln!(out, "{}", json!({ "changed": changed, "written": !asked.check }))?;
    }
    Ok(ExitCode::from(u8::from(asked.check && !changed.is_empty())))
}

/// A file is not written where its policy would not stay the same.
fn unchanged(text: &str, tidy: &str) -> Result<()> {
    let Ok(was) = Rules::parse("", text) else { return Ok(()) };
    let is = Rules::parse("", tidy)?;
    match ::policy::diff(&was, &is).first() {
        Some(change) => bail!("its form cannot be changed without changing `{}`", change.what),
        None => Ok(()),
    }
}

/// Puts the new text in the file's place at once: whoever watches it never reads half of it.
pub(super) fn replace(file: &Path, text: &str) -> Result<()> {
    let context = || file.display().to_string();
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut new = tempfile::NamedTempFile::new_in(folder).with_context(context)?;
    new.write_all(text.as_bytes()).with_context(context)?;
    fs::set_permissions(new.path(), fs::metadata(file).with_context(context)?.permissions())
        .with_context(context)?;
    new.persist(file).with_context(context)?;
    Ok(())
}
