//! The `causeway` command.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    cli::main(cli::args::Arguments::parse())
}
