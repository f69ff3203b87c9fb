//! A worker, a router and an agent as three processes with mTLS between them, and a channel to the agent.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mesh::connect::{Channel, ConnectOptions};
use mesh::tls::{Authority, Identity};
use mesh::transport::{Address, Os};
use proto::v1::generation_client::GenerationClient;
use proto::v1::{ContentPart, DescribeRequest, GenerateRequest, Role, Sampling, Turn, content_part};
use tempfile::TempDir;

use super::{Process, root};

/// What differs between houses.
#[derive(Debug, Clone, Default)]
pub struct HouseOptions {
    /// Where all three send their traces and, five times a second, their metrics.
    pub otlp_endpoint: Option<String>,
    /// The worker holds each step to at least this, milliseconds.
    pub step_interval_min_ms: u32,
    /// Router and agent write their decisions, each to [`House::decisions`].
    pub decisions: bool,
    /// Environment variables of every process.
    pub variables: Vec<(&'static str, &'static str)>,
}

/// Three processes.
#[derive(Debug)]
pub struct House {
    /// To the agent, over its Unix socket.
    pub agent: Channel,
    /// To the router, as an agent reaches it.
    pub router: Channel,
    /// To the worker, as its router reaches it.
    pub worker: Channel,
    /// The processes, in the order worker, router, agent.
    pub processes: [Process; 3],
    folder: TempDir,
}

/// A request with one turn of text, greedy.
#[must_use]
pub fn text_request(text: &str, only_place: &str, max_tokens: u32) -> GenerateRequest {
    let part = ContentPart { part: Some(content_part::Part::Text(text.to_owned())) };
    GenerateRequest {
        turns: vec![Turn { role: Role::User.into(), parts: vec![part] }],
        sampling: Some(Sampling {
            max_tokens: Some(max_tokens),
            temperature: Some(0.0),
            ..Sampling::default()
        }),
        only_place: only_place.to_owned(),
        ..GenerateRequest::default()
    }
}

struct Writer<'a> {
    folder: &'a Path,
    authority: Authority,
    options: &'a HouseOptions,
}

// === impl House ===

impl House {
    /// Starts the three and waits until the router has heard of the worker.
    pub async fn start(options: HouseOptions) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let writer = Writer {
            folder: folder.path(),
            authority: Authority::ephemeral().expect("a CA"),
            options: &options,
        };
        let deploy = root().join("deploy");
        let path = |tail: &str| deploy.join(tail).display().to_string();

        let policy = policy(folder.path());
        fs::copy(deploy.join("policies/demo.toml"), &policy).expect("copied");
        let policy = policy.display().to_string();

        let model = path("models/cloud/causeway-cloud-q4_0.gguf");
        let step = options.step_interval_min_ms;
        let engine = format!("[engine]\nmodel = \"{model}\"\nstep_interval_min_ms = {step}\n");
        let (worker, worker_address) = writer.start("causeway-worker", "worker/test", "127.0.0.1:0", &engine);

        let fleet = format!(
            "[policy]\nfile = \"{}\"\n[[fleet.workers]]\nname = \"test\"\ntier = \"cloud-fast\"\naddress = \"{worker_address}\"\n",
            policy
        );
        let (router, router_address) = writer.start("causeway-router", "router", "127.0.0.1:0", &fleet);

        let socket = folder.path().join("agent.sock");
        let home = format!(
            "[home]\nfile = \"{}\"\n[model]\npath = \"{}\"\n[policy]\nfile = \"{}\"\n[upstream]\naddress = \"{router_address}\"\n",
            path("homes/demo.toml"),
            path("models/device/causeway-device-q4_0.gguf"),
            policy
        );
        let listen = format!("unix:{}", socket.display());
        let (agent, agent_address) = writer.start("causeway-edge-agent", "agent/test", &listen, &home);

        let dial = |address: Address, identity, name: &str| {
            Channel::new(address, Arc::new(Os), identity, ConnectOptions::default().expecting(name))
        };
        let me: Identity =
            writer.authority.issue("test").expect("a certificate").identity().expect("an identity");
        let house = Self {
            agent: dial(agent_address, None, "agent.causeway"),
            router: dial(router_address, Some(me.clone()), "router.causeway"),
            worker: dial(worker_address, Some(me), "worker.causeway"),
            processes: [worker, router, agent],
            folder,
        };
        tokio::time::timeout(Duration::from_secs(30), house.ready())
            .await
            .expect("the three find each other");
        house
    }

    async fn ready(&self) {
        let mut client = GenerationClient::new(self.router.clone());
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        loop {
            // Nothing tells a caller that the router has heard of a worker, so it is asked.
            ticks.tick().await;
            let places =
                client.describe(DescribeRequest {}).await.expect("the router answers").into_inner().places;
            if places.iter().any(|place| place.model.is_some()) {
                return;
            }
        }
    }

    /// The policy that router and agent decide by; a change of it is taken within seconds.
    #[must_use]
    pub fn policy(&self) -> PathBuf {
        policy(self.folder.path())
    }

    /// The log of decisions of a binary.
    #[must_use]
    pub fn decisions(&self, binary: &str) -> PathBuf {
        log(self.folder.path(), binary)
    }

    /// The three hops with the names that `Describe` gives them, in the order of [`House::processes`].
    #[must_use]
    pub fn hops(&self) -> [(&'static str, &Channel); 3] {
        [("worker", &self.worker), ("router", &self.router), ("edge-agent", &self.agent)]
    }
}

fn policy(folder: &Path) -> PathBuf {
    folder.join("policy.toml")
}

fn log(folder: &Path, binary: &str) -> PathBuf {
    folder.join(binary).join("decisions.jsonl")
}

// === impl Writer ===

impl Writer<'_> {
    fn start(&self, binary: &str, spiffe_path: &str, listen: &str, tables: &str) -> (Process, Address) {
        let config = self.write(binary, spiffe_path, listen, tables);
        let process = Process::start(binary, &config, &self.options.variables);
        let line = process.wait_for("listening");
        let address = line.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next());
        let address = address.expect("the log names the address").trim_matches('"');
        (process, address.parse().expect("an address"))
    }

    fn write(&self, binary: &str, spiffe_path: &str, listen: &str, tables: &str) -> PathBuf {
        let folder = self.folder.join(binary);
        fs::create_dir_all(&folder).expect("a folder");
        let files =
            self.authority.issue(spiffe_path).expect("a certificate").write(&folder).expect("written");
        let show = |path: &Option<PathBuf>| path.clone().unwrap_or_default().display().to_string();
        let (certificate, key, authority) =
            (show(&files.certificate), show(&files.key), show(&files.authority));
        let mut text = format!(
            "[listen]\naddress = \"{listen}\"\n[tls]\ncertificate = \"{certificate}\"\nkey = \"{key}\"\nauthority = \"{authority}\"\n{tables}"
        );
        if let Some(endpoint) = &self.options.otlp_endpoint {
            let table = format!("[telemetry]\notlp_endpoint = \"{endpoint}\"\nmetrics_interval_ms = 200\n");
            text.push_str(&table);
        }
        if self.options.decisions && binary != "causeway-worker" {
            let log = log(self.folder, binary).display().to_string();
            text.push_str(&format!("[decisions]\npath = \"{log}\"\nfeedback_wait_ms = 0\n"));
        }
        let path = folder.join("config.toml");
        fs::write(&path, text).expect("written");
        path
    }
}
