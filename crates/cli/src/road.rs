//! The whole road on this machine: an edge agent, a router and two workers, each a server of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use cloud_worker::Worker;
use edge_agent::Agent;
use mesh::connect::{Channel, ConnectOptions};
use mesh::process::{Listen, Rim};
use mesh::tls::Authority;
use mesh::transport::{Address, Os};
use proto::v1::DescribeRequest;
use proto::v1::generation_client::GenerationClient;
use router::Router;
use router::config::WorkerOptions;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::args::Parts;
use crate::deploy::Deploy;

/// The economy worker holds each step to at least this long: the power cap that makes it cheap, and slow.
const ECONOMY_STEP: Duration = Duration::from_millis(20);

/// Time for the router to hear of its workers and the agent of its router; they are all on this machine.
const READY_DEADLINE: Duration = Duration::from_secs(20);

/// A running road. Its parts talk over real sockets, with mTLS wherever it is not the agent's own Unix socket.
#[derive(Debug)]
pub struct Road {
    /// To the agent.
    pub agent: Channel,
    /// Where the agent listens.
    pub socket: PathBuf,
    router: Address,
    workers: Vec<(String, Address)>,
    ending: watch::Sender<bool>,
    parts: JoinSet<Result<()>>,
    _folder: TempDir,
}

/// What is started before the parts know of each other.
struct Start<'a> {
    deploy: &'a Deploy,
    parts: &'a Parts,
    authority: Authority,
}

// === impl Road ===

impl Road {
    /// Starts workers, router and agent, in this order, and waits until the agent has heard of every tier.
    ///
    /// # Errors
    ///
    /// A model, a policy or an address that cannot be used.
    pub async fn start(deploy: &Deploy, parts: &Parts, socket: Option<PathBuf>) -> Result<Self> {
        let start = Start { deploy, parts, authority: Authority::ephemeral()? };
        let folder = tempfile::tempdir()?;
        let socket = socket.unwrap_or_else(|| folder.path().join("agent.sock"));
        let (ending, _) = watch::channel(false);
        let mut tasks = JoinSet::new();

        let mut workers = Vec::new();
        for (name, tier, step) in
            [("fast", "cloud-fast", Duration::ZERO), ("economy", "cloud-economy", ECONOMY_STEP)]
        {
            let worker = start.worker(name, step).await?;
            workers.push((name, tier, worker.address().clone()));
            tasks.spawn(until(&ending, |told| async { Ok(worker.run(told).await?) }));
        }
        let router = start.router(&workers).await?;
        let router_address = router.address().clone();
        tasks.spawn(until(&ending, |told| async { Ok(router.run(told).await?) }));
        let agent = start.agent(&socket, router_address.clone()).await?;
        tasks.spawn(until(&ending, |told| async { Ok(agent.run(told).await?) }));

        let address = Address::Unix(socket.clone());
        let road = Self {
            agent: Channel::new(address, Arc::new(Os), None, ConnectOptions::default()),
            socket,
            router: router_address,
            workers: workers.into_iter().map(|(_, tier, address)| (tier.to_owned(), address)).collect(),
            ending,
            parts: tasks,
            _folder: folder,
        };
        tokio::time::timeout(READY_DEADLINE, road.ready())
            .await
            .context("the parts did not find each other")??;
        Ok(road)
    }

    /// Who listens where.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text =
            format!("edge agent  unix:{}\nrouter      {} (mTLS)", self.socket.display(), self.router);
        for (tier, address) in &self.workers {
            text.push_str(&format!("\nworker      {address} (mTLS, tier {tier})"));
        }
        text
    }

    /// Ends every part and waits for it.
    ///
    /// # Errors
    ///
    /// A part that ended with an error.
    pub async fn stop(mut self) -> Result<()> {
        self.ending.send_replace(true);
        while let Some(ended) = self.parts.join_next().await {
            ended??;
        }
        Ok(())
    }

    /// Waits until the agent's own description names every tier of the workers.
    async fn ready(&self) -> Result<()> {
        let mut client = GenerationClient::new(self.agent.clone());
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        loop {
            // Nothing tells a caller that the agent has heard of a tier, so it is asked.
            ticks.tick().await;
            let described = client.describe(DescribeRequest {}).await;
            let places = described.map_err(|status| anyhow!("the agent: {status}"))?.into_inner().places;
            if self.workers.iter().all(|(tier, _)| places.iter().any(|place| place.tier == *tier)) {
                return Ok(());
            }
        }
    }
}

/// Runs a part until the road ends.
fn until<F>(ending: &watch::Sender<bool>, part: impl FnOnce(Told) -> F) -> F {
    let mut ending = ending.subscribe();
    part(Box::pin(async move {
        // An error means that the road itself is gone.
        let _ = ending.wait_for(|ended| *ended).await;
    }))
}

type Told = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

// === impl Start ===

impl Start<'_> {
    fn rim(&self, name: &str) -> Result<Rim> {
        Ok(Rim::of_system(Some(self.authority.issue(name)?.identity()?)))
    }

    async fn worker(&self, name: &str, step_interval_min: Duration) -> Result<Worker> {
        let model = self.parts.cloud_model.clone().unwrap_or_else(|| self.deploy.cloud_model());
        let options = cloud_worker::Options {
            listen: loopback(),
            engine: inference::Options {
                model,
                hub: self.parts.hub(),
                step_interval_min,
                ..inference::Options::default()
            },
            ..cloud_worker::Options::default()
        };
        Worker::bind(options, self.rim(&format!("worker/{name}"))?)
            .await
            .with_context(|| format!("worker {name}"))
    }

    async fn router(&self, workers: &[(&str, &str, Address)]) -> Result<Router> {
        let mut options = router::Options { listen: loopback(), ..router::Options::default() };
        options.policy.file = self.policy();
        options.fleet.workers = workers
            .iter()
            .map(|(name, tier, address)| WorkerOptions {
                name: (*name).to_owned(),
                tier: (*tier).to_owned(),
                address: address.clone(),
                server_name: "worker.causeway".to_owned(),
                region: None,
                load: Default::default(),
            })
            .collect();
        Router::bind(options, self.rim("router")?).await.context("router")
    }

    async fn agent(&self, socket: &std::path::Path, router: Address) -> Result<Agent> {
        let mut options = edge_agent::Options {
            listen: Listen::at(Address::Unix(socket.to_owned())),
            ..edge_agent::Options::default()
        };
        options.home.file = Some(self.deploy.home());
        options.model.path =
            Some(self.parts.edge_model.clone().unwrap_or_else(|| self.deploy.device_model()));
        options.model.hub = self.parts.hub();
        options.upstream.address = Some(router);
        options.policy.file = self.policy();
        Agent::bind(options, self.rim("agent/demo")?).await.context("edge agent")
    }

    fn policy(&self) -> PathBuf {
        self.parts.policy.clone().unwrap_or_else(|| self.deploy.policy())
    }
}

fn loopback() -> Listen {
    Listen::at(Address::Tcp("127.0.0.1:0".to_owned()))
}
