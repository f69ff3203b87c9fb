//! Routers as processes of their own above workers that count, and agents within this process below them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use edge_agent::Agent;
use mesh::connect::{Channel, ConnectOptions};
use mesh::process::Rim;
use mesh::transport::{Address, Os};
use proto::v1::DescribeRequest;
use proto::v1::generation_client::GenerationClient;
use tempfile::TempDir;

use super::{Counting, Process, root};

/// The device answers what no upstream can; otherwise the cloud is right where the device is not.
const POLICY: &str = r#"
schema = "causeway.policy/v1"
[[tier]]
name = "device"
kind = "device"
input_usd_per_million_tokens = 0.001
output_usd_per_million_tokens = 0.001
abilities = [-2.0, -2.0]
[[tier]]
name = "cloud"
kind = "cloud"
input_usd_per_million_tokens = 0.03
output_usd_per_million_tokens = 0.03
abilities = [3.0, 3.0]
[[class]]
name = "default"
second_usd = 0.0000001
wrong_answer_usd = 0.1
"#;

/// The routers.
#[derive(Debug)]
pub struct Routers {
    /// The processes, of which some may be ended.
    pub processes: Vec<Process>,
    addresses: Vec<Address>,
    folder: TempDir,
}

// === impl Routers ===

impl Routers {
    /// Starts so many, with these settings, over two workers of this pace.
    pub async fn start(count: usize, gap: Duration, settings: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let policy = policy(folder.path());
        fs::write(&policy, POLICY).expect("written");
        let mut fleet = String::new();
        for name in ["a", "b"] {
            let address = Counting { gap }.serve().await;
            fleet.push_str(&format!(
                "[[fleet.workers]]\nname = \"{name}\"\ntier = \"cloud\"\naddress = \"{address}\"\n"
            ));
        }
        let mut routers = Self { processes: Vec::new(), addresses: Vec::new(), folder };
        for index in 0..count {
            let config = routers.config(index);
            let write = |listen: &str| {
                let policy = policy.display();
                let text = format!(
                    "[listen]\naddress = \"{listen}\"\n[policy]\nfile = \"{policy}\"\n{settings}\n{fleet}"
                );
                fs::write(&config, text).expect("written");
            };
            write("127.0.0.1:0");
            let (process, address) = started(&config);
            // Started again it listens where it did.
            write(&address.to_string());
            routers.processes.push(process);
            routers.addresses.push(address);
            let heard = routers.heard(index);
            tokio::time::timeout(Duration::from_secs(30), heard).await.expect("it hears of the workers");
        }
        routers
    }

    /// Waits until a router has heard of both workers.
    async fn heard(&self, index: usize) {
        let mut client = GenerationClient::new(self.caller(index));
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        loop {
            ticks.tick().await;
            let described = client.describe(DescribeRequest {}).await.expect("it answers").into_inner();
            if described.places.iter().filter(|place| place.model.is_some()).count() == 2 {
                return;
            }
        }
    }

    /// Starts one again that has ended.
    pub fn revive(&mut self, index: usize) {
        self.processes[index] = started(&self.config(index)).0;
    }

    /// An agent that asks the routers in their order, from this one on; with the device's model, or without any.
    pub async fn agent(&self, first: usize, model: bool) -> Channel {
        let rim = Rim { transport: Arc::new(Os), identity: None, seed: first as u64 };
        let mut options = edge_agent::Options::default();
        options.listen.address = Address::Tcp("127.0.0.1:0".to_owned());
        options.policy.file = policy(self.folder.path());
        options.model.path = model.then(|| root().join("deploy/models/device/causeway-device-q4_0.gguf"));
        let count = self.addresses.len();
        options.upstream.address = Some(self.addresses[first % count].clone());
        options.upstream.alternatives =
            (1..count).map(|next| self.addresses[(first + next) % count].clone()).collect();
        options.connect.jitter_seed = Some(first as u64);
        let agent = Agent::bind(options, rim.clone()).await.expect("an agent");
        let channel = Channel::new(agent.address().clone(), rim.transport, None, ConnectOptions::default());
        tokio::spawn(agent.run(std::future::pending()));
        channel
    }

    /// A connection to one of them.
    #[must_use]
    pub fn caller(&self, index: usize) -> Channel {
        Channel::new(self.addresses[index].clone(), Arc::new(Os), None, ConnectOptions::default())
    }

    fn config(&self, index: usize) -> PathBuf {
        self.folder.path().join(format!("router-{index}.toml"))
    }
}

fn policy(folder: &Path) -> PathBuf {
    folder.join("policy.toml")
}

fn started(config: &Path) -> (Process, Address) {
    let process = Process::start("causeway-router", config, &[]);
    let address = process.listens_at();
    (process, address)
}
