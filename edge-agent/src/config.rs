//! What an agent runs with: every table of its configuration, its defaults, and what makes it unusable.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

pub use hop::{BudgetOptions, FeedbackOptions, RetryOptions};
use mesh::authorize::AuthorizeOptions;
use mesh::config::{Configure, Invalid};
use mesh::connect::ConnectOptions;
use mesh::journal::{JournalFormat, JournalOptions};
use mesh::process::{Limits, Listen, Process};
use mesh::rollout::RolloutOptions;
use mesh::serve::ServeOptions;
use mesh::telemetry::TelemetryOptions;
use mesh::tls::IdentityFiles;
use mesh::token::TokenOptions;
use mesh::transport::Address;
use serde::{Deserialize, Serialize};

/// More routers than these are a load balancer's business.
const ALTERNATIVES_MAX: usize = 8;

/// The configuration of an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Where it listens. By default a Unix socket in the current folder: only this machine reaches it, the file's
    /// rights say who, and it needs neither a free port nor a folder that has to be there.
    pub listen: Listen,
    /// What it commands.
    pub home: HomeOptions,
    /// What it answers with itself.
    pub model: ModelOptions,
    /// Whom it asks.
    pub upstream: UpstreamOptions,
    /// How it connects to its upstream.
    pub connect: ConnectOptions,
    /// What it decides by.
    pub policy: RolloutOptions,
    /// Its log of decisions.
    pub decisions: JournalOptions,
    /// What it counts of the policy's budgets and caps.
    pub budgets: BudgetOptions,
    /// What it does when a place fails before its first token.
    pub retry: RetryOptions,
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

/// What an agent commands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HomeOptions {
    /// The file of rooms and entities; unset, there are no commands.
    pub file: Option<PathBuf>,
}

/// The model on the device. An agent without one answers commands and asks its upstream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelOptions {
    /// A `.gguf` file, a Hugging Face folder or, with the feature `hub`, `hf:owner/name[@revision][:file.gguf]`; unset, there
    /// is no model.
    pub path: Option<PathBuf>,
    /// Where names with `hf:` lead.
    pub hub: inference::HubOptions,
    /// A folder for files of packed weights, which later starts map; unset, weights are packed into memory.
    pub packed_cache: Option<PathBuf>,
    /// Its tier in the policy.
    pub tier: String,
    /// Compute threads; 0 means one per core.
    pub threads: usize,
    /// Tokens of prompt and answer together; the model's own limit applies below it.
    pub context_tokens_max: usize,
    /// Requests computed in one step, at most. A device serves few people.
    pub sequences_max: usize,
    /// Token rows computed in one step, at most.
    pub step_tokens_max: usize,
    /// Requests that wait for a place, at most.
    pub queue_len_max: usize,
    /// Tokens of an answer that are guessed ahead and checked in one step, at most 16; 0: none. Guesses change no answer.
    pub draft_tokens_max: usize,
    /// A smaller model of the same tokenizer that makes the guesses; unset, they are looked up in the text so far.
    pub draft: Option<PathBuf>,
}

/// Whom an agent asks: a router, a worker, or another agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamOptions {
    /// Where it listens; unset, nothing leaves the device.
    pub address: Option<Address>,
    /// Other routers of the same fleet, in the order in which they are asked when those before them cannot be reached.
    pub alternatives: Vec<Address>,
    /// Times that one answer is gone on with when its router is lost in the midst of it; 0: it ends there.
    pub resumes_max: u32,
    /// Milliseconds for which a router is sought then.
    pub resume_wait_ms: u64,
    /// The DNS name that its certificate must have.
    pub server_name: String,
    /// The file of the signed token that is sent to all of them, read again when it changes; unset: none. It needs TLS, or an
    /// upstream on this machine.
    pub token_file: Option<PathBuf>,
    /// Wanted milliseconds between its outlooks.
    pub outlook_interval_ms: u32,
    /// Milliseconds without an outlook after which the last one is no longer believed, unless the upstream grants only
    /// a longer interval: then twice that.
    pub stale_after_ms: u64,
    /// When it is asked less, because it refuses.
    pub throttle: ThrottleOptions,
}

/// When an agent asks its upstream less: with probability (requests − factor × accepts) / (requests + 1) of the last while
/// it does not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ThrottleOptions {
    /// So many times what the upstream takes may be sent to it.
    pub factor: f64,
    /// What counts as lately, milliseconds.
    pub window_ms: u64,
    /// Fewer requests in that time hold nothing back.
    pub requests_min: u32,
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: Listen::at(Address::Unix("causeway.sock".into())),
            home: HomeOptions::default(),
            model: ModelOptions::default(),
            upstream: UpstreamOptions::default(),
            connect: ConnectOptions::default(),
            policy: RolloutOptions::default(),
            decisions: JournalOptions::default(),
            // A device counts the people of one home.
            budgets: BudgetOptions { accounts_max: 256, ..BudgetOptions::default() },
            retry: RetryOptions::default(),
            feedback: FeedbackOptions { ids_max: 256 },
            // A device talks with the people of one home.
            limits: Limits { in_flight_max: 64, ..Limits::default() },
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
        let mut found = self.listen.invalid("listen", &self.tls);
        found.extend(self.connect.invalid("connect"));
        found.extend(self.serve.invalid("serve"));
        found.extend(self.tls.invalid("tls"));
        found.extend(self.token.invalid("token"));
        found.extend(self.tls.unguarded("tls", self.token.required));
        found.extend(self.authorize.invalid("authorize"));
        found.extend(self.telemetry.invalid("telemetry"));
        found.extend(self.limits.invalid("limits"));
        found.extend(self.policy.invalid("policy"));
        found.extend(self.decisions.invalid("decisions"));
        found.extend(self.budgets.invalid("budgets"));
        found.extend(self.retry.invalid("retry"));
        self.upstream.invalid(&mut found);
        let seen = self.tls.certificate.is_none() && !self.upstream.is_local();
        let mend = "set tls.certificate, tls.key and tls.authority";
        let hidden = self.upstream.token_file.is_none() || !seen;
        let problem = "would be sent to another machine in the clear";
        Invalid::unless(&mut found, hidden, "upstream.token_file", problem, mend);
        let mut rule = |holds: bool, key: &str, problem: &str, mend: &str| {
            Invalid::unless(&mut found, holds, key, problem, mend);
        };
        let one_name = self.connect.server_name.is_none();
        rule(one_name, "connect.server_name", "is not read here", "set upstream.server_name");
        let lines = self.decisions.format == JournalFormat::Jsonl;
        rule(lines, "decisions.format", "is one that an agent does not write", "set it to `jsonl`");
        let tier = !self.model.tier.is_empty();
        rule(tier, "model.tier", "is empty", "name the tier of the policy that prices this model");
        let empty = self.model.path.as_ref().is_some_and(|path| path.as_os_str().is_empty());
        rule(
            !empty,
            "model.path",
            "is empty",
            "name a GGUF file, a Hugging Face folder or hf:owner/name, or leave it out",
        );
        let empty = self.home.file.as_ref().is_some_and(|file| file.as_os_str().is_empty());
        rule(!empty, "home.file", "is empty", "name the file of rooms and entities, or leave it out");
        if found.is_empty() { Ok(()) } else { Err(found) }
    }
}

impl Process for Options {
    const NAME: &'static str = "causeway-edge-agent";

    fn telemetry(&self) -> &TelemetryOptions {
        &self.telemetry
    }

    fn tls(&self) -> &IdentityFiles {
        &self.tls
    }
}

// === impl ModelOptions ===

impl Default for ModelOptions {
    fn default() -> Self {
        Self {
            path: None,
            hub: inference::HubOptions::default(),
            packed_cache: None,
            tier: "device".to_owned(),
            threads: 0,
            context_tokens_max: 2048,
            sequences_max: 4,
            step_tokens_max: 256,
            queue_len_max: 16,
            draft_tokens_max: 0,
            draft: None,
        }
    }
}

impl ModelOptions {
    /// What builds the engine of a model.
    pub(crate) fn engine(&self, model: PathBuf) -> inference::Options {
        inference::Options {
            model,
            hub: self.hub.clone(),
            packed_cache: self.packed_cache.clone(),
            sequences_max: self.sequences_max,
            step_tokens_max: self.step_tokens_max,
            context_tokens_max: self.context_tokens_max,
            queue_len_max: self.queue_len_max,
            draft_tokens_max: self.draft_tokens_max,
            draft: self.draft.clone(),
            threads: self.threads,
            step_interval_min: Duration::ZERO,
            ..inference::Options::default()
        }
    }
}

// === impl UpstreamOptions ===

impl Default for UpstreamOptions {
    fn default() -> Self {
        Self {
            address: None,
            alternatives: Vec::new(),
            resumes_max: 4,
            resume_wait_ms: 5_000,
            server_name: "router.causeway".to_owned(),
            token_file: None,
            outlook_interval_ms: 1_000,
            stale_after_ms: 5_000,
            throttle: ThrottleOptions::default(),
        }
    }
}

// === impl ThrottleOptions ===

impl Default for ThrottleOptions {
    fn default() -> Self {
        Self { factor: 2.0, window_ms: 120_000, requests_min: 10 }
    }
}

impl UpstreamOptions {
    /// Whether what is sent there stays on this machine.
    fn is_local(&self) -> bool {
        self.address.iter().chain(&self.alternatives).all(Address::is_local)
    }

    fn invalid(&self, found: &mut Vec<Invalid>) {
        let mut rule = |holds: bool, key: &str, problem: &str, mend: &str| {
            Invalid::unless(found, holds, key, problem, mend);
        };
        let mend = "give upstream.address first";
        let after = self.alternatives.is_empty() || self.address.is_some();
        rule(after, "upstream.alternatives", "are alternatives to nothing", mend);
        let all: HashSet<_> = self.address.iter().chain(&self.alternatives).collect();
        let apart = all.len() == self.alternatives.len() + usize::from(self.address.is_some());
        rule(apart, "upstream.alternatives", "name an address twice", "name each router once");
        let few = self.alternatives.len() <= ALTERNATIVES_MAX;
        rule(few, "upstream.alternatives", "are too many", "name at most 8");
        let mend = "give 1 millisecond or more";
        rule(self.outlook_interval_ms > 0, "upstream.outlook_interval_ms", "is zero, which is a flood", mend);
        let patient = self.stale_after_ms >= u64::from(self.outlook_interval_ms);
        let mend = "give at least upstream.outlook_interval_ms";
        rule(patient, "upstream.stale_after_ms", "makes every outlook stale before the next", mend);
        let used = self.token_file.is_none() || self.address.is_some();
        rule(used, "upstream.token_file", "is for nobody", "give upstream.address first");
        let named = !self.server_name.is_empty();
        rule(named, "upstream.server_name", "is empty", "give a DNS name such as `router.causeway`");
        let ThrottleOptions { factor, window_ms, .. } = self.throttle;
        let ranged = (1.0..=1000.0).contains(&factor);
        rule(ranged, "upstream.throttle.factor", "is not from 1 to 1000", "2 suits most");
        let ranged = (1_000..=86_400_000).contains(&window_ms);
        rule(ranged, "upstream.throttle.window_ms", "is not from a second to a day", "120000 suits most");
    }
}

#[cfg(test)]
mod tests;
