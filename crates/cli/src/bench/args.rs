//! What can be typed after `causeway bench`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use inference::Device;

use super::fleet::Way;
use super::task::Task;

/// `causeway bench`
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Time prompts and decoding of a model file, alone or in turns with llama.cpp on the same file.
    Inference(Inference),
    /// Replay recorded traffic against simulated workers, and compare what the router predicts with what it took.
    Fleet(Fleet),
    /// Measure what the router adds to a call, beside a bare forwarder, nginx and HAProxy.
    Router(Router),
    /// Measure what must hold of the router under load, loss and abuse, and print a table; 1 where a row does not pass.
    Scorecard(Scorecard),
    /// One measurement, in this process.
    #[command(hide = true)]
    Step(Step),
    /// A bare forwarder, as a process of its own.
    #[command(hide = true)]
    Forward(Forward),
    /// A router, as a process of its own.
    #[command(hide = true)]
    Hop(Hop),
}

/// `causeway bench inference`
#[derive(Debug, Args)]
pub struct Inference {
    /// A `.gguf` file or a Hugging Face folder.
    #[arg(long, value_name = "FILE")]
    pub model: PathBuf,
    /// llama.cpp's `llama-bench`; `llama-batched-bench` beside it is used for batches.
    #[arg(long, value_name = "LLAMA_BENCH")]
    pub against: Option<PathBuf>,
    /// Compute threads of each engine; 0 means one per core.
    #[arg(long, default_value_t = 2, value_parser = threads)]
    pub threads: usize,
    /// Instructions that ours may use; the best there are unless told otherwise.
    #[arg(long, value_enum)]
    pub form: Option<Form>,
    /// What computes ours: `cpu`, or `cuda:0` and so on in builds with the feature `cuda`.
    #[arg(long, default_value_t = Device::Cpu)]
    pub device: Device,
    /// Two rounds instead of three, and nothing at a long context.
    #[arg(long)]
    pub quick: bool,
    /// A measurement is dropped where other processes used a greater share of all processors.
    #[arg(long, value_name = "SHARE", default_value_t = 0.05, value_parser = share)]
    pub foreign_max: f64,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `causeway bench fleet`
#[derive(Debug, Args)]
pub struct Fleet {
    /// The folder that holds `traces/`; without it requests are made up.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Only traces whose names begin so.
    #[arg(long, value_name = "NAME")]
    pub trace: Option<String>,
    /// Only this multiple of the trace's own pace.
    #[arg(long, value_parser = pace)]
    pub pace: Option<f64>,
    /// Only this way to choose a worker.
    #[arg(long, value_enum)]
    pub way: Option<Way>,
    /// No more requests of each trace.
    #[arg(long)]
    pub requests: Option<usize>,
    /// Only what prompts find in caches, or only the rest.
    #[arg(long, value_name = "BOOL")]
    pub caches: Option<bool>,
    /// What chance begins with: the same seed gives the same numbers.
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `causeway bench scorecard`
#[derive(Debug, Args)]
pub struct Scorecard {
    /// Only these rows, such as `A5`.
    pub rows: Vec<String>,
    /// Rows that take more than half a minute as well.
    #[arg(long)]
    pub full: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `causeway bench router`
#[derive(Debug, Args)]
pub struct Router {
    /// The router's program; `causeway-router` beside this one, or this one, unless told otherwise.
    #[arg(long, value_name = "FILE")]
    pub router: Option<PathBuf>,
    /// Only these ways, such as `direct,forwarder,router`.
    #[arg(long, value_name = "NAMES")]
    pub way: Option<String>,
    /// One short round, less than a minute.
    #[arg(long, conflicts_with = "full")]
    pub quick: bool,
    /// Count instructions under valgrind instead: no times, but the same numbers on a busy machine.
    #[arg(long)]
    pub instructions: bool,
    /// More rounds, 10,000 connections, and nothing may be missing: nginx and HAProxy must be there.
    #[arg(long)]
    pub full: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `causeway bench forward`
#[derive(Debug, Args)]
pub struct Forward {
    /// Where calls go.
    #[arg(long)]
    pub to: SocketAddr,
    /// Over how many connections.
    #[arg(long)]
    pub connections: usize,
}

/// `causeway bench hop`
#[derive(Debug, Args)]
pub struct Hop {
    /// The router's configuration.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

/// `causeway bench step`
#[derive(Debug, Args)]
pub struct Step {
    /// As for `inference`.
    #[arg(long)]
    pub model: PathBuf,
    /// As for `inference`.
    #[arg(long)]
    pub threads: usize,
    /// As for `inference`.
    #[arg(long, value_enum)]
    pub form: Option<Form>,
    /// As for `inference`.
    #[arg(long, default_value_t = Device::Cpu)]
    pub device: Device,
    /// Where packed weights are kept.
    #[arg(long, value_name = "DIR")]
    pub packed_cache: Option<PathBuf>,
    /// The key of its row.
    #[arg(long, value_parser = Task::parse)]
    pub task: Task,
}

/// Instructions that the kernels may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// None beyond the target's own.
    Plain,
    /// AVX2 with FMA and F16C.
    Avx2,
    /// AVX-512 with VNNI.
    Avx512,
}

fn threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(threads @ 0..=1024) => Ok(threads),
        _ => Err("a whole number up to 1024".to_owned()),
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("a share from 0 to 1".to_owned()),
    }
}

fn pace(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(pace) if (0.001..=1000.0).contains(&pace) => Ok(pace),
        _ => Err("a factor from 0.001 to 1000".to_owned()),
    }
}

// === impl Fleet ===

impl Fleet {
    /// The ways that are compared.
    pub(super) fn ways(&self) -> Vec<Way> {
        self.way.map_or_else(|| Way::ALL.to_vec(), |way| vec![way])
    }
}
