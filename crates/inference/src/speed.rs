//! Measurements of the kernels and of a model's steps, without the engine around them.

mod limits;

use std::time::{Duration, Instant};

use candle_core::{
    Device, Module, Tensor,
    quantized::{GgmlDType, QMatMul, QTensor},
};

use crate::{
    Error, ExpertCounters, KvType, LoadReport, Options,
    formats::{Bytes, ModelFile, RawTensor},
    kernels::{Form, Linear, Team, keep_freed_memory},
    model::{Cache, Config, Executor, Segment},
    text::Tokenizer,
};

pub use limits::Limits;

/// Holds the whole process to the first `count` of the processor's forms of the kernels, plain first, and names the one
/// in use. All forms give the same bits; this is for measuring what devices with fewer instructions would do.
pub fn hold_forms(count: usize) -> String {
    Form::hold(count);
    format!("{:?}", Form::best())
}

/// The types whose products have kernels of their own, as GGUF names them.
pub const TYPES: [&str; 8] = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"];

/// A matrix of noise of one type, to be multiplied.
#[derive(Debug)]
pub struct Product {
    copies: Vec<Linear>,
    candle: QMatMul,
    shape: [usize; 2],
    team: Team,
    next: usize,
}

impl Product {
    /// `copies` matrices of `outputs × inputs` weights, taken in turn, so that many of them do not fit the caches.
    ///
    /// # Errors
    ///
    /// An unknown type, a shape that its blocks do not divide, or the system's refusal of threads.
    pub fn new(kind: &str, shape: [usize; 2], copies: usize, threads: usize) -> Result<Self, Error> {
        let kind = match kind {
            "Q4_0" => GgmlDType::Q4_0,
            "Q4_1" => GgmlDType::Q4_1,
            "Q5_0" => GgmlDType::Q5_0,
            "Q5_1" => GgmlDType::Q5_1,
            "Q8_0" => GgmlDType::Q8_0,
            "Q4_K" => GgmlDType::Q4K,
            "Q5_K" => GgmlDType::Q5K,
            "Q6_K" => GgmlDType::Q6K,
            other => return Err(Error::Compute { problem: format!("no kernel is for {other}") }),
        };
        let [outputs, inputs] = shape;
        let weights = Tensor::from_vec(noise(outputs * inputs), (outputs, inputs), &Device::Cpu)?;
        let weights = QTensor::quantize(&weights, kind)?;
        let bytes = Bytes::owned(weights.data()?.to_vec());
        let team = Team::new(threads).map_err(|error| Error::Compute { problem: error.to_string() })?;
        let copy = || {
            let tensor = RawTensor { kind, shape: shape.to_vec(), bytes: bytes.clone() };
            team.install(|| Linear::new(tensor)).map_err(|problem| Error::Compute { problem })
        };
        let copies = (0..copies.max(1)).map(|_| copy()).collect::<Result<_, _>>()?;
        Ok(Self { copies, candle: QMatMul::from_qtensor(weights)?, shape, team, next: 0 })
    }

    /// How long `clock` says that `count` products with `rows` rows take.
    pub fn time(&mut self, rows: usize, count: usize, clock: &dyn Fn() -> Duration) -> Duration {
        let input = noise(rows * self.shape[1]);
        let started = clock();
        for _ in 0..count {
            self.next = (self.next + 1) % self.copies.len();
            let matrix = &self.copies[self.next];
            drop(std::hint::black_box(self.team.install(|| matrix.product(&input))));
        }
        clock() - started
    }

    /// The same for the tensor library's own product, on its own threads.
    ///
    /// # Errors
    ///
    /// The library's.
    pub fn time_candle(
        &self,
        rows: usize,
        count: usize,
        clock: &dyn Fn() -> Duration,
    ) -> Result<Duration, Error> {
        let input = Tensor::from_vec(noise(rows * self.shape[1]), (rows, self.shape[1]), &Device::Cpu)?;
        let started = clock();
        for _ in 0..count {
            drop(std::hint::black_box(self.candle.forward(&input)?));
        }
        Ok(clock() - started)
    }
}

fn noise(count: usize) -> Vec<f32> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..count).map(|_| next()).collect()
}

/// What a token costs at least: what decoding one reads, and multiplies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Work {
    /// Bytes of weights in the file's types, of the chosen experts only.
    pub bytes: f64,
    /// Weights, each a multiplication and an addition.
    pub weights: f64,
}

impl Work {
    /// Counts the matrices: all but the table of embeddings where the head is another, and of experts the chosen share.
    fn of(file: &ModelFile, config: &Config) -> Self {
        let chosen = config.experts.map_or(1.0, |experts| experts.top_k as f64 / experts.count as f64);
        let has_head =
            ["output.weight", "lm_head.weight"].iter().any(|name| file.tensors.contains_key(*name));
        let mut work = Self { bytes: 0.0, weights: 0.0 };
        for (name, tensor) in file.tensors.iter().filter(|(_, tensor)| tensor.shape.len() > 1) {
            let share = if name.contains("_exps") || name.contains(".experts.") { chosen } else { 1.0 };
            let is_table = name.contains("embd") || name.contains("embed_tokens");
            if !(has_head && is_table) {
                work.bytes += share * tensor.bytes.len() as f64;
                work.weights += share * tensor.elements() as f64;
            }
        }
        work
    }
}

/// A loaded model and its threads.
#[derive(Debug)]
pub struct Model {
    executor: Executor,
    team: Team,
    work: Work,
    vocabulary: usize,
    step_tokens_max: usize,
    kv_type: KvType,
    loading: LoadReport,
    /// As other engines have theirs in memory when they are measured.
    _tokenizer: Tokenizer,
}

impl Model {
    /// Loads the model of `options` with its tokenizer; what else concerns requests is left aside.
    ///
    /// # Errors
    ///
    /// [`Error::BadOption`] and [`Error::Model`] say what to change.
    pub fn load(options: &Options) -> Result<Self, Error> {
        options.validate()?;
        keep_freed_memory();
        let team = Team::new(options.threads)
            .map_err(|error| Error::BadOption { field: "threads", problem: error.to_string() })?;
        let started = Instant::now();
        let file = options.open_model()?;
        let config = Config::read(&file)?;
        let (vocabulary, work) = (config.vocabulary, Work::of(&file, &config));
        let tokenizer = Tokenizer::read(&file, vocabulary)?;
        let (executor, loading) = team.install(|| options.load_on_device(&file, &config))?;
        let loading = LoadReport { took: started.elapsed(), ..loading };
        Ok(Self {
            executor,
            team,
            work,
            vocabulary,
            step_tokens_max: options.step_tokens_max,
            kv_type: options.kv_type,
            loading,
            _tokenizer: tokenizer,
        })
    }

    /// What was needed of experts, where they are bounded.
    #[must_use]
    pub fn experts(&self) -> ExpertCounters {
        self.executor.expert_load().residency()
    }

    /// How the weights came in.
    #[must_use]
    pub fn loading(&self) -> LoadReport {
        self.loading
    }

    /// What one token costs.
    #[must_use]
    pub fn work(&self) -> Work {
        self.work
    }

    /// How long a prompt of `tokens` takes.
    ///
    /// # Errors
    ///
    /// The computation's.
    pub fn prefill(&self, tokens: usize) -> Result<Duration, Error> {
        let mut cache = self.executor.cache_in(self.kv_type)?;
        let started = Instant::now();
        self.extend(&mut cache, tokens)?;
        Ok(started.elapsed())
    }

    /// How long `steps` steps of `batch` sequences take, each with `context` tokens before it.
    ///
    /// # Errors
    ///
    /// The computation's.
    pub fn decode(&self, batch: usize, context: usize, steps: usize) -> Result<Duration, Error> {
        let mut caches = self.caches(batch, context)?;
        self.steps(&mut caches, steps)
    }

    /// How long `steps` steps of one sequence take, `count` times one after another, after `context` tokens.
    ///
    /// # Errors
    ///
    /// The computation's.
    pub fn decode_on(&self, context: usize, steps: usize, count: usize) -> Result<Vec<Duration>, Error> {
        let mut caches = self.caches(1, context)?;
        (0..count).map(|_| self.steps(&mut caches, steps)).collect()
    }

    fn caches(&self, batch: usize, context: usize) -> Result<Vec<Cache>, Error> {
        let caches = (0..batch).map(|_| self.executor.cache_in(self.kv_type));
        let mut caches = caches.collect::<Result<Vec<Cache>, Error>>()?;
        for cache in &mut caches {
            self.extend(cache, context)?;
        }
        Ok(caches)
    }

    fn steps(&self, caches: &mut [Cache], steps: usize) -> Result<Duration, Error> {
        let started = Instant::now();
        for step in 0..steps {
            let ids: Vec<u32> = (0..caches.len()).map(|at| self.id(step * 31 + at * 977)).collect();
            let segments = caches.iter_mut().zip(&ids);
            let segments =
                segments.map(|(cache, id)| Segment { tokens: std::slice::from_ref(id), cache, scores: true });
            let mut segments: Vec<Segment<'_>> = segments.collect();
            self.team.install(|| self.executor.forward(&mut segments))?;
        }
        Ok(started.elapsed())
    }

    fn id(&self, at: usize) -> u32 {
        (at * 7_919 % self.vocabulary) as u32
    }

    fn extend(&self, cache: &mut Cache, tokens: usize) -> Result<(), Error> {
        let ids: Vec<u32> = (0..tokens).map(|at| self.id(at)).collect();
        let mut chunks = ids.chunks(self.step_tokens_max).peekable();
        while let Some(tokens) = chunks.next() {
            let scores = chunks.peek().is_none();
            let mut segments = [Segment { tokens, cache: &mut *cache, scores }];
            self.team.install(|| self.executor.forward(&mut segments))?;
        }
        Ok(())
    }
}
