//! `causeway policy check`: what is wrong with policies, with the probes tried.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use ::policy::{Code, Finding, Flaw, Rules, Severity};
use anyhow::Result;
use serde_json::json;
use signals::Models;

use super::args::Check;
use super::{findings, probes, read};
use crate::deploy::Deploy;

/// 1 where anything is an error.
pub(super) fn run(deploy: &Deploy, asked: &Check, out: &mut impl Write) -> Result<ExitCode> {
    let models = Models::shipped();
    let files = if asked.files.is_empty() { vec![deploy.policy()] } else { asked.files.clone() };
    let mut all: Vec<Finding> = Vec::new();
    for file in &files {
        let found = found(file, &models)?;
        if !asked.json {
            print(out, file, &found)?;
        }
        all.extend(found);
    }
    let errors = findings::count(&all, Severity::Error);
    if asked.json {
        let listed: Vec<_> =
            all.iter().map(|finding| findings::value(finding.severity, &finding.flaw)).collect();
        let report = json!({
            "files": files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>(),
            "errors": errors,
            "warnings": findings::count(&all, Severity::Warning),
            "notes": findings::count(&all, Severity::Note),
            "findings": listed,
        });
        writeln!(out, "{report}")?;
    }
    Ok(ExitCode::from(u8::from(errors > 0)))
}

fn print(out: &mut impl Write, file: &Path, found: &[Finding]) -> Result<()> {
    for finding in found {
        findings::line(out, finding.severity, &finding.flaw)?;
    }
    let count = |severity| findings::count(found, severity);
    writeln!(
        out,
        "{}: {} errors, {} warnings, {} notes",
        file.display(),
        count(Severity::Error),
        count(Severity::Warning),
        count(Severity::Note)
    )?;
    Ok(())
}

/// All that is found of one file.
pub(super) fn found(file: &Path, models: &Models) -> Result<Vec<Finding>> {
    let rules = match read::rules(file)? {
        Ok(rules) => rules,
        Err(error) => match error.flaw() {
            Some(flaw) => return Ok(vec![Finding { severity: Severity::Error, flaw: flaw.clone() }]),
            None => return Err(error.into()),
        },
    };
    let mut found = ::policy::check(&rules);
    found.extend(failing(&rules, models));
    found.sort_by_key(|finding| (finding.severity, finding.flaw.line));
    Ok(found)
}

fn failing(rules: &Rules, models: &Models) -> Vec<Finding> {
    let tried = probes::tried(rules, &rules.described_candidates(), models);
    let failed = tried.iter().filter(|(_, tried)| !tried.unmet.is_empty());
    failed
        .map(|(probe, tried)| {
            let unmet: Vec<String> = tried
                .unmet
                .iter()
                .map(|unmet| format!("expected {}, found {}", unmet.expected, unmet.found))
                .collect();
            Finding {
                severity: Severity::Error,
                flaw: Flaw {
                    file: rules.file().to_string(),
                    line: probe.at.line,
                    column: probe.at.column,
                    code: Code::ProbeFailed,
                    problem: format!("the probe `{}` fails: {}", probe.name, unmet.join("; ")),
                    mend: "see its decision with `causeway policy test`".to_owned(),
                },
            }
        })
        .collect()
}
