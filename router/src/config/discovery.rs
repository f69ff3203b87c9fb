//! Where workers are found besides those that are named one by one.

use std::path::PathBuf;

use mesh::config::Invalid;
use mesh::transport::Address;
use serde::{Deserialize, Serialize};

use super::{LoadSource, is_name, worker_server_name};

/// Names, or services, that can be asked.
const SOURCES_MAX: usize = 64;

/// Workers of one tier behind a DNS name: every address that it has is one. What is found stays until the name has been
/// answered without it twice, and while it is not answered at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DnsOptions {
    /// The name with the workers' port, as in `workers.example:50061`.
    pub name: Address,
    /// Their tier in the policy.
    pub tier: String,
    /// The DNS name that their certificates must have.
    #[serde(default = "worker_server_name")]
    pub server_name: String,
    /// The region in which they compute; absent: as their tier says.
    #[serde(default)]
    pub region: Option<String>,
    /// What they are asked for their load by.
    #[serde(default)]
    pub load: LoadSource,
    /// Milliseconds between two questions, give or take a fifth by chance. The system's resolver does not say how long an
    /// answer lives.
    #[serde(default = "refresh_ms")]
    pub refresh_ms: u64,
    /// The least milliseconds between two questions, which a lost worker or a failure to answer brings on.
    #[serde(default = "refresh_min_ms")]
    pub refresh_min_ms: u64,
}

/// Workers of one tier behind a Kubernetes service, by its EndpointSlices. Pods that are about to end, or are not ready, take
/// no new work; those that are gone end what they have. The service account must be allowed to `list` and `watch` the
/// `endpointslices` of `discovery.k8s.io` in the namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KubernetesOptions {
    /// The service's name.
    pub service: String,
    /// Its namespace.
    #[serde(default = "namespace")]
    pub namespace: String,
    /// The name of its port at which workers listen; absent: its first.
    #[serde(default)]
    pub port: Option<String>,
    /// Their tier in the policy.
    pub tier: String,
    /// The DNS name that their certificates must have.
    #[serde(default = "worker_server_name")]
    pub server_name: String,
    /// The region in which they compute; absent: as their tier says.
    #[serde(default)]
    pub region: Option<String>,
    /// What they are asked for their load by.
    #[serde(default)]
    pub load: LoadSource,
    /// The API server.
    #[serde(default = "api")]
    pub api: Address,
    /// The DNS name that its certificate must have.
    #[serde(default = "api_server_name")]
    pub api_server_name: String,
    /// The file with the service account's token, read for each request.
    #[serde(default = "token")]
    pub token: PathBuf,
    /// The file with the authority that the API server's certificate is checked against, PEM.
    #[serde(default = "authority")]
    pub authority: PathBuf,
    /// Whether the API server is asked without TLS and without a token, as a proxy on this machine is.
    #[serde(default)]
    pub plaintext: bool,
}

fn namespace() -> String {
    "default".to_owned()
}

fn api() -> Address {
    Address::Tcp("kubernetes.default.svc:443".to_owned())
}

fn api_server_name() -> String {
    "kubernetes.default.svc".to_owned()
}

fn token() -> PathBuf {
    PathBuf::from("/var/run/secrets/kubernetes.io/serviceaccount/token")
}

fn authority() -> PathBuf {
    PathBuf::from("/var/run/secrets/kubernetes.io/serviceaccount/ca.crt")
}

fn refresh_ms() -> u64 {
    30_000
}

fn refresh_min_ms() -> u64 {
    2_000
}

/// Checks all sources of one kind; `table` is the dotted key that holds them.
pub(super) fn invalid_dns(sources: &[DnsOptions], table: &str, found: &mut Vec<Invalid>) {
    let mut rule = |holds: bool, key: &str, problem: &str, mend: &str| {
        Invalid::unless(found, holds, key, problem, mend);
    };
    rule(sources.len() <= SOURCES_MAX, table, "is too long", "ask at most 64 names");
    for (index, source) in sources.iter().enumerate() {
        let key = |field: &str| format!("{table}.{index}.{field}");
        let named = source.name.host().is_some();
        rule(named, &key("name"), "is no DNS name with a port", "write workers.example:50061");
        let mend = "give 1 to 64 letters, digits, `-`, `_` or `.`";
        rule(is_name(&source.tier), &key("tier"), "is no name", mend);
        let calm = source.refresh_min_ms >= 100;
        rule(calm, &key("refresh_min_ms"), "is a flood of questions", "give 100 milliseconds or more");
        let ordered = source.refresh_ms >= source.refresh_min_ms;
        rule(ordered, &key("refresh_ms"), "is less than refresh_min_ms", "give at least as much");
    }
}

/// The same of services.
pub(super) fn invalid_kubernetes(sources: &[KubernetesOptions], table: &str, found: &mut Vec<Invalid>) {
    let mut rule = |holds: bool, key: &str, problem: &str, mend: &str| {
        Invalid::unless(found, holds, key, problem, mend);
    };
    rule(sources.len() <= SOURCES_MAX, table, "is too long", "watch at most 64 services");
    for (index, source) in sources.iter().enumerate() {
        let key = |field: &str| format!("{table}.{index}.{field}");
        let mend = "give 1 to 63 lower-case letters, digits or `-`";
        rule(is_label(&source.service), &key("service"), "is no name of a service", mend);
        rule(is_label(&source.namespace), &key("namespace"), "is no name of a namespace", mend);
        let mend = "give 1 to 64 letters, digits, `-`, `_` or `.`";
        rule(is_name(&source.tier), &key("tier"), "is no name", mend);
        let safe = !source.plaintext || source.api.is_local();
        rule(
            safe,
            &key("plaintext"),
            "is for this machine only",
            "give the address of a proxy on this machine",
        );
    }
}

/// RFC 1123's label, which Kubernetes' names of services and namespaces are: they stand in paths as they are.
fn is_label(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(plain)
        && !text.starts_with('-')
        && !text.ends_with('-')
}
