//! What can be typed after `causeway policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::args::{PriorityArg, PrivacyArg};
use crate::quality::{Calibrate, Evaluate};

/// `causeway policy`
#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Find what is wrong with a policy: in its form, its reach, its limits, its privacy and its probes.
    Check(Check),
    /// Try the probes of a policy.
    Test(Test),
    /// Decide one request and explain the decision.
    Explain(Explain),
    /// Decide recorded requests again under another policy.
    Replay(Replay),
    /// Say what two policies say differently.
    Diff(Diff),
    /// Print the JSON Schema of policy files, for editors.
    Schema,
    /// Bring policy files into their canonical form.
    Fmt(Fmt),
    /// Write into policy files a checksum of what they say, which is checked wherever they are read.
    Seal(Seal),
    /// Write a decision log of requests that never were, to try `replay` with.
    Sample(Sample),
    /// Fit what models can do from tables of outcomes, or add one model to what was fitted.
    Calibrate(Calibrate),
    /// Measure what routing is worth on texts that were not learned from.
    Evaluate(Evaluate),
    /// Search for prefixes that send questions up, and say what they move with the caps and without.
    Attack(Attack),
}

/// `causeway policy check`
#[derive(Debug, Args)]
pub struct Check {
    /// The policies; without one, the demo's.
    #[arg(value_name = "FILE.toml")]
    pub files: Vec<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `causeway policy test`
#[derive(Debug, Args)]
pub struct Test {
    /// The policy; without one, the demo's.
    #[arg(value_name = "FILE.toml")]
    pub file: Option<PathBuf>,
    /// The places, as a JSON list of candidates; without it, those that the tiers describe.
    #[arg(long, value_name = "FILE.json")]
    pub candidates: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `causeway policy explain`
#[derive(Debug, Args)]
pub struct Explain {
    /// The policy, if it is not the demo's, and what is asked.
    #[arg(value_names = ["FILE.toml", "TEXT"], num_args = 1..=2, required = true)]
    pub asked: Vec<String>,
    /// Who asks.
    #[arg(long = "as", value_name = "TENANT")]
    pub tenant: Option<String>,
    /// Which device asks.
    #[arg(long)]
    pub device: Option<String>,
    /// Where the caller is.
    #[arg(long)]
    pub region: Option<String>,
    /// The region that the data may not leave.
    #[arg(long)]
    pub residency: Option<String>,
    /// What may leave the device.
    #[arg(long, value_enum, default_value_t = PrivacyArg::Normal, value_parser = privacy())]
    pub privacy: PrivacyArg,
    /// How much waiting matters.
    #[arg(long, value_enum, default_value_t = PriorityArg::Normal)]
    pub priority: PriorityArg,
    /// The only place or tier that may answer.
    #[arg(long, value_name = "PLACE")]
    pub only: Option<String>,
    /// Seconds that remain.
    #[arg(long, value_name = "SECONDS")]
    pub deadline_seconds: Option<f64>,
    /// Most that the answer may cost, US dollars.
    #[arg(long, value_name = "USD")]
    pub price_max_usd: Option<f64>,
    /// Most tokens to produce.
    #[arg(long)]
    pub max_tokens: Option<u32>,
    /// Any other fact, by its name in a record; the value is JSON, or else a text.
    #[arg(long = "fact", value_name = "NAME=VALUE")]
    pub facts: Vec<String>,
    /// The places, as a JSON list of candidates; without it, those that the tiers describe.
    #[arg(long, value_name = "FILE.json")]
    pub candidates: Option<PathBuf>,
    /// What breaks ties.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `causeway policy replay`
#[derive(Debug, Args)]
pub struct Replay {
    /// A decision log, as JSON Lines.
    #[arg(value_name = "LOG.jsonl")]
    pub log: PathBuf,
    /// The policy to decide under.
    #[arg(long, value_name = "NEW.toml")]
    pub policy: PathBuf,
    /// The policy to compare with; without it, what was logged.
    #[arg(long, value_name = "OLD.toml")]
    pub against: Option<PathBuf>,
    /// Where a report with pictures goes.
    #[arg(long, value_name = "FILE.html")]
    pub html: Option<PathBuf>,
    /// Samples that the intervals are drawn from.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    pub resamples: u32,
    /// What draws them; the same seed gives the same intervals.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Most lines that are read.
    #[arg(long, default_value_t = 1_000_000)]
    pub lines_max: u64,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `causeway policy diff`
#[derive(Debug, Args)]
pub struct Diff {
    /// The policy before.
    #[arg(value_name = "OLD.toml")]
    pub old: PathBuf,
    /// The policy after.
    #[arg(value_name = "NEW.toml")]
    pub new: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `causeway policy fmt`
#[derive(Debug, Args)]
pub struct Fmt {
    /// The policies; without one, the demo's.
    #[arg(value_name = "FILE.toml")]
    pub files: Vec<PathBuf>,
    /// Change nothing; 1 where a file is not in its form.
    #[arg(long)]
    pub check: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `causeway policy seal`
#[derive(Debug, Args)]
pub struct Seal {
    /// The policies; without one, the demo's.
    #[arg(value_name = "FILE.toml")]
    pub files: Vec<PathBuf>,
    /// Change nothing; 1 where a file has no checksum, or another one.
    #[arg(long)]
    pub check: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `causeway policy sample`
#[derive(Debug, Args)]
pub struct Sample {
    /// The policy that decides; without one, the demo's.
    #[arg(value_name = "FILE.toml")]
    pub file: Option<PathBuf>,
    /// How many decisions.
    #[arg(long, default_value_t = 1000)]
    pub lines: u32,
    /// Same seed, same log.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The share of decisions that chance makes, from 0 to 1.
    #[arg(long, default_value_t = 0.1)]
    pub explore: f64,
}

/// Takes `local_only` for `local-only`: it is how the policy file writes it.
fn privacy() -> impl clap::builder::TypedValueParser<Value = PrivacyArg> {
    use clap::ValueEnum as _;
    use clap::builder::TypedValueParser as _;
    clap::builder::StringValueParser::new()
        .try_map(|text| PrivacyArg::from_str(&text.replace('_', "-"), true))
}

/// `causeway policy attack`
#[derive(Debug, Args)]
pub struct Attack {
    /// The policy; without one, the demo's.
    #[arg(value_name = "FILE.toml")]
    pub file: Option<PathBuf>,
    /// The places, as a JSON list of candidates; without it, those that the tiers describe.
    #[arg(long, value_name = "FILE.json")]
    pub candidates: Option<PathBuf>,
    /// How many prefixes are searched for.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub prefixes: u32,
    /// Tries of each search.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub evaluations: u32,
    /// Most points by which the share sent up may rise with the caps on; above it the command ends with 1.
    #[arg(long, default_value_t = 5.0)]
    pub shift_points_max: f64,
    /// Same seed, same search.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}
