//! What a router runs with: every table of its configuration, its defaults, and what makes it unusable.

mod breaker;
mod hedge;
mod discovery;
mod prefix;
mod pick;

use std::collections::HashSet;

pub use hop::{BudgetOptions, FeedbackOptions, RetryOptions};
use mesh::authorize::AuthorizeOptions;
use mesh::config::{Configure, Invalid};
use mesh::connect::ConnectOptions;
use mesh::journal::JournalOptions;
use mesh::process::{Limits, Listen, Process};
use mesh::rollout::RolloutOptions;
use mesh::serve::ServeOptions;
use mesh::telemetry::TelemetryOptions;
use mesh::tls::IdentityFiles;
use mesh::token::TokenOptions;
use mesh::transport::Address;
use serde::{Deserialize, Serialize};

pub use self::breaker::BreakerOptions;
pub use self::discovery::{DnsOptions, KubernetesOptions};
pub use self::hedge::HedgeOptions;
pub use self::pick::PickOptions;
pub use self::prefix::PrefixOptions;
pub use crate::flow::{FlowOptions, LimitOptions};

/// Most workers that are named one by one.
const WORKERS_MAX: usize = 1024;
/// Most workers of all.
const MEMBERS_MAX: usize = 16_384;

/// The configuration of a router.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Where it listens.
    pub listen: Listen,
    /// Its workers.
    pub fleet: FleetOptions,
    /// What it decides by.
    pub policy: RolloutOptions,
    /// Its log of decisions.
    pub decisions: JournalOptions,
    /// What it counts of the policy's budgets and caps.
    pub budgets: BudgetOptions,
    /// How requests wait for workers that are full.
    pub flow: FlowOptions,
    /// How it connects to workers.
    pub connect: ConnectOptions,
    /// What it does when a worker fails before its first token.
    pub retry: RetryOptions,
    /// When it keeps work from a worker that fails.
    pub breaker: BreakerOptions,
    /// When it asks a second worker beside a late one, for the classes of the policy that allow it.
    pub hedge: HedgeOptions,
    /// What it does when a worker is lost after its first token.
    pub resume: ResumeOptions,
    /// What it tells agents of its tiers.
    pub outlook: OutlookOptions,
    /// What it remembers of the answers that it gave.
    pub feedback: FeedbackOptions,
    /// Bounds of a request and of all together.
    pub limits: Limits,
    /// Who it is; without these files it speaks plaintext.
    pub tls: IdentityFiles,
    /// Which signed tokens it believes, whose tenant a call then is.
    pub token: TokenOptions,
    /// Who may call what.
    pub authorize: AuthorizeOptions,
    /// What it tells of its work.
    pub telemetry: TelemetryOptions,
    /// What it allows its callers' connections.
    pub serve: ServeOptions,
}

/// The workers of a router.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FleetOptions {
    /// Each worker that is named one by one.
    pub workers: Vec<WorkerOptions>,
    /// DNS names that have workers behind them.
    pub dns: Vec<DnsOptions>,
    /// Kubernetes services that have workers behind them.
    pub kubernetes: Vec<KubernetesOptions>,
    /// Workers of all sources together; those that are found when there are as many are left out.
    pub workers_max: usize,
    /// Wanted milliseconds between a worker's reports.
    pub report_interval_ms: u32,
    /// Milliseconds without a report after which the last one is no longer believed, unless the worker grants only a
    /// longer interval: then twice that.
    pub stale_after_ms: u64,
    /// What is remembered of what their caches hold.
    pub prefix: PrefixOptions,
    /// How many of them are weighed for one request.
    pub pick: PickOptions,
}

/// One worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkerOptions {
    /// Its name, unique in its tier.
    pub name: String,
    /// Its tier in the policy.
    pub tier: String,
    /// Where it listens.
    pub address: Address,
    /// The DNS name that its certificate must have.
    #[serde(default = "worker_server_name")]
    pub server_name: String,
    /// The region in which it computes; absent: as its tier says.
    #[serde(default)]
    pub region: Option<String>,
    /// What it is asked for its load by.
    #[serde(default)]
    pub load: LoadSource,
}

/// What a worker is asked for its load by. Whatever this says, a worker that tells nothing by itself may tell it in the
/// trailers of its answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadSource {
    /// `causeway.v1.Fleet`, and ORCA where the worker does not have that.
    #[default]
    Causeway,
    /// `xds.service.orca.v3.OpenRcaService`, which workers of other makes have.
    Orca,
}

/// What a router does when a worker is lost, or falls silent, after its first token: another of the same model goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResumeOptions {
    /// Other workers that are tried for one answer; 0: none.
    pub attempts_max: u32,
    /// A worker without a token for so many times the expected gap between two is silent.
    pub stall_gaps: f64,
    /// Nor is it silent sooner than this, milliseconds.
    pub stall_min_ms: u64,
    /// The same where nobody knows what gap to expect, milliseconds.
    pub stall_unknown_ms: u64,
}

/// What a router tells agents of its tiers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutlookOptions {
    /// Least milliseconds between two outlooks.
    pub interval_ms: u32,
    /// Agents that may watch at once.
    pub watchers_max: usize,
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: Listen::at(Address::Tcp("127.0.0.1:50051".to_owned())),
            fleet: FleetOptions::default(),
            policy: RolloutOptions::default(),
            decisions: JournalOptions::default(),
            budgets: BudgetOptions::default(),
            flow: FlowOptions::default(),
            connect: ConnectOptions::default(),
            retry: RetryOptions::default(),
            breaker: BreakerOptions::default(),
            hedge: HedgeOptions::default(),
            resume: ResumeOptions::default(),
            outlook: OutlookOptions::default(),
            feedback: FeedbackOptions::default(),
            limits: Limits::default(),
            tls: IdentityFiles::default(),
            token: TokenOptions::default(),
            authorize: AuthorizeOptions::default(),
            telemetry: TelemetryOptions::default(),
            serve: ServeOptions::default(),
        }
    }
}

impl Configure for Options {
    fn validate(&self) -> Result<(), Vec<Invalid>> {
        let mut found = self.connect.invalid("connect");
        found.extend(self.serve.invalid("serve"));
        found.extend(self.tls.invalid("tls"));
        found.extend(self.token.invalid("token"));
        found.extend(self.tls.unguarded("tls", self.token.required));
        found.extend(self.authorize.invalid("authorize"));
        found.extend(self.telemetry.invalid("telemetry"));
        found.extend(self.listen.invalid("listen", &self.tls));
        found.extend(self.limits.invalid("limits"));
        found.extend(self.policy.invalid("policy"));
        found.extend(self.decisions.invalid("decisions"));
        found.extend(self.budgets.invalid("budgets"));
        found.extend(self.flow.invalid("flow"));
        found.extend(self.retry.invalid("retry"));
        self.breaker.invalid(&mut found);
        self.hedge.invalid(&mut found);
        self.resume.invalid(&mut found);
        self.fleet.invalid(&mut found);
        let mut rule = |holds: bool, key: &str, problem: &str, mend: &str| {
            Invalid::unless(&mut found, holds, key, problem, mend);
        };
        let shared = self.connect.server_name.is_none();
        let mend = "name it for each of [[fleet.workers]]";
        rule(shared, "connect.server_name", "is not for the workers of a router", mend);
        let more = "give 1 or more";
        rule(self.outlook.interval_ms > 0, "outlook.interval_ms", "is zero, which is a flood", more);
        rule(self.outlook.watchers_max > 0, "outlook.watchers_max", "is zero, so no agent could watch", more);
        if found.is_empty() { Ok(()) } else { Err(found) }
    }
}

impl Process for Options {
    const NAME: &'static str = "causeway-router";

    fn telemetry(&self) -> &TelemetryOptions {
        &self.telemetry
    }

    fn tls(&self) -> &IdentityFiles {
        &self.tls
    }
}

// === impl ResumeOptions ===

impl Default for ResumeOptions {
    fn default() -> Self {
        Self { attempts_max: 4, stall_gaps: 8.0, stall_min_ms: 250, stall_unknown_ms: 2_000 }
    }
}

impl ResumeOptions {
    fn invalid(&self, found: &mut Vec<Invalid>) {
        let mut rule = |holds: bool, key: &str, problem: &str, mend: &str| {
            Invalid::unless(found, holds, key, problem, mend);
        };
        let gaps = (1.0..=1e6).contains(&self.stall_gaps);
        rule(gaps, "resume.stall_gaps", "is not from 1 to 1000000", "8 suits most");
        let more = "give 1 or more";
        rule(
            self.stall_min_ms > 0,
            "resume.stall_min_ms",
            "is zero, so that every pause would be a stall",
            more,
        );
        rule(self.stall_unknown_ms > 0, "resume.stall_unknown_ms", "is zero", more);
    }
}

// === impl FleetOptions ===

impl Default for FleetOptions {
    fn default() -> Self {
        Self {
            workers: Vec::new(),
            dns: Vec::new(),
            kubernetes: Vec::new(),
            workers_max: WORKERS_MAX,
            report_interval_ms: 200,
            stale_after_ms: 1_500,
            prefix: PrefixOptions::default(),
            pick: PickOptions::default(),
        }
    }
}

impl FleetOptions {
    fn invalid(&self, found: &mut Vec<Invalid>) {
        let mut rule = |holds: bool, key: &str, problem: &str, mend: &str| {
            Invalid::unless(found, holds, key, problem, mend);
        };
        let count = self.workers.len();
        let mend = "name at least one [[fleet.workers]], or where to look for them, such as [[fleet.dns]]";
        let sought = self.dns.len() + self.kubernetes.len() > 0;
        rule(count > 0 || sought, "fleet.workers", "is empty", mend);
        rule(count <= WORKERS_MAX, "fleet.workers", "is too long", "name at most 1024 workers");
        let room = (count.max(1)..=MEMBERS_MAX).contains(&self.workers_max);
        let mend = "give at least as many as are named, and at most 16384";
        rule(room, "fleet.workers_max", "is no number of workers", mend);
        rule(
            self.report_interval_ms > 0,
            "fleet.report_interval_ms",
            "is zero",
            "give 1 millisecond or more",
        );
        let patient = self.stale_after_ms >= u64::from(self.report_interval_ms);
        let mend = "give at least fleet.report_interval_ms";
        rule(patient, "fleet.stale_after_ms", "makes every report stale before the next", mend);
        let mut seen = HashSet::new();
        for (index, worker) in self.workers.iter().enumerate() {
            let key = |field: &str| format!("fleet.workers.{index}.{field}");
            let mend = "give 1 to 64 letters, digits, `-`, `_` or `.`";
            rule(is_name(&worker.name), &key("name"), "is no name", mend);
            rule(is_name(&worker.tier), &key("tier"), "is no name", mend);
            let new = seen.insert((&worker.tier, &worker.name));
            rule(
                new,
                &key("name"),
                "is taken by another worker of its tier",
                "give each worker its own name",
            );
        }
        self.prefix.invalid("fleet.prefix", found);
        self.pick.invalid("fleet.pick", found);
        discovery::invalid_dns(&self.dns, "fleet.dns", found);
        discovery::invalid_kubernetes(&self.kubernetes, "fleet.kubernetes", found);
    }
}

/// A place is `tier/worker`, stands in messages and in policies, and must not hide what it is.
pub(crate) fn is_name(text: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    (1..=64).contains(&text.len()) && text.chars().all(plain)
}

fn worker_server_name() -> String {
    "worker.causeway".to_owned()
}

// === impl OutlookOptions ===

impl Default for OutlookOptions {
    fn default() -> Self {
        Self { interval_ms: 500, watchers_max: 256 }
    }
}

#[cfg(test)]
mod tests;
