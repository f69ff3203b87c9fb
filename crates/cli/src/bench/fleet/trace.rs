//! Requests to replay: recorded ones where they are, made-up ones where not.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use flate2::read::GzDecoder;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

use super::kind::{GPUS, Gpu, Kind};

/// Most requests that are read.
const REQUESTS_MAX: usize = 1_000_000;
/// The model whose layers were measured on every GPU.
const MODEL: &str = "CodeLlama-34b-Instruct-hf";
/// The fleet: each GPU and how many make one worker.
const FLEET: [(&str, u32); 6] = [("h100", 2), ("a100", 2), ("a100", 4), ("a100", 2), ("a40", 4), ("a40", 4)];

/// One request.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Request {
    /// When it comes, milliseconds.
    pub t_ms: f64,
    /// Tokens of its prompt.
    pub input_tokens: u32,
    /// Tokens of its answer.
    pub output_tokens: u32,
    /// Its prompt's blocks of 512 tokens; equal ids are equal prefixes.
    #[serde(default)]
    pub prefix_blocks: Vec<u64>,
}

#[derive(Debug, Deserialize)]
struct Layer {
    gpu: String,
    model: String,
    tensor_parallel: u32,
    tokens: usize,
    layer_ms: f64,
}

/// The recorded requests of this name.
pub fn recorded(data: &Path, name: &str) -> Result<Vec<Request>> {
    let file = data.join(format!("traces/{name}.jsonl.gz"));
    let requests: Vec<Request> = lines(&file)?;
    ensure!(!requests.is_empty(), "{}: it holds no request", file.display());
    let whole = requests.iter().all(|one| one.t_ms.is_finite() && one.t_ms >= 0.0);
    ensure!(whole, "{}: a request has no time", file.display());
    Ok(requests)
}

/// Made-up requests: exponential gaps, log-normal lengths whose medians are those of recorded chats.
pub fn made_up(count: usize, seed: u64) -> Vec<Request> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut t_ms = 0.0;
    let mut unit = move || random.random_range(f64::EPSILON..1.0);
    let mut request = || {
        t_ms -= unit().ln() * 185.0;
        let mut length = |median: f64, spread: f64, max: f64| {
            let normal = (-2.0 * unit().ln()).sqrt() * (std::f64::consts::TAU * unit()).cos();
            (median * (normal * spread).exp()).clamp(1.0, max) as u32
        };
        let (input_tokens, output_tokens) = (length(1000.0, 0.8, 14_000.0), length(150.0, 0.8, 1000.0));
        Request { t_ms, input_tokens, output_tokens, prefix_blocks: Vec::new() }
    };
    (0..count).map(|_| request()).collect()
}

/// The workers, by measured layer times where `data` has them.
pub fn fleet(data: Option<&Path>) -> Result<Vec<Kind>> {
    let file = data.map(|data| data.join("traces/gpu_layer_times.jsonl.gz"));
    let layers: Vec<Layer> = file.as_deref().map(lines).transpose()?.unwrap_or_default();
    let kind = |(name, parallel): (&str, u32)| {
        let gpu: Gpu =
            *GPUS.iter().find(|gpu| gpu.name == name).context("the fleet has a GPU of no data sheet")?;
        let of =
            |layer: &&Layer| layer.gpu == name && layer.tensor_parallel == parallel && layer.model == MODEL;
        let measured: Vec<_> = layers.iter().filter(of).map(|one| (one.tokens, one.layer_ms)).collect();
        ensure!(data.is_none() || !measured.is_empty(), "gpu_layer_times has nothing of {parallel} {name}");
        Ok(Kind::new(gpu, parallel, measured))
    };
    FLEET.into_iter().map(kind).collect()
}

fn lines<T: for<'a> Deserialize<'a>>(file: &Path) -> Result<Vec<T>> {
    let open = File::open(file).with_context(|| format!("{}: cannot be opened", file.display()))?;
    let mut rows = Vec::new();
    for (index, line) in BufReader::new(GzDecoder::new(open)).lines().enumerate() {
        let line = line.with_context(|| format!("{}: cannot be read", file.display()))?;
        ensure!(rows.len() < REQUESTS_MAX, "{}: more than {REQUESTS_MAX} lines", file.display());
        let row = serde_json::from_str(&line);
        rows.push(row.with_context(|| format!("{}:{}: not as it should be", file.display(), index + 1))?);
    }
    Ok(rows)
}
