//! What can be typed after `causeway`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Carries a question from a device to the model that should answer it.
#[derive(Debug, Parser)]
#[command(name = "causeway", version, about, max_term_width = 110)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// The folder with demo models, home and policies.
    #[arg(long, global = true, value_name = "DIR")]
    pub deploy: Option<PathBuf>,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start an edge agent, a router and two workers here, take a tour, then answer questions.
    Up(Up),
    /// Ask one question and print the decision that placed it.
    Ask(Ask),
    /// Measure the models.
    #[command(subcommand)]
    Model(Model),
    /// Measure the inference engine.
    #[command(subcommand)]
    Bench(crate::bench::args::Bench),
    /// What can be known of a request from its text.
    #[command(subcommand)]
    Signals(Signals),
    /// What a policy decides, and what a change of it would do.
    #[command(subcommand)]
    Policy(crate::policy::args::Policy),
}

/// Replaces the demo's parts with the user's own.
#[derive(Debug, Clone, Default, Args)]
pub struct Parts {
    /// The device's model: a GGUF file, or `hf:owner/name[@revision][:file.gguf]`. How probably it is right is still
    /// estimated as for the demo's, until `--policy` says otherwise.
    #[arg(long, value_name = "FILE.gguf|hf:NAME")]
    pub edge_model: Option<PathBuf>,
    /// The workers' model: a Hugging Face folder, a GGUF file, or `hf:owner/name[@revision][:file.gguf]`; with the same
    /// caution.
    #[arg(long, value_name = "DIR|FILE.gguf|hf:NAME")]
    pub cloud_model: Option<PathBuf>,
    /// The hub that models named hf:owner/name come from.
    #[arg(long, value_name = "URL", env = "HF_ENDPOINT")]
    pub hub: Option<String>,
    /// The policy that decides.
    #[arg(long, value_name = "FILE.toml")]
    pub policy: Option<PathBuf>,
}

impl Parts {
    /// Where models named hf:owner/name come from.
    #[must_use]
    pub fn hub(&self) -> inference::HubOptions {
        let default = inference::HubOptions::default();
        inference::HubOptions { endpoint: self.hub.clone().unwrap_or(default.endpoint.clone()), ..default }
    }
}

/// `causeway up`
#[derive(Debug, Args)]
pub struct Up {
    /// The demo's parts.
    #[command(flatten)]
    pub parts: Parts,
    /// End after the tour: 0 when every answer was right, 1 otherwise.
    #[arg(long)]
    pub tour_only: bool,
    /// Print one JSON object for each tour question instead of text.
    #[arg(long, requires = "tour_only")]
    pub json: bool,
    /// Where the agent listens.
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
}

/// `causeway ask`
#[derive(Debug, Args)]
pub struct Ask {
    /// What to ask.
    pub text: String,
    /// The agent's socket; without it a demo road is started for this one question.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["edge_model", "cloud_model", "policy"])]
    pub socket: Option<PathBuf>,
    /// The demo's parts, when one is started.
    #[command(flatten)]
    pub parts: Parts,
    /// What may leave the device.
    #[arg(long, value_enum, default_value_t = PrivacyArg::Normal)]
    pub privacy: PrivacyArg,
    /// How much waiting matters.
    #[arg(long, value_enum, default_value_t = PriorityArg::Interactive)]
    pub priority: PriorityArg,
    /// The only place or tier that may answer.
    #[arg(long, value_name = "PLACE")]
    pub only: Option<String>,
    /// The model wanted, by name.
    #[arg(long)]
    pub model: Option<String>,
    /// Most tokens to produce.
    #[arg(long, allow_negative_numbers = true)]
    pub max_tokens: Option<u32>,
    /// 0 is greedy.
    #[arg(long, allow_negative_numbers = true)]
    pub temperature: Option<f32>,
    /// The same seed draws the same answer.
    #[arg(long)]
    pub seed: Option<u64>,
    /// The answer is JSON of the schema in this file.
    #[arg(long, value_name = "FILE.json", group = "constraint")]
    pub json_schema: Option<PathBuf>,
    /// The answer is of the Lark grammar in this file.
    #[arg(long, value_name = "FILE.lark", group = "constraint")]
    pub grammar: Option<PathBuf>,
    /// The answer matches this regular expression.
    #[arg(long, group = "constraint")]
    pub regex: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `causeway model`
#[derive(Debug, Subcommand)]
pub enum Model {
    /// Run the demo models' test set through the real road and print one table.
    Eval(Eval),
    /// Write exercises of the demo models as JSON Lines.
    Data(Data),
    /// Ask the device and the cloud model the calibration questions and write what was right.
    Outcomes(Outcomes),
}

/// `causeway model eval`
#[derive(Debug, Args)]
pub struct Eval {
    /// Questions of the test set, at least one.
    #[arg(long, default_value_t = 3000, value_parser = items)]
    pub items: usize,
    /// The test set's seed.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The demo's parts.
    #[command(flatten)]
    pub parts: Parts,
    /// Skip the comparison of 4-bit with BF16 weights.
    #[arg(long)]
    pub no_quantization: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `causeway model data`
#[derive(Debug, Args)]
pub struct Data {
    /// Which part: train, calibration or test.
    #[arg(long)]
    pub split: skills::Split,
    /// How many.
    #[arg(long)]
    pub items: usize,
    /// Same seed, same text.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// `causeway model outcomes`
#[derive(Debug, Args)]
pub struct Outcomes {
    /// How many questions, at least one.
    #[arg(long, default_value_t = 4000, value_parser = items)]
    pub items: usize,
    /// The calibration set's seed.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Where to write them, as JSON Lines.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// The demo's parts.
    #[command(flatten)]
    pub parts: Parts,
}

/// `causeway signals`
#[derive(Debug, Subcommand)]
pub enum Signals {
    /// Print every signal of a text.
    Show {
        /// The text.
        text: String,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Measure a signal on labelled texts.
    Eval {
        /// What is measured.
        #[arg(long, value_enum)]
        task: EvalTask,
        /// JSON Lines, gzipped or not; several files are read as one set.
        #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
        data: Vec<PathBuf>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Learn the model of a signal and print its measures on texts that it did not learn from.
    Fit {
        /// What is learned.
        #[arg(long, value_enum)]
        task: FitTask,
        /// The folder with `intents`, `privacy`, `safety` and `routing`.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// Where the model goes; without it it is only measured.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Fit the difficulty estimate to outcomes and write the model file.
    Train {
        /// What `causeway model outcomes` wrote.
        #[arg(long, value_name = "FILE")]
        outcomes: PathBuf,
        /// Where the model goes.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// What `signals eval` measures.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum EvalTask {
    /// Intents of CLINC150 or HWU64; `oos` is out of scope.
    Intent,
    /// Personal data: spans by type and place, and private content.
    Pii,
    /// Subjects in which a wrong answer harms.
    Safety,
    /// Languages.
    Language,
}

/// What `signals fit` learns.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum FitTask {
    /// Personal data.
    Pii,
    /// Subjects in which a wrong answer harms.
    Safety,
    /// Languages.
    Language,
    /// Private content.
    Content,
}

/// Privacy, as typed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum PrivacyArg {
    /// Wherever the policy allows.
    Normal,
    /// Places of the same home.
    HomeOnly,
    /// This device.
    LocalOnly,
}

/// Priority, as typed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum PriorityArg {
    /// Somebody is listening.
    Interactive,
    /// Somebody will look soon.
    Normal,
    /// Nobody waits.
    Background,
}

impl From<PrivacyArg> for proto::v1::Privacy {
    fn from(privacy: PrivacyArg) -> Self {
        match privacy {
            PrivacyArg::Normal => Self::Normal,
            PrivacyArg::HomeOnly => Self::HomeOnly,
            PrivacyArg::LocalOnly => Self::LocalOnly,
        }
    }
}

impl From<PriorityArg> for proto::v1::Priority {
    fn from(priority: PriorityArg) -> Self {
        match priority {
            PriorityArg::Interactive => Self::Interactive,
            PriorityArg::Normal => Self::Normal,
            PriorityArg::Background => Self::Background,
        }
    }
}

/// A number of items that something can be measured on.
fn items(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("a whole number of at least 1".to_owned()),
        Ok(items) => Ok(items),
    }
}
