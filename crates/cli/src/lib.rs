//! The `causeway` command: the whole road on one machine, questions put to it, and what is measured of it.

pub mod args;
mod deploy;
mod road;
mod ask;
mod show;
mod tour;
mod prompt;
mod model;
mod signals;
mod quality;
pub mod policy;
pub mod bench;

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;

use crate::args::{Arguments, Command};
use crate::deploy::Deploy;

pub use ask::{Answer, Question, ask};
pub use deploy::Deploy as DeployFolder;
pub use road::Road;
pub use tour::{Expected, Stop, stops};

/// Runs one command to its end; 0 is success, 1 a result that is not what was hoped for, 2 a failure.
#[must_use]
pub fn main(arguments: Arguments) -> ExitCode {
    match run(arguments, &mut io::stdout()) {
        Ok(code) => code,
        // Whoever read the output has gone: the status that a shell shows for it, and no complaint.
        Err(error) if reader_is_gone(&error) => ExitCode::from(141),
        Err(error) => {
            let _ = writeln!(io::stderr(), "causeway: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: Arguments, out: &mut (impl Write + Send)) -> Result<ExitCode> {
    let deploy = Deploy::find(arguments.deploy)?;
    match arguments.command {
        Command::Policy(command) => policy::run(&deploy, command, out),
        Command::Up(up) => block_on(tour::up(&deploy, &up, out)),
        Command::Ask(asked) => block_on(prompt::ask_once(&deploy, asked, out)),
        Command::Bench(command) => bench::run(&command, out),
        Command::Model(args::Model::Eval(eval)) => block_on(model::eval(&deploy, &eval, out)),
        Command::Model(args::Model::Data(data)) => model::data(&data, out),
        Command::Model(args::Model::Outcomes(outcomes)) => block_on(model::outcomes(&deploy, &outcomes, out)),
        Command::Signals(args::Signals::Show { text, json }) => signals::show(&text, json, out),
        Command::Signals(args::Signals::Train { outcomes, out: file, json }) => {
            signals::train(&outcomes, &file, json, out)
        }
        Command::Signals(args::Signals::Eval { task, data, json }) => signals::eval(task, &data, json, out),
        Command::Signals(args::Signals::Fit { task, data, out: file, json }) => {
            signals::fit(task, &data, file.as_deref(), json, out)
        }
    }
}

fn reader_is_gone(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn block_on(work: impl Future<Output = Result<ExitCode>>) -> Result<ExitCode> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}
