//! Which worker? A router takes requests from agents, weighs every worker of every tier in one unit, and carries the
//! answer back.

pub mod config;
mod stack;
mod service;
mod flow;
mod fleet;
mod dispatch;
mod answer;
pub mod relay;
mod outlook;
mod error;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hop::{Desk, DeskOptions, Requests};
use mesh::presence::Presence;
use mesh::process::Rim;
use mesh::retry::Budget;
use mesh::serve::Server;
use mesh::token::TokenLayer;
use mesh::transport::Address;
use tokio::sync::watch;

pub use self::config::Options;
use self::dispatch::{Dispatch, HOP};
pub use self::error::{Error, Failure, Removed};
pub use self::fleet::{Ask, Discovered, Fleet, Lease, Offer, Wanted, doubts, predict, prefix};
pub use self::flow::{Refusal, Why};
use self::outlook::Outlooks;
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
    token: TokenLayer,
    desk: Desk,
    ended: watch::Sender<bool>,
}

// === impl Router ===

impl Router {
    /// Reads the policy, prepares the fleet and binds the listener. Workers are called by [`Router::run`].
    pub async fn bind(options: Options, rim: Rim) -> Result<Self, Error> {
        let workers = options.fleet.clone();
        let token = TokenLayer::load(&options.token)?;
        let policies = hop::load(&options.policy, move |rules| fleet::check(&workers, rules))?;
        let fleet = Arc::new(Fleet::new(&options, &rim));
        let listener = rim.bind(&options.listen.address).await.map_err(Error::Bind)?;
        let server = Server::new(options.serve.clone(), listener, rim.identity);
        let address = server.local_address();
        let (ended, ending) = watch::channel(false);
        // Last of what can fail, so that no writer is left behind.
        let desk = Desk::open(
            policies,
            DeskOptions {
                hop: HOP,
                decisions: &options.decisions,
                bind: Some(hop::bound::bind),
                budgets: &options.budgets,
                feedback: &options.feedback,
            },
        )?;
        let requests = Requests::new(&options.limits, address.is_local(), rim.seed);
        let attempts_max = options.retry.attempts_max;
        let dispatch = Dispatch {
            fleet: fleet.clone(),
            desk: desk.clone(),
            attempts_max,
            retries: Arc::new(options.retry.budget()),
            hedges: Arc::new(Budget::of_hedges(options.hedge.budget_percent)),
            hedge_delay_min: Duration::from_millis(options.hedge.delay_min_ms),
            resume: options.resume.clone(),
        };
        let outlooks = Outlooks::new(&options.outlook, fleet.clone(), desk.clone(), ending);
        let service = Service::new(options.limits.clone(), dispatch, requests);
        Ok(Self { server, address, fleet, service, outlooks, token, desk, ended, options })
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

    /// What becomes of the places where workers are looked for.
    pub fn discovered(&self) -> impl Fn() -> Vec<Discovered> + Send + Sync + use<> {
        let fleet = self.fleet.clone();
        move || fleet.discovered()
    }

    /// What is spent or reserved of each budget by all who share it, US dollars.
    pub fn spent(&self) -> impl Fn() -> Vec<(policy::Name, f64)> + Send + Sync + use<> {
        let desk = self.desk.clone();
        move || desk.spent()
    }

    /// Serves until `shutdown` completes and what was begun by then is done, or the drain deadline passes.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), Error> {
        let Self { options, server, fleet, service, outlooks, token, desk, ended, .. } = self;
        fleet.measure();
        // Reports are watched to the last: what drains may still be sent to another worker.
        let watching = fleet.watch();
        fleet.found().await;
        let (presence, routes) = Presence::announce(&stack::SERVICES, proto::DESCRIPTORS).await;
        let stack = stack::stack(&options, token, service, outlooks, routes);
        let ending = async {
            shutdown.await;
            ended.send_replace(true);
            presence.leave().await;
        };
        tracing::info!(address = %server.local_address(), "listening");
        let served = tokio::select! {
            served = server.serve(stack, ending) => served.map_err(Error::Serve),
            never = desk.watch() => match never {},
        };
        drop(watching);
        desk.end().await;
        let served = served?;
        tracing::info!(?served, "the router has ended");
        Ok(())
    }
}
