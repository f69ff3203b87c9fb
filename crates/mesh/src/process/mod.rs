//! A whole process: its arguments, its configuration, the rim that it is given, and its end.

mod options;
#[cfg(test)]
mod tests;

use std::error::Error as StdError;
use std::future::Future;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use futures_util::future::BoxFuture;
use rand::RngExt as _;

pub use self::options::{Limits, Listen};
use crate::config::{self, Configure, Sources};
use crate::status;
use crate::telemetry::{Telemetry, TelemetryOptions};
use crate::tls::{Identity, IdentityFiles, Renewals};
use crate::transport::{Address, Listener, Os, Transport};

/// What a service is given by the machine, or by a simulation of one.
#[derive(Debug, Clone)]
pub struct Rim {
    /// Connects and listens.
    pub transport: Arc<dyn Transport>,
    /// What it shows to its peers and checks them against; without it, plaintext.
    pub identity: Option<Identity>,
    /// Start of every random number that the service draws.
    pub seed: u64,
}

/// A configuration that can be launched.
pub trait Process: Configure + Send + 'static {
    /// The name under which it appears in traces.
    const NAME: &'static str;
    /// Traces and logs.
    fn telemetry(&self) -> &TelemetryOptions;
    /// Its certificates.
    fn tls(&self) -> &IdentityFiles;
}

/// What every binary takes on its command line.
#[derive(Debug, Clone, Default, Args)]
pub struct Arguments {
    /// The TOML file with the configuration.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Sets one key, such as `--set listen.address=127.0.0.1:50051`; wins over the file and the environment.
    #[arg(long, value_name = "KEY=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
    /// Prints the configuration that results, with the source of each value, then what is wrong with it, and ends.
    #[arg(long)]
    pub print_config: bool,
}

/// Completes when the process is told to end.
pub type Shutdown = BoxFuture<'static, ()>;

/// What a service's `main` ends with when it fails.
pub type Failure = Box<dyn StdError + Send + Sync>;

// === impl Rim ===

impl Rim {
    /// The operating system, with a seed drawn from it.
    #[must_use]
    pub fn of_system(identity: Option<Identity>) -> Self {
        Self { transport: Arc::new(Os), identity, seed: rand::rng().random() }
    }

    /// Takes an address for the service.
    ///
    /// # Errors
    /// The address cannot be taken; the message names it.
    pub async fn bind(&self, address: &Address) -> std::io::Result<Box<dyn Listener>> {
        let named = |error: std::io::Error| std::io::Error::new(error.kind(), format!("{address}: {error}"));
        self.transport.bind(address).await.map_err(named)
    }
}

/// Loads the configuration, starts telemetry, runs the service until SIGINT or SIGTERM, and drains it.
///
/// What keeps it from starting is printed on the standard error, one line a problem.
pub fn launch<T, F>(arguments: &Arguments, service: impl FnOnce(T, Rim, Shutdown) -> F) -> ExitCode
where
    T: Process,
    F: Future<Output = Result<(), Failure>>,
{
    match start(arguments, service) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "{}", status::chain(failure.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn start<T, F>(arguments: &Arguments, service: impl FnOnce(T, Rim, Shutdown) -> F) -> Result<(), Failure>
where
    T: Process,
    F: Future<Output = Result<(), Failure>>,
{
    let sources = Sources {
        file: arguments.config.as_deref(),
        env: config::environment(),
        flags: arguments.set.clone(),
    };
    let draft = config::draft::<T>(sources)?;
    if arguments.print_config {
        // Also when something is missing: that is when people ask.
        std::io::stdout().write_all(draft.render().as_bytes())?;
        return Ok(draft.finish().map(drop)?);
    }
    let options = draft.finish()?.value;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let telemetry = Telemetry::start(options.telemetry(), T::NAME)?;
        let rim = Rim::of_system(options.tls().load()?);
        let renewing = rim
            .identity
            .clone()
            .map(|identity| tokio::spawn(options.tls().clone().watch(identity, Renewals::default())));
        let ended = service(options, rim, Box::pin(told_to_end()?)).await;
        if let Some(renewing) = renewing {
            renewing.abort();
        }
        telemetry.shutdown().await;
        ended
    })
}

/// The first SIGINT or SIGTERM from now on, which then no longer end the process by themselves.
///
/// # Errors
/// The system takes no handler, or there is no runtime here.
pub fn told_to_end() -> Result<impl Future<Output = ()> + Send + 'static, std::io::Error> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (key, value) =
        text.split_once('=').ok_or("must read KEY=VALUE, such as listen.address=127.0.0.1:50051")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}
