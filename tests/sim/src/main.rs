//! Agents, routers and workers in one thread under a virtual clock, and everything that can go wrong between them.
//!
//! `cargo test -p causeway-sim` runs a few seeds, `cargo test -p causeway-sim -- --seeds 1000` more of them, and
//! `cargo test -p causeway-sim -- --seed 17 --show` one, event by event.

#![expect(clippy::expect_used, reason = "a world that cannot be built has nothing better to do than to end")]

mod given;
mod trace;
mod wire;
mod network;
mod model;
mod worker;
mod hop;
mod client;
mod check;
mod chaos;
mod world;
mod rest;
mod run;
mod mutants;

use std::process::ExitCode;

use clap::Parser;

/// Runs worlds, each made of a number, and says what must not have happened in them.
#[derive(Debug, Parser)]
#[command(name = "sim", max_term_width = 110)]
pub(crate) struct Arguments {
    /// Worlds to run.
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    pub(crate) seeds: u64,
    /// The seed of the first.
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    pub(crate) first: u64,
    /// Worlds at a time.
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    pub(crate) jobs: usize,
    /// Every how manieth world is run twice, to see that nothing but its seed decides its course; 0: none.
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    pub(crate) twice_every: u64,
    /// Ends with the first world in which something was wrong.
    #[arg(long)]
    pub(crate) until_wrong: bool,
    /// Runs this one only, in this process.
    #[arg(long, value_name = "SEED")]
    pub(crate) seed: Option<u64>,
    /// Prints every event of it.
    #[arg(long, requires = "seed")]
    pub(crate) show: bool,
    /// Prints what arrives on every connection as well.
    #[arg(long, requires = "show")]
    pub(crate) bytes: bool,
    /// Prints what its processes log as well.
    #[arg(long, requires = "seed")]
    pub(crate) log: bool,
    /// Breaks copies of the shipped code instead, and says which of them were noticed.
    #[arg(long)]
    pub(crate) mutants: bool,
    /// This tree is one of them.
    #[arg(long, hide = true)]
    pub(crate) mutated: bool,
    /// What test runners hand to every binary; it means nothing here.
    #[arg(hide = true)]
    filters: Vec<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.mutants {
        return mutants::run();
    }
    match arguments.seed {
        Some(seed) => run::one(seed, &arguments),
        None => run::many(&arguments),
    }
}
