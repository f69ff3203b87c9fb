//! `causeway policy seal`: the checksum of what a policy says, written into its file.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use super::args::Seal;
use super::{read, tidy};
use crate::deploy::Deploy;

/// 1 where a file was to be checked and its seal is not right.
pub(super) fn run(deploy: &Deploy, asked: &Seal, out: &mut impl Write) -> Result<ExitCode> {
    let files = if asked.files.is_empty() { vec![deploy.policy()] } else { asked.files.clone() };
    let mut changed = Vec::new();
    for file in &files {
        let text = read::text(file)?;
        let name = file.display().to_string();
        let sealed = ::policy::seal(&name, &text)?;
        if sealed == text {
            continue;
        }
        if !asked.check {
            tidy::replace(file, &sealed)?;
        }
        if !asked.json {
            let done = if asked.check { "is not sealed as it is" } else { "sealed" };
            writeln!(out, "{name}: {done}")?;
        }
        changed.push(name);
    }
    if asked.json {
        writeln!(out, "{}", json!({ "changed": changed, "written": !asked.check }))?;
    }
    Ok(ExitCode::from(u8::from(asked.check && !changed.is_empty())))
}
