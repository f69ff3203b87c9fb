//! `causeway policy`: what a policy says, what it decides and what a change of it would do, without any service running.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;

use crate::deploy::Deploy;
use crate::quality;

pub mod args;
mod read;
mod findings;
mod check;
mod probes;
mod explain;
mod diff;
mod tidy;
mod seal;
mod draw;
mod log;
mod sample;
mod attack;
mod replay;
#[cfg(test)]
mod tests;

use args::Policy;

/// Runs one of its commands; 0: all is well, 1: something is not as it should be.
pub(crate) fn run(deploy: &Deploy, command: Policy, out: &mut impl Write) -> Result<ExitCode> {
    match command {
        Policy::Check(asked) => check::run(deploy, &asked, out),
        Policy::Test(asked) => probes::run(deploy, &asked, out),
        Policy::Explain(asked) => explain::run(deploy, &asked, out),
        Policy::Replay(asked) => replay::run(deploy, &asked, out),
        Policy::Diff(asked) => diff::run(&asked, out),
        Policy::Schema => {
            writeln!(out, "{}", serde_json::to_string_pretty(&::policy::json_schema())?)?;
            Ok(ExitCode::SUCCESS)
        }
        Policy::Fmt(asked) => tidy::run(deploy, &asked, out),
        Policy::Seal(asked) => seal::run(deploy, &asked, out),
        Policy::Sample(asked) => sample::run(deploy, &asked, out),
        Policy::Attack(asked) => attack::run(deploy, &asked, out),
        Policy::Calibrate(asked) => quality::calibrate(&asked, out),
        Policy::Evaluate(asked) => quality::evaluate(&asked, out),
    }
}
