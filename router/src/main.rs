//! The router's process: arguments, configuration, run, drain.

use std::process::ExitCode;

use clap::Parser;
use mesh::process::{Arguments, launch};
use mimalloc::MiMalloc;
use router::{Options, Router};

/// Chooses a worker for each request by its expected cost, and carries the answer back.
#[derive(Debug, Parser)]
#[command(name = "causeway-router", version, max_term_width = 110)]
struct Cli {
    #[command(flatten)]
    arguments: Arguments,
}

/// A request makes some two hundred small pieces and keeps few of them.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    launch(&Cli::parse().arguments, async |options: Options, rim, shutdown| {
        Router::bind(options, rim).await?.run(shutdown).await?;
        Ok(())
    })
}
