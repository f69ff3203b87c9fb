//! Here or upstream? The agent on the device: it knows a command when it hears one, answers what its own model can, and
//! carries the rest to the model that should.

pub mod config;
mod stack;
mod service;
pub mod commands;
mod facts;
mod places;
mod answer;
pub mod actuator;
mod local;
mod escalate;
mod error;

use std::convert::Infallible;
use std::fs::File;
use std::future::{Future, pending};
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use hop::{Desk, DeskOptions, Requests};
use mesh::presence::Presence;
use mesh::process::Rim;
use mesh::serve::Server;
use mesh::token::TokenLayer;
use mesh::transport::Address;

use self::actuator::{Actuator, Remembered};
use self::commands::{Grammar, Home};
pub use self::config::Options;
pub use self::error::{Error, Failure, Removed};
use self::escalate::Upstreams;
use self::local::Engine;
use self::places::{HOP, Places};
use self::service::Service;

/// Largest file of a home, bytes: more than the rooms and entities that a home may have.
const HOME_BYTES_MAX: u64 = 4 << 20;

/// An agent that listens and is ready to serve.
#[derive(Debug)]
pub struct Agent {
    options: Options,
    server: Server,
    address: Address,
    service: Service,
    upstream: Option<Upstreams>,
    engine: Option<Engine>,
    token: TokenLayer,
    desk: Desk,
}

// === impl Agent ===

impl Agent {
    /// Reads the policy and the home, loads the model and binds the listener. Commands change a home in memory.
    pub async fn bind(options: Options, rim: Rim) -> Result<Self, Error> {
        Self::bind_acting_on(options, rim, Arc::new(Remembered::default())).await
    }

    /// The same, with commands carried out by `actuator`.
    pub async fn bind_acting_on(
        options: Options,
        rim: Rim,
        actuator: Arc<dyn Actuator>,
    ) -> Result<Self, Error> {
        let token = TokenLayer::load(&options.token)?;
        let device_tier = options.model.path.as_ref().map(|_| options.model.tier.clone());
        let check = move |rules: &_| device_tier.as_deref().map_or(Ok(()), |tier| local::check(tier, rules));
        let policies = hop::load(&options.policy, check)?;
        let grammar = options.home.file.as_deref().map(grammar).transpose()?;
        let (device, engine) = local::load(&options.model, &options.limits).await?.unzip();
        let upstream = Upstreams::new(&options, &rim)?;
        let listener = rim.bind(&options.listen.address).await.map_err(Error::Bind)?;
        // Callers on the same machine are told apart by the rights of the socket's file, not by certificates.
        let identity = rim.identity.filter(|_| options.listen.address.host().is_some());
        let server = Server::new(options.serve.clone(), listener, identity);
        let address = server.local_address();
        // Last of what can fail, so that no writer is left behind.
        let desk = Desk::open(
            policies,
            DeskOptions {
                hop: HOP,
                decisions: &options.decisions,
                // A device has lines to keep and no use for tables.
                bind: None,
                budgets: &options.budgets,
                feedback: &options.feedback,
            },
        )?;
        let places = Places {
            grammar,
            actuator,
            device,
            device_tier: options.model.tier.as_str().into(),
            upstream: upstream.clone(),
            desk: desk.clone(),
            attempts_max: options.retry.attempts_max,
        };
        let requests = Requests::new(&options.limits, address.is_local(), rim.seed);
        let service = Service::new(service::Parts { limits: options.limits.clone(), places, requests });
        Ok(Self { server, address, service, upstream, engine, token, desk, options })
    }

    /// Where it listens, with the port that the system chose where 0 was asked for.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// What becomes of the policies while it runs: reloads, refusals, differences of the shadow, the canary's fate.
    pub fn policies(&self) -> impl Fn() -> mesh::rollout::Report + Send + Sync + use<> {
        let desk = self.desk.clone();
        move || desk.report()
    }

    /// What is spent or reserved of each budget by all who share it, US dollars.
    pub fn spent(&self) -> impl Fn() -> Vec<(policy::Name, f64)> + Send + Sync + use<> {
        let desk = self.desk.clone();
        move || desk.spent()
    }

    /// Serves until `shutdown` completes and what was begun by then is done, or the drain deadline passes.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), Error> {
        let Self { options, server, service, upstream, engine, token, desk, .. } = self;
        let (presence, routes) = Presence::announce(&stack::SERVICES, proto::DESCRIPTORS).await;
        let stack = stack::stack(&options, token, service, routes);
        let ending = async {
            shutdown.await;
            presence.leave().await;
        };
        tracing::info!(address = %server.local_address(), "listening");
        let serving = async {
            tokio::select! {
                served = server.serve(stack, ending) => served.map_err(Error::Serve),
                never = watch(upstream) => match never {},
                never = desk.watch() => match never {},
            }
        };
        let served = match engine {
            Some(engine) => engine.run_beside(serving).await.flatten(),
            None => serving.await,
        };
        desk.end().await;
        let served = served?;
        tracing::info!(?served, "the agent has ended");
        Ok(())
    }
}

/// Keeps the upstream's outlook, to the last: what drains may still have to go up.
async fn watch(upstream: Option<Upstreams>) -> Infallible {
    match upstream {
        Some(upstream) => upstream.watch().await,
        None => pending().await,
    }
}

fn grammar(file: &Path) -> Result<Grammar, Error> {
    let text = read(file, "home.file", HOME_BYTES_MAX + 1)?;
    let name = file.display().to_string();
    if text.len() as u64 > HOME_BYTES_MAX {
        return Err(Error::home(&name, "", None, format!("a home has at most {HOME_BYTES_MAX} bytes")));
    }
    Ok(Grammar::build(&Home::parse(&name, &text)?))
}

fn read(file: &Path, key: &'static str, bytes_max: u64) -> Result<String, Error> {
    let mut text = String::new();
    let read = File::open(file).and_then(|open| open.take(bytes_max).read_to_string(&mut text));
    match read {
        Ok(_) => Ok(text),
        Err(source) => Err(Error::Unreadable { file: file.to_owned(), key, source }),
    }
}

#[cfg(test)]
mod tests;
