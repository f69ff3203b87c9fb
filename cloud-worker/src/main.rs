//! The worker's process: arguments, configuration, run, drain.

use std::process::ExitCode;

use clap::Parser;
use cloud_worker::{Options, Worker};
use mesh::process::{Arguments, launch};

/// Serves one model: continuous batching behind `causeway.v1.Generation`.
#[derive(Debug, Parser)]
#[command(name = "causeway-worker", version, max_term_width = 110)]
struct Cli {
    #[command(flatten)]
    arguments: Arguments,
}

fn main() -> ExitCode {
    launch(&Cli::parse().arguments, async |options: Options, rim, shutdown| {
        Worker::bind(options, rim).await?.run(shutdown).await?;
        Ok(())
    })
}
