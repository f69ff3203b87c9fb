//! Files and configurations of every architecture, changed by the thousand: an error or a model that computes, never a
//! panic, and never for long.

use std::{
    fs,
    panic::catch_unwind,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    Error,
    formats::ModelFile,
    model::{Config, Decoder, Segment},
};

/// A case that takes longer found a loop.
const CASE_MAX: Duration = Duration::from_secs(20);

fn fixtures() -> Vec<PathBuf> {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/models");
    let mut folders: Vec<PathBuf> =
        fs::read_dir(models).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

/// Loads the model and computes a step.
fn compute(path: &Path) -> Result<(), Error> {
    let file = ModelFile::open(path)?;
    let config = Config::read(&file)?.for_context(64);
    let vocabulary = config.vocabulary as u32;
    let decoder = Decoder::load(&file, &config)?;
    let tokens = [0, 1, 2].map(|id| id % vocabulary);
    let mut cache = decoder.cache();
    decoder.forward(&mut [Segment { tokens: &tokens, cache: &mut cache, scores: true }]).map(drop)
}

/// What became of cases.
#[derive(Default)]
struct Cases {
    tried: usize,
    accepted: usize,
    failed: Vec<String>,
}

impl Cases {
    /// Tries a case; `what` tells of it where it fails.
    fn check(&mut self, path: &Path, what: &dyn Fn() -> String) {
        let started = Instant::now();
        let result = catch_unwind(|| compute(path));
        self.tried += 1;
        self.accepted += usize::from(matches!(result, Ok(Ok(()))));
        if result.is_err() || started.elapsed() > CASE_MAX {
            self.failed.push(format!("{} took {:?}", what(), started.elapsed()));
        }
    }

    /// None failed, of at least so many; some were accepted and some refused.
    fn done(&self, tried_min: usize) {
        assert!(self.failed.is_empty(), "{:#?}", self.failed);
        assert!(
            self.tried >= tried_min && (1..self.tried).contains(&self.accepted),
            "{} of {}",
            self.accepted,
            self.tried
        );
    }
}

struct Noise(u64);

impl Noise {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound.max(1)
    }

    /// One to three changes within the first `reach` bytes.
    fn change(&mut self, bytes: &mut Vec<u8>, reach: usize) {
        const NUMBERS: [u64; 10] = [0, 1, 2, 31, 33, 255, 1 << 31, 1 << 32, 1 << 63, u64::MAX];
        for _ in 0..=self.below(3) {
            let reach = reach.min(bytes.len());
            let at = self.below(reach);
            match self.below(8) {
                0 => bytes.truncate(at),
                1..4 => {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= 1 << self.below(8);
                    }
                }
                4 | 5 => {
                    let width = [1, 2, 4, 8][self.below(4)];
                    let number = NUMBERS[self.below(NUMBERS.len())].to_le_bytes();
                    let end = (at + width).min(bytes.len());
                    bytes[at..end].copy_from_slice(&number[..end - at]);
                }
                6 => {
                    let (from, length) = (self.below(reach), self.below(40));
                    let piece = bytes[from..(from + length).min(bytes.len())].to_vec();
                    bytes.splice(at..at, piece);
                }
                _ => drop(bytes.drain(at..(at + self.below(40)).min(bytes.len()))),
            }
        }
    }
}

#[test]
fn a_gguf_file_of_any_architecture_changed_anyhow_never_panics() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("changed.gguf");
    let mut cases = Cases::default();
    for (index, fixture) in fixtures().iter().enumerate() {
        let Ok(whole) = fs::read(fixture.join("model.gguf")) else { continue };
        let mut noise = Noise(index as u64);
        // Behind the header are numbers only, any of which is a weight.
        let reach = whole.len() / 3;
        for case in 0..200 {
            let mut changed = whole.clone();
            noise.change(&mut changed, reach);
            fs::write(&path, &changed).unwrap();
            cases.check(&path, &|| format!("{} case {case}", fixture.display()));
        }
    }
    cases.done(2_000);
}

#[test]
fn a_safetensors_header_of_any_architecture_changed_anyhow_never_panics() {
    let folder = tempfile::tempdir().unwrap();
    let mut cases = Cases::default();
    for (index, fixture) in fixtures().iter().enumerate() {
        let Ok(whole) = fs::read(fixture.join("model.safetensors")) else { continue };
        fs::copy(fixture.join("config.json"), folder.path().join("config.json")).unwrap();
        let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
        let mut noise = Noise(index as u64 + 99);
        for case in 0..120 {
            let mut changed = whole.clone();
            noise.change(&mut changed, header);
            fs::write(folder.path().join("model.safetensors"), &changed).unwrap();
            cases.check(folder.path(), &|| format!("{} case {case}", fixture.display()));
        }
    }
    cases.done(2_000);
}

/// The places of all values in a JSON text.
fn places(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| places(value, &format!("{at}/{key}"), all)),
        Value::Array(list) => {
            list.iter().enumerate().take(3).for_each(|(n, value)| places(value, &format!("{at}/{n}"), all));
        }
        _ => {}
    }
}

#[test]
fn a_configuration_with_any_value_in_any_place_never_panics() {
    let folder = tempfile::tempdir().unwrap();
    let awkward = [
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(3),
        json!(-1),
        json!(7),
        json!(1u64 << 33),
        json!(u64::MAX),
        json!(0.0),
        json!(-0.5),
        json!(1e-300),
        json!(1e300),
        json!(""),
        json!("x"),
        json!([]),
        json!([0]),
        json!({}),
    ];
    let mut cases = Cases::default();
    for fixture in fixtures() {
        let config: Value = serde_json::from_slice(&fs::read(fixture.join("config.json")).unwrap()).unwrap();
        if fs::copy(fixture.join("model.safetensors"), folder.path().join("model.safetensors")).is_err() {
            continue;
        }
        let mut all = Vec::new();
        places(&config, "", &mut all);
        for place in all {
            for value in &awkward {
                let mut changed = config.clone();
                *changed.pointer_mut(&place).unwrap() = value.clone();
                fs::write(folder.path().join("config.json"), changed.to_string()).unwrap();
                let what = || format!("{} with {place} = {value}", fixture.display());
                cases.check(folder.path(), &what);
            }
        }
    }
    cases.done(5_000);
}
