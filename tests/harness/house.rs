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
    /// Further workers of the same tier and model, `spare-0` and so on.
    pub spares: usize,
    /// What the router asks its workers for their load by, where it is not what is usual.
    pub load: Option<&'static str>,
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
    /// The further workers.
    pub spares: Vec<Process>,
    caller: Identity,
    variables: Vec<(&'static str, &'static str)>,
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
        let mut fleet =
            format!("[policy]\nfile = \"{policy}\"\n{}", in_fleet("test", &worker_address, options.load));
        let mut spares = Vec::new();
        for index in 0..options.spares {
            let name = spare(index);
            let (spare, address) = writer.start(&name, &format!("worker/{name}"), "127.0.0.1:0", &engine);
            spares.push(spare);
            fleet.push_str(&in_fleet(&name, &address, options.load));
        }
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
            worker: dial(worker_address, Some(me.clone()), "worker.causeway"),
            processes: [worker, router, agent],
            spares,
            caller: me,
            variables: options.variables,
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
            if places.iter().filter(|place| place.model.is_some()).count() > self.spares.len() {
                return;
            }
        }
    }

    /// Starts a worker that was killed again, where its router looks for it; `None`: the first, otherwise a spare.
    pub fn revive(&mut self, index: Option<usize>) {
        let name = index.map_or_else(|| "causeway-worker".to_owned(), spare);
        let process = self.again(&name, "causeway-worker");
        match index {
            Some(index) => self.spares[index] = process,
            None => self.processes[0] = process,
        }
    }

    /// Starts the router again, where it was.
    pub fn revive_router(&mut self) {
        self.processes[1] = self.again("causeway-router", "causeway-router");
    }

    fn again(&self, name: &str, binary: &str) -> Process {
        let config = self.folder.path().join(name).join("config.toml");
        let process = Process::start(binary, &config, &self.variables);
        drop(process.listens_at());
        process
    }

    /// Another connection to the router, by mTLS.
    #[must_use]
    pub fn caller(&self) -> Channel {
        let connect = ConnectOptions { connect_timeout_ms: 30_000, ..ConnectOptions::default() };
        let address = self.router.address().clone();
        Channel::new(address, Arc::new(Os), Some(self.caller.clone()), connect.expecting("router.causeway"))
    }

    /// Files of the processes that contain these bytes.
    #[must_use]
    pub fn files_with(&self, bytes: &[u8]) -> usize {
        let mut folders = vec![self.folder.path().to_owned()];
        let mut found = 0;
        while let Some(folder) = folders.pop() {
            for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
                if path.is_dir() {
                    folders.push(path);
                } else if let Ok(held) = fs::read(&path) {
                    found += usize::from(held.windows(bytes.len()).any(|window| window == bytes));
                }
            }
        }
        found
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

fn spare(index: usize) -> String {
    format!("spare-{index}")
}

fn in_fleet(name: &str, address: &Address, load: Option<&str>) -> String {
    let load = load.map_or_else(String::new, |load| format!("load = \"{load}\"\n"));
    format!("[[fleet.workers]]\nname = \"{name}\"\ntier = \"cloud-fast\"\naddress = \"{address}\"\n{load}")
}

fn policy(folder: &Path) -> PathBuf {
    folder.join("policy.toml")
}

fn log(folder: &Path, binary: &str) -> PathBuf {
    folder.join(binary).join("decisions.jsonl")
}

// === impl Writer ===

impl Writer<'_> {
    /// Starts the binary of that name, or a worker where the name is a spare's.
    fn start(&self, name: &str, spiffe_path: &str, listen: &str, tables: &str) -> (Process, Address) {
        let config = self.write(name, spiffe_path, listen, tables);
        let binary = if name.starts_with("spare") { "causeway-worker" } else { name };
        let process = Process::start(binary, &config, &self.options.variables);
        let address = process.listens_at();
        // Started again it listens where it did.
        let text = fs::read_to_string(&config).expect("written above");
        fs::write(&config, text.replace(&format!("\"{listen}\""), &format!("\"{address}\"")))
            .expect("written");
        (process, address)
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
        if self.options.decisions && !spiffe_path.starts_with("worker/") {
            let log = log(self.folder, binary).display().to_string();
            text.push_str(&format!("[decisions]\npath = \"{log}\"\nfeedback_wait_ms = 0\n"));
        }
        let path = folder.join("config.toml");
        fs::write(&path, text).expect("written");
        path
    }
}
