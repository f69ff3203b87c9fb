//! What can be typed after `causeway bench`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::task::Task;

/// `causeway bench`
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Time prompts and decoding of a model file, alone or in turns with llama.cpp on the same file.
    Inference(Inference),
    /// One measurement, in this process.
    #[command(hide = true)]
    Step(Step),
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
    /// Two rounds, and nothing at a long context.
    #[arg(long)]
    pub quick: bool,
    /// A measurement is dropped where other processes used a greater share of all processors.
    #[arg(long, value_name = "SHARE", default_value_t = 0.05, value_parser = share)]
    pub foreign_max: f64,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
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
