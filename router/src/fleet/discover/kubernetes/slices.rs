//! EndpointSlices as the API server writes them, and the workers that they make. Pure: no clock, no I/O.

use std::collections::{BTreeMap, BTreeSet};

use mesh::transport::Address;
use serde::Deserialize;
use serde_json::Value;

use super::super::Member;
use super::super::dns::named;
use crate::config::{KubernetesOptions, is_name};

/// Slices of one service that are kept; each holds up to a thousand endpoints.
const SLICES_MAX: usize = 256;
/// The status of a version that the server has forgotten.
pub(super) const GONE: u16 = 410;

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(super) struct List {
    pub(super) metadata: ListMeta,
    #[serde(default)]
    items: Vec<Slice>,
}

/// What a list says of itself.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ListMeta {
    pub(super) resource_version: String,
    /// Where the next page begins; empty: there is none.
    #[serde(rename = "continue")]
    pub(super) rest: String,
}

#[derive(Debug, Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    object: Value,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Slice {
    metadata: Meta,
    #[serde(default)]
    endpoints: Option<Vec<Endpoint>>,
    #[serde(default)]
    ports: Option<Vec<Port>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Meta {
    name: String,
    resource_version: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Endpoint {
    #[serde(default)]
    addresses: Vec<String>,
    #[serde(default)]
    conditions: Conditions,
    target_ref: Option<Target>,
}

/// What is left out is to be taken as good.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Conditions {
    ready: Option<bool>,
    serving: Option<bool>,
    terminating: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Target {
    name: String,
}

#[derive(Debug, Deserialize)]
struct Port {
    #[serde(default)]
    name: Option<String>,
    port: Option<u16>,
}

/// What one line of a watch came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The slices are now others.
    Changed,
    /// They are the same, as of now.
    Same,
    /// The version from which was watched is forgotten: all must be listed again.
    Forgotten,
    /// The server failed, or said what nobody can read.
    Failed(String),
}

/// The slices of a service, as of a version.
#[derive(Debug, Default)]
pub(super) struct Slices {
    /// From where to watch on.
    pub(super) version: String,
    kept: BTreeMap<String, Slice>,
}

// === impl Slices ===

impl Slices {
    /// Takes a page of a list.
    pub(super) fn add(&mut self, list: List) -> Result<(), String> {
        self.version = list.metadata.resource_version;
        for slice in list.items {
            self.keep(slice)?;
        }
        Ok(())
    }

    /// Takes one line of a watch.
    pub(super) fn hear(&mut self, line: &[u8]) -> Heard {
        let Event { kind, object } = match serde_json::from_slice(line) {
            Ok(event) => event,
            Err(error) => return Heard::Failed(format!("a line of the watch cannot be read: {error}")),
        };
        if kind == "ERROR" {
            let code = object.get("code").and_then(Value::as_u64);
            let message = object.get("message").and_then(Value::as_str).unwrap_or("no reason was given");
            let forgotten = code == Some(u64::from(GONE));
            return if forgotten { Heard::Forgotten } else { Heard::Failed(message.to_owned()) };
        }
        let slice: Slice = match serde_json::from_value(object) {
            Ok(slice) => slice,
            Err(error) => return Heard::Failed(format!("an EndpointSlice cannot be read: {error}")),
        };
        let version = slice.metadata.resource_version.clone();
        let heard = match kind.as_str() {
            "ADDED" | "MODIFIED" => match self.keep(slice) {
                Ok(()) => Heard::Changed,
                Err(problem) => Heard::Failed(problem),
            },
            "DELETED" => {
                self.kept.remove(&slice.metadata.name);
                Heard::Changed
            }
            // Bookmarks, and what is not known yet.
            _ => Heard::Same,
        };
        if !version.is_empty() {
            self.version = version;
        }
        heard
    }

    /// The workers behind all slices, each once.
    pub(super) fn members(&self, options: &KubernetesOptions) -> Vec<Member> {
        let mut names = BTreeSet::new();
        let members = self.kept.values().flat_map(|slice| slice.members(options));
        members.filter(|member| names.insert(member.name.clone())).collect()
    }

    fn keep(&mut self, slice: Slice) -> Result<(), String> {
        let name = slice.metadata.name.clone();
        if self.kept.len() >= SLICES_MAX && !self.kept.contains_key(&name) {
            return Err(format!("there are more than {SLICES_MAX} EndpointSlices"));
        }
        self.kept.insert(name, slice);
        Ok(())
    }
}

// === impl Slice ===

impl Slice {
    fn members(&self, options: &KubernetesOptions) -> Vec<Member> {
        let ports = self.ports.iter().flatten();
        let wanted = |port: &&Port| options.port.is_none() || port.name == options.port;
        let Some(port) = ports.filter(wanted).find_map(|port| port.port) else { return Vec::new() };
        let endpoints = self.endpoints.iter().flatten();
        endpoints.filter_map(|endpoint| endpoint.member(port, options)).collect()
    }
}

// === impl Endpoint ===

impl Endpoint {
    fn member(&self, port: u16, options: &KubernetesOptions) -> Option<Member> {
        // All addresses of an endpoint are the same process.
        let host = self.addresses.first()?;
        let address = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let address: Address = address.parse().ok()?;
        let pod = self.target_ref.as_ref().map(|target| &target.name).filter(|name| is_name(name));
        let Conditions { ready, serving, terminating } = self.conditions;
        let serves = serving.or(ready).unwrap_or(true) && ready.unwrap_or(true);
        Some(Member {
            name: pod.cloned().unwrap_or_else(|| named(&address)),
            tier: options.tier.clone(),
            address,
            server_name: options.server_name.clone(),
            region: options.region.clone(),
            load: options.load,
            // One that is about to end is not ready, and serves what it has.
            leaving: terminating.unwrap_or(false) || !serves,
        })
    }
}

#[cfg(test)]
mod tests;
