//! What is found of a policy, as it is printed: one line each with its place and code, and how to mend it.

use std::io::{self, Write};

use ::policy::{Finding, Flaw, Severity};
use serde_json::{Value, json};

/// One finding for people.
pub(super) fn line(out: &mut impl Write, severity: Severity, flaw: &Flaw) -> io::Result<()> {
    let Flaw { file, line, column, code, problem, mend } = flaw;
    writeln!(
        out,
        "{file}:{line}:{column}: {}[{} {}]: {problem}\n    mend: {mend}\n    read: {}",
        severity.name(),
        code.id(),
        code.name(),
        code.page()
    )
}

/// One finding for programs.
pub(super) fn value(severity: Severity, flaw: &Flaw) -> Value {
    json!({
        "severity": severity.name(),
        "code": flaw.code.id(),
        "name": flaw.code.name(),
        "file": flaw.file,
        "line": flaw.line,
        "column": flaw.column,
        "problem": flaw.problem,
        "mend": flaw.mend,
        "read": flaw.code.page(),
    })
}

/// How many there are of a severity.
pub(super) fn count(findings: &[Finding], severity: Severity) -> usize {
    findings.iter().filter(|finding| finding.severity == severity).count()
}
