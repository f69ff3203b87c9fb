//! From options to a loaded, measured engine.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use candle_core::quantized::GgmlDType;

use super::{
    Handle, Service,
    inbox::{Bounds, Shared},
    meter::Meter,
    places,
    service::Computing,
    speculate::Speculation,
};
use crate::{
    Device, Error, KvType, LoadReport, ModelInfo, Options,
    formats::{Description, Hashes, ModelFile},
    hub,
    kernels::{Form, Team, keep_freed_memory},
    model::{Config, Decoder, Executor, Precision, Segment},
    packed::{Folder, Packing},
    sampling::defaults,
    text::Tokenizer,
};

/// Tokens of the measurement at build; enough to fault the weights in and to leave noise behind.
const MEASURED_PREFILL_TOKENS: usize = 32;
const MEASURED_DECODE_TOKENS: usize = 4;

impl Options {
    /// Loads the model and measures it once. The service must be run on a thread of its own.
    ///
    /// # Errors
    ///
    /// [`Error::BadOption`] and [`Error::Model`] say what to change.
    pub fn build(self) -> Result<(Service, Handle), Error> {
        self.validate()?;
        keep_freed_memory();
        let team = Team::new(self.threads)
            .map_err(|error| Error::BadOption { field: "threads", problem: error.to_string() })?;
        let started = Instant::now();
        let file = self.open_model()?;
        let config = Config::read(&file)?.for_context(self.context_tokens_max);
        let context_tokens_max = config.context_tokens_max;
        let tokenizer = Tokenizer::read(&file, config.vocabulary)?;
        let sampling = defaults(&file)?;
        let mut info = describe(&file, &config, context_tokens_max);
        let (executor, loading) = team.install(|| self.load_on_device(&file, &config))?;
        info.loading = LoadReport { took: started.elapsed(), ..loading };
        info.numeric_class = self.numeric_class();
        let layout = executor.layout(self.kv_block_tokens);
        let blocks_max = places::blocks_max(&self, context_tokens_max, &layout)?;
        let pool = executor.pool(layout, self.kv_type, blocks_max)?;
        let meter = team.install(|| measure(&executor, &info, &self))?;
        executor.expert_load().clear();
        let speculation = team.install(|| Speculation::open(&self, &tokenizer))?;
        let bounds = Bounds { queue_len_max: self.queue_len_max, draft_tokens_max: self.draft_tokens_max };
        let events = Arc::clone(pool.events());
        let words = (tokenizer, sampling);
        let shared = Arc::new(Shared::new(info, words, bounds, executor.expert_load().clone(), events));
        let handle = Handle::new(Arc::clone(&shared));
        let computing = Computing { executor, team: Arc::new(team), pool, speculation };
        Ok((Service::new(shared, computing, &self, meter), handle))
    }

    /// The model's files.
    pub(crate) fn open_model(&self) -> Result<ModelFile, Error> {
        let hashes = self.packed_cache.as_deref().map_or_else(Hashes::none, Hashes::noted_in);
        ModelFile::open_knowing(&hub::resolve(&self.model, &self.hub)?, &hashes)
    }

    /// The class of engines that compute the same bits, or that at least are of one kind.
    fn numeric_class(&self) -> String {
        let kernels = match self.device {
            Device::Cpu => format!("{:?}", Form::best()),
            // Cards differ, and so do steps on one: its class only keeps answers from going on elsewhere.
            device => device.to_string().split(':').next().unwrap_or_default().to_owned(),
        };
        format!("{kernels}-{:?}", self.kv_type).to_lowercase()
    }

    /// The model's weights where the options want them computed.
    pub(crate) fn load_on_device(
        &self,
        file: &ModelFile,
        config: &Config,
    ) -> Result<(Executor, LoadReport), Error> {
        if self.device.is_own() {
            return self.load(file, config).map(|(decoder, report)| (decoder.into(), report));
        }
        let started = Instant::now();
        let executor = Executor::load(file, config, Precision::File, self.device)?;
        Ok((executor, LoadReport { took: started.elapsed(), ..LoadReport::default() }))
    }

    /// The model's weights for this crate's kernels, packed where the options say.
    pub(crate) fn load(&self, file: &ModelFile, config: &Config) -> Result<(Decoder, LoadReport), Error> {
        let started = Instant::now();
        let packing = match &self.packed_cache {
            None => Packing::Memory,
            Some(folder) => Folder::new(folder, self.packed_cache_bytes_max).packing(file.hash, file.bytes()),
        };
        let mut decoder = Decoder::load_packed(file, config, &packing)?;
        let (packed, packed_bytes) = packing.finish().map_err(|error| {
            Error::model(&file.path, "packed weights", format!("cannot be read back: {error}"))
        })?;
        if let Some(bytes_max) = self.experts_resident_bytes_max {
            let field = "experts_resident_bytes_max";
            decoder.limit_experts(bytes_max).map_err(|problem| Error::BadOption { field, problem })?;
        }
        Ok((decoder, LoadReport { took: started.elapsed(), packed, packed_bytes }))
    }
}

/// Runs a made-up prompt and a few tokens, so that the first load report is a measurement.
fn measure(executor: &Executor, info: &ModelInfo, options: &Options) -> Result<Meter, Error> {
    // The first steps on a device also bring its kernels there.
    if !options.device.is_own() {
        measure_once(executor, info, options.step_interval_min)?;
    }
    measure_once(executor, info, options.step_interval_min)
}

fn measure_once(executor: &Executor, info: &ModelInfo, interval: Duration) -> Result<Meter, Error> {
    let ids: Vec<u32> = (0..MEASURED_PREFILL_TOKENS + MEASURED_DECODE_TOKENS)
        .map(|id| (id % info.vocabulary) as u32)
        .take(info.context_tokens_max)
        .collect();
    let mut cache = executor.cache_in(KvType::F32)?;
    let mut timed = |tokens: &[u32]| {
        let started = Instant::now();
        executor.forward(&mut [Segment { tokens, cache: &mut cache, scores: true }])?;
        Ok::<_, Error>(started.elapsed().max(interval))
    };
    let (prompt, answer) = ids.split_at(ids.len().min(MEASURED_PREFILL_TOKENS));
    let prefill = timed(prompt)?;
    let mut decode = prefill;
    for at in 0..answer.len() {
        decode = timed(&answer[at..=at])?;
    }
    Ok(Meter::new(prompt.len(), prefill, decode))
}

fn describe(file: &ModelFile, config: &Config, context_tokens_max: usize) -> ModelInfo {
    let own_name = file.path.file_stem().map(|name| name.to_string_lossy().into_owned());
    let name = match &file.description {
        Description::Gguf(metadata) => metadata.text("general.name").map(str::to_owned).or(own_name),
        Description::HuggingFace { .. } => own_name,
    };
    let elements = |expert: bool| -> u64 {
        let of_expert = |name: &str| name.contains(".experts.") || name.contains("_exps.");
        file.tensors.iter().filter(|(name, _)| of_expert(name) == expert).map(|(_, t)| t.elements()).sum()
    };
    let (shared, experts) = (elements(false), elements(true));
    let active = config.experts.map_or(0, |e| experts / e.count as u64 * e.top_k as u64);
    ModelInfo {
        name: name.unwrap_or_default(),
        architecture: config.architecture.name().to_owned(),
        hash: file.hash,
        parameters: shared + experts,
        active_parameters: shared + active,
        context_tokens_max,
        quantization: quantization(file),
        numeric_class: String::new(),
        vocabulary: config.vocabulary,
        loading: LoadReport::default(),
    }
}

/// The type that holds most weights, by the name that GGUF gives it.
fn quantization(file: &ModelFile) -> String {
    let kinds: Vec<(GgmlDType, u64)> = file.tensors.values().map(|t| (t.kind, t.elements())).collect();
    let total = |kind: GgmlDType| -> u64 { kinds.iter().filter(|(k, _)| *k == kind).map(|(_, n)| n).sum() };
    let most = kinds.iter().map(|(kind, _)| *kind).max_by_key(|kind| total(*kind));
    let name = most.map(|kind| format!("{kind:?}")).unwrap_or_default();
    match name.strip_suffix('K') {
        Some(bits) => format!("{bits}_K"),
        None => name,
    }
}
