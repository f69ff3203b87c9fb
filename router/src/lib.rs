//! Which worker? A router takes requests from agents, weighs every worker of every tier in one unit, and carries the
//! answer back.

pub mod config;
mod stack;
mod service;
mod fleet;
mod policies;
mod budgets;
mod decisions;
mod dispatch;
mod feedback;
mod outlook;
mod error;

use std::future::Future;
use std::sync::Arc;

use mesh::journal::Journal;
use mesh::presence::Presence;
use mesh::process::Rim;
use mesh::serve::Server;
use mesh::transport::Address;
use tokio::sync::watch;

use self::budgets::Budgets;
pub use self::config::Options;
use self::decisions::Log;
pub use self::error::{Error, Failure, Removed};
use self::feedback::Answered;
use self::fleet::Fleet;
use self::outlook::Outlooks;
use self::policies::Policies;
use self::service::Service;

/// A router that listens and is ready to serve.
#[derive(Debug)]
pub struct Router {
    options: Options,
    server: Server,
    address: Address,
    fleet: Arc<Fleet>,
    service: Service,
    outlooks: Outlooks,
    policies: Arc<Policies>,
    log: Log,
    ended: watch::Sender<bool>,
}

// === impl Router ===

impl Router {
    /// Reads the policy, prepares the fleet and binds the listener. Workers are called by [`Router::run`].
    pub async fn bind(options: Options, rim: Rim) -> Result<Self, Error> {
        let policies = Arc::new(policies::load(&options.policy, &options.fleet.workers)?);
        let fleet = Arc::new(Fleet::new(&options, &rim));
        let log: Log = Journal::open(&options.decisions)?;
        let listener = rim.bind(&options.listen.address).await.map_err(Error::Bind)?;
        let server = Server::new(options.serve.clone(), listener, rim.identity);
        let address = server.local_address();
        let (ended, ending) = watch::channel(false);
        let answered = Arc::new(Answered::new(options.feedback.ids_max));
        let parts = service::Parts {
            limits: options.limits.clone(),
            attempts_max: options.retry.attempts_max,
            fleet: fleet.clone(),
            policies: policies.clone(),
            budgets: Arc::new(Budgets::new(options.budgets.accounts_max)),
            log: log.clone(),
            answered,
            callers_local: address.is_local(),
            seed: rim.seed,
        };
        let outlooks = Outlooks::new(&options.outlook, fleet.clone(), policies.clone(), ending);
        let service = Service::new(parts);
        Ok(Self { server, address, fleet, service, outlooks, policies, log, ended, options })
    }

    /// Where it listens, with the port that the system chose where 0 was asked for.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// What becomes of the policies while it runs: reloads, refusals, differences of the shadow, the canary's fate.
    pub fn policies(&self) -> impl Fn() -> mesh::rollout::Report + Send + Sync + use<> {
        let policies = self.policies.clone();
        move || policies.report()
    }

    /// Serves until `shutdown` completes and what was begun by then is done, or the drain deadline passes.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), Error> {
        let Self { options, server, fleet, service, outlooks, policies, log, ended, .. } = self;
        let (presence, routes) = Presence::announce(&stack::SERVICES, proto::DESCRIPTORS).await;
        let stack = stack::stack(&options.limits, service, outlooks, routes);
        // Reports are watched to the last: what drains may still be sent to another worker.
        let watching = fleet.watch();
        let ending = async {
            shutdown.await;
            ended.send_replace(true);
            presence.leave().await;
        };
        tracing::info!(address = %server.local_address(), "listening");
        let served = tokio::select! {
            served = server.serve(stack, ending) => served.map_err(Error::Serve),
            never = policies.watch() => match never {},
        };
        drop(watching);
        if let Some(log) = log {
            log.end().await;
        }
        let served = served?;
        tracing::info!(?served, "the router has ended");
        Ok(())
    }
}
