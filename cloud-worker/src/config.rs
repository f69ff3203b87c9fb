//! What can be configured of a worker.

use mesh::authorize::AuthorizeOptions;
use mesh::config::{Configure, Invalid};
use mesh::process::{Limits, Listen, Process};
use mesh::serve::ServeOptions;
use mesh::telemetry::TelemetryOptions;
use mesh::tls::IdentityFiles;
use mesh::transport::Address;
use proto::v1::CacheSharing;
use serde::{Deserialize, Serialize};

/// A worker's options; each table is documented where it is used.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Where it listens.
    pub listen: Listen,
    /// The certificate that it shows and the authority that it trusts.
    pub tls: IdentityFiles,
    /// Who may call what.
    pub authorize: AuthorizeOptions,
    /// The model and its batch.
    pub engine: inference::Options,
    /// Whose requests may take over what others have computed.
    pub sharing: Sharing,
    /// How often it reports.
    pub report: Report,
    /// Bounds of a request.
    pub limits: Limits,
    /// Bounds of a connection.
    pub serve: ServeOptions,
    /// Traces and logs.
    pub telemetry: TelemetryOptions,
}

/// Whose requests may take over the beginnings that others have computed. The usage and the time of an answer tell what
/// was taken over, so that who shares can find out what the others asked, a guess at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sharing {
    /// Those of one conversation from one caller; a request without a conversation shares with none.
    #[default]
    Conversation,
    /// Those of one caller, by its certificate; behind a router, those of each of its own callers.
    Caller,
    /// All, whoever they ask through.
    Everyone,
}

/// How often a worker reports to those who watch it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Report {
    /// The shortest interval granted, milliseconds.
    pub interval_min_ms: u32,
    /// The longest, milliseconds.
    pub interval_max_ms: u32,
    /// The longest granted to those who ask by ORCA, milliseconds: they are not told which interval they have.
    pub orca_interval_max_ms: u32,
    /// Whether every answer brings a report in its trailers, by ORCA too.
    pub trailers: bool,
    /// Watchers at a time.
    pub watchers_max: usize,
    /// Changes of the cache's blocks in one report, at most; 0 leaves them out.
    pub block_changes_max: usize,
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: Listen::at(Address::Tcp("127.0.0.1:50061".to_owned())),
            tls: IdentityFiles::default(),
            authorize: AuthorizeOptions::default(),
            engine: inference::Options::default(),
            sharing: Sharing::default(),
            report: Report::default(),
            limits: Limits::default(),
            serve: ServeOptions::default(),
            telemetry: TelemetryOptions::default(),
        }
    }
}

impl Configure for Options {
    fn validate(&self) -> Result<(), Vec<Invalid>> {
        let mut wrong = self.listen.invalid("listen", &self.tls);
        wrong.extend(self.tls.invalid("tls"));
        wrong.extend(self.tls.unguarded("tls", false));
        wrong.extend(self.authorize.invalid("authorize"));
        wrong.extend(self.report.invalid("report"));
        wrong.extend(self.limits.invalid("limits"));
        wrong.extend(self.serve.invalid("serve"));
        wrong.extend(self.telemetry.invalid("telemetry"));
        let named = !self.engine.model.as_os_str().is_empty();
        let mend = "name a Hugging Face folder, a GGUF file or hf:owner/name";
        Invalid::unless(&mut wrong, named, "engine.model", "is not set", mend);
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }
}

impl Process for Options {
    const NAME: &'static str = "causeway-worker";

    fn telemetry(&self) -> &TelemetryOptions {
        &self.telemetry
    }

    fn tls(&self) -> &IdentityFiles {
        &self.tls
    }
}

// === impl Sharing ===

impl Sharing {
    /// The same as a report says it.
    pub(crate) fn told(self) -> CacheSharing {
        match self {
            Self::Conversation => CacheSharing::Conversation,
            Self::Caller => CacheSharing::Salt,
            Self::Everyone => CacheSharing::Everyone,
        }
    }
}

// === impl Report ===

impl Default for Report {
    fn default() -> Self {
        Self {
            interval_min_ms: 100,
            interval_max_ms: 10_000,
            orca_interval_max_ms: 500,
            trailers: true,
            watchers_max: 64,
            block_changes_max: 256,
        }
    }
}

impl Report {
    fn invalid(&self, table: &str) -> Vec<Invalid> {
        let mut found = Vec::new();
        let ordered = (1..=self.interval_max_ms).contains(&self.interval_min_ms);
        let key = format!("{table}.interval_min_ms");
        Invalid::unless(&mut found, ordered, &key, "is not from 1 to interval_max_ms", "100 suits most");
        let key = format!("{table}.watchers_max");
        Invalid::unless(
            &mut found,
            self.watchers_max > 0,
            &key,
            "is zero, so no router could watch",
            "64 suits most",
        );
        found
    }
}
