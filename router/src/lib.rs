//! Which worker? A router takes requests from agents, weighs every worker of every tier in one unit, and carries the
//! answer back.

pub mod config;
mod stack;
mod service;
mod checks;
mod facts;
mod fleet;
mod policies;
mod dispatch;
mod feedback;
mod outlook;
mod error;

use std::future::Future;
use std::sync::Arc;

use mesh::process::Rim;
use mesh::serve::Server;
use mesh::transport::Address;
use tokio::sync::watch;

pub use self::config::Options;
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
    ended: watch::Sender<bool>,
}

// === impl Router ===

impl Router {
    /// Reads the policy, prepares the fleet and binds the listener. Workers are called by [`Router::run`].
    pub async fn bind(options: Options, rim: Rim) -> Result<Self, Error> {
        let policies = Arc::new(Policies::load(&options.policy.file)?);
        let fleet = Arc::new(Fleet::new(&options, &policies.current(), &rim)?);
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
            answered,
            callers_local: config::is_local(&address),
            seed: rim.seed,
        };
        let outlooks = Outlooks::new(&options.outlook, fleet.clone(), policies, ending);
        Ok(Self { server, address, fleet, service: Service::new(parts), outlooks, ended, options })
    }

    /// Where it listens, with the port that the system chose where 0 was asked for.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Serves until `shutdown` completes and what was begun by then is done, or the drain deadline passes.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), Error> {
        let Self { options, server, fleet, service, outlooks, ended, .. } = self;
        let (health, health_service) = tonic_health::server::health_reporter();
        let stack = stack::stack(&options.limits, service, outlooks, health_service);
        stack::serving(&health).await;
        // Reports are watched to the last: what drains may still be sent to another worker.
        let watching = fleet.watch();
        let ending = async {
            shutdown.await;
            ended.send_replace(true);
            stack::ending(health.clone()).await;
        };
        tracing::info!(address = %server.local_address(), "listening");
        let served = server.serve(stack, ending).await.map_err(Error::Serve)?;
        drop(watching);
        tracing::info!(?served, "the router has ended");
        Ok(())
    }
}
