//! The agent's process: arguments, configuration, run, drain.

use std::process::ExitCode;

use clap::Parser;
use edge_agent::{Agent, Options};
use mesh::process::{Arguments, launch};

/// Answers on the device what the device can answer, and carries the rest upstream.
#[derive(Debug, Parser)]
#[command(name = "causeway-edge-agent", version, max_term_width = 110)]
struct Cli {
    #[command(flatten)]
    arguments: Arguments,
}

fn main() -> ExitCode {
    launch(&Cli::parse().arguments, async |options: Options, rim, shutdown| {
        Agent::bind(options, rim).await?.run(shutdown).await?;
        Ok(())
    })
}
