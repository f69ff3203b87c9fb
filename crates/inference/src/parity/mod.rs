//! Parity: whether a model file gives the scores, the greedy tokens and the experts that a reference gave for it.
//!
//! A fixture is a folder with a model and what is expected of it; `crates/inference/fixtures/README.md` describes the
//! files.

mod expected;
mod texts;

use std::path::{Path, PathBuf};

use expected::Expected;
pub use texts::{TextReport, check_texts};

use crate::{
    Device, Error, KvType,
    formats::ModelFile,
    model::{Choices, Config, Executor, Precision, Segment},
};

/// Scores may differ by this part of the greatest score of their position.
pub const SCORE_ERROR_MAX: f64 = 1e-3;
/// Where the reference's two best scores are closer than this, either may win.
pub const MARGIN_MIN: f32 = 1e-3;

/// What one model of a fixture gave.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// The model's file or folder.
    pub path: PathBuf,
    /// As [`crate::ModelInfo::architecture`] says it.
    pub architecture: String,
    /// The types of its tensors, the most common first.
    pub types: Vec<String>,
    /// Positions whose scores were compared.
    pub positions: usize,
    /// The greatest difference of scores, weights in f32, as a part of its position's greatest score.
    pub score_error: f64,
    /// The same with weights as the file holds them, whose products round the activations to 8 bits.
    pub file_score_error: f64,
    /// Greedy tokens that are the reference's, and all whose margin decides.
    pub greedy: (usize, usize),
    /// Rows of expert layers whose experts are the reference's, and all of them.
    pub experts: (usize, usize),
    /// Computing the prompt in two steps beside another sequence, or token by token, gives the same bits; on a device, the
    /// same scores as near as they have to be to the reference's.
    pub chunks_agree: bool,
}

impl Report {
    /// Whether all of it is as the reference gave it.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.score_error <= SCORE_ERROR_MAX
            && self.greedy.0 == self.greedy.1
            && self.experts.0 == self.experts.1
            && self.chunks_agree
    }
}

/// What a fixture tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Models: [`check`].
    Models,
    /// Tokenizers or templates: [`check_texts`].
    Texts,
}

/// Every fixture at or below `folder`, by path.
///
/// # Errors
///
/// [`Error::Model`] names the file that cannot be read.
pub fn fixtures(folder: &Path) -> Result<Vec<(PathBuf, Kind)>, Error> {
    let refused = |error: std::io::Error| Error::model(folder, "folder", format!("cannot be read: {error}"));
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(refused)? {
            let path = entry.map_err(refused)?.path();
            if path.is_dir() {
                folders.push(path);
            }
        }
        if expected::file_in(&folder, None).is_some() {
            found.push((folder, Kind::Models));
        } else if texts::is_fixture(&folder) {
            found.push((folder, Kind::Texts));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

/// Tries every model of one fixture: the folder itself and each GGUF file in it.
///
/// # Errors
///
/// [`Error::Model`] where a model is refused or what is expected of it cannot be read.
pub fn check(fixture: &Path) -> Result<Vec<Report>, Error> {
    check_on(fixture, Device::Cpu)
}

/// The same on a device.
///
/// # Errors
///
/// As [`check`], and [`Error::BadOption`] where there is no such device.
pub fn check_on(fixture: &Path, device: Device) -> Result<Vec<Report>, Error> {
    let mut models = Vec::new();
    if fixture.join("config.json").exists() {
        models.push(fixture.to_owned());
    }
    let entries = std::fs::read_dir(fixture)
        .map_err(|error| Error::model(fixture, "folder", format!("cannot be read: {error}")))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "gguf"));
    files.sort();
    models.extend(files);
    if models.is_empty() {
        return Err(Error::model(fixture, "fixture", "holds neither config.json nor a .gguf file"));
    }
    models.iter().map(|model| check_model(fixture, model, device)).collect()
}

fn check_model(fixture: &Path, path: &Path, device: Device) -> Result<Report, Error> {
    let stem = path.is_file().then(|| path.file_stem()).flatten();
    let expected = Expected::read(fixture, stem.and_then(|stem| stem.to_str()))?;
    let file = ModelFile::open(path)?;
    let model = Model { config: Config::read(&file)?, file, device };
    expected.check(fixture, model.config.vocabulary, model.config.experts.is_some())?;
    let length = expected.prompt.len();
    let exact = model.executor(length, Precision::Float32)?;
    let (scores, choices) = token_by_token(&exact, &expected.prompt)?;
    let own = model.executor(length, Precision::File)?;
    let (file_scores, _) = token_by_token(&own, &expected.prompt)?;
    Ok(Report {
        path: path.to_owned(),
        architecture: model.config.architecture.name().to_owned(),
        types: types(&model.file),
        positions: scores.len(),
        score_error: error(&scores, &expected.scores),
        file_score_error: error(&file_scores, &expected.scores),
        greedy: greedy(&model, &expected)?,
        experts: experts(&choices, &expected.experts),
        chunks_agree: match device.is_own() {
            true => in_chunks(&own, &expected.prompt)? == file_scores.last().cloned(),
            false => {
                let (chunks, alone) = (in_chunks(&exact, &expected.prompt)?, scores.last().cloned());
                error(chunks.as_slice(), alone.as_slice()) <= SCORE_ERROR_MAX
            }
        },
    })
}

/// A model that is loaded for the context at hand.
struct Model {
    file: ModelFile,
    config: Config,
    device: Device,
}

impl Model {
    fn executor(&self, tokens: usize, precision: Precision) -> Result<Executor, Error> {
        Executor::load(&self.file, &self.config.clone().for_context(tokens), precision, self.device)
    }
}

/// Scores after each token, and the experts of each row by layer.
fn token_by_token(executor: &Executor, tokens: &[u32]) -> Result<(Vec<Vec<f32>>, Vec<Choices>), Error> {
    let mut cache = executor.cache_in(KvType::F32)?;
    let mut scores = Vec::new();
    let mut choices: Vec<Choices> = Vec::new();
    for token in tokens.chunks(1) {
        let mut layers = Vec::new();
        let segment = Segment { tokens: token, cache: &mut cache, scores: true };
        scores.extend(executor.forward_telling(&mut [segment], &mut layers)?);
        choices.resize(layers.len(), Choices::new());
        choices.iter_mut().zip(layers).for_each(|(all, rows)| all.extend(rows));
    }
    Ok((scores, choices))
}

/// The scores after the prompt in two pieces, each in one step with another sequence.
fn in_chunks(executor: &Executor, prompt: &[u32]) -> Result<Option<Vec<f32>>, Error> {
    let (mut cache, mut other) = (executor.cache_in(KvType::F32)?, executor.cache_in(KvType::F32)?);
    let mut last = Vec::new();
    for tokens in prompt.chunks(prompt.len().div_ceil(2).max(1)) {
        last = executor.forward(&mut [
            Segment { tokens: &prompt[..1], cache: &mut other, scores: false },
            Segment { tokens, cache: &mut cache, scores: true },
        ])?;
    }
    Ok(last.pop())
}

/// Follows the reference's tokens and counts where the greatest score is theirs.
fn greedy(model: &Model, expected: &Expected) -> Result<(usize, usize), Error> {
    let ropes = |tokens: usize| model.config.clone().for_context(tokens).ropes;
    let tokens = [expected.prompt.as_slice(), &expected.greedy].concat();
    let start = expected.prompt.len();
    let mut executor = model.executor(start, Precision::Float32)?;
    let mut cache = executor.cache_in(KvType::F32)?;
    let (mut equal, mut decided) = (0, 0);
    for (at, margin) in expected.margins.iter().enumerate() {
        let length = start + at;
        // The reference starts anew where a longer context changes its rotation.
        if at > 0 && ropes(length) != ropes(length - 1) {
            executor = model.executor(length, Precision::Float32)?;
            cache = executor.cache_in(KvType::F32)?;
        }
        let next = &tokens[cache.tokens()..length];
        let scores = executor.forward(&mut [Segment { tokens: next, cache: &mut cache, scores: true }])?;
        let scores = scores.first().map(Vec::as_slice).unwrap_or_default();
        let best = (0..scores.len()).max_by(|a, b| scores[*a].total_cmp(&scores[*b]).then(b.cmp(a)));
        if *margin > MARGIN_MIN {
            decided += 1;
            equal += usize::from(best == Some(expected.greedy[at] as usize));
        }
    }
    Ok((equal, decided))
}

fn error(found: &[Vec<f32>], expected: &[Vec<f32>]) -> f64 {
    let of_row = |(found, expected): (&Vec<f32>, &Vec<f32>)| {
        let greatest = expected.iter().fold(0f32, |most, value| most.max(value.abs()));
        let differences = found.iter().zip(expected).map(|(f, e)| (f - e).abs());
        // A NaN is the worst there is.
        let most = differences.fold(0f32, |most, d| if d.is_nan() { f32::INFINITY } else { most.max(d) });
        f64::from(most) / f64::from(greatest.max(f32::MIN_POSITIVE))
    };
    found.iter().zip(expected).map(of_row).fold(0.0, f64::max)
}

/// Compares the experts of each row as sets.
fn experts(found: &[Choices], expected: &[Choices]) -> (usize, usize) {
    let total = expected.iter().map(Vec::len).sum();
    let sorted = |row: &Vec<usize>| {
        let mut row = row.clone();
        row.sort_unstable();
        row
    };
    let rows = found.iter().zip(expected).flat_map(|(found, expected)| found.iter().zip(expected));
    (rows.filter(|(found, expected)| sorted(found) == sorted(expected)).count(), total)
}

fn types(file: &ModelFile) -> Vec<String> {
    let mut counts: Vec<(String, u64)> = Vec::new();
    for tensor in file.tensors.values() {
        let name = format!("{:?}", tensor.kind);
        match counts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += tensor.elements(),
            None => counts.push((name, tensor.elements())),
        }
    }
    counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    counts.into_iter().map(|(name, _)| name).collect()
}
