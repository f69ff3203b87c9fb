//! The way that a device goes, on the tensor library's own processor: against this crate's kernels and the references.

use std::{borrow::Cow, collections::BTreeSet, path::Path};

use candle_core::{
    Device, Module, Result, Tensor,
    quantized::{GgmlDType, QMatMul, QStorage, QTensor},
};
use proptest::prelude::*;

use super::refusal;
use crate::{
    Error, KvType, Options,
    formats::ModelFile,
    model::{Architecture, Cache, Config, Executor, Link, Precision, Segment},
    parity,
    tiny::Tiny,
};

/// What the device's own product by index gives, matrix by matrix.
pub(super) fn indexed(stack: &QTensor, rows: &Tensor, ids: &Tensor) -> Result<Tensor> {
    let (count, outputs, inputs) = stack.shape().dims3()?;
    let (of, kind) = (stack.data()?, stack.dtype());
    let size = of.len() / count;
    let (batch, each) = ids.dims2()?;
    let shared = rows.dim(1)? == 1;
    let mut out = Vec::new();
    for (row, ids) in ids.to_vec2::<u32>()?.into_iter().enumerate() {
        for (at, id) in ids.into_iter().enumerate() {
            let id = id as usize;
            let bytes = Cow::Owned(of[id * size..(id + 1) * size].to_vec());
            let storage = QStorage::from_data(bytes, &Device::Cpu, kind)?;
            let matrix = QMatMul::from_qtensor(QTensor::new(storage, (outputs, inputs))?)?;
            let input = rows.get(row)?.narrow(0, if shared { 0 } else { at }, 1)?.contiguous()?;
            out.push(matrix.forward(&input)?);
        }
    }
    Tensor::cat(&out, 0)?.reshape((batch, each, outputs))
}

fn load(path: &Path, precision: Precision, device: crate::Device) -> Executor {
    let file = ModelFile::open(path).unwrap();
    let config = Config::read(&file).unwrap().for_context(300);
    Executor::load(&file, &config, precision, device).unwrap()
}

fn ids(count: usize, seed: u32) -> Vec<u32> {
    (0..count as u32).map(|n| (n * 37 + seed * 101) % 97).collect()
}

/// The greatest difference as a part of the greatest score.
fn error(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let greatest = expected.iter().fold(0f32, |most, score| most.max(score.abs()));
    let differences = found.iter().zip(expected).map(|(found, expected)| (found - expected).abs());
    differences.fold(0f32, |most, d| if d.is_nan() { f32::INFINITY } else { most.max(d) }) / greatest
}

#[test]
fn every_architecture_that_is_not_refused_gives_what_its_reference_gives() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/models");
    let mut names = BTreeSet::new();
    for (fixture, _) in parity::fixtures(&folder).unwrap() {
        match parity::check_on(&fixture, crate::Device::Library) {
            Ok(reports) => {
                for report in reports {
                    assert!(report.agrees(), "{report:#?}");
                    names.insert(report.architecture);
                }
            }
            Err(error) => assert!(error.to_string().contains("computed on the processor only"), "{error}"),
        }
    }
    let computed = Architecture::ALL.into_iter().filter(|architecture| refusal(*architecture).is_none());
    assert_eq!(names, computed.map(|architecture| architecture.name().to_owned()).collect());
}

/// What one sequence of a step does.
#[derive(Debug, Clone)]
struct Turn {
    sequence: usize,
    tokens: usize,
}

/// Steps of a few sequences, each with some of them, in ragged pieces.
fn steps() -> impl Strategy<Value = Vec<Vec<Turn>>> {
    let turn = (0usize..4, 1usize..40).prop_map(|(sequence, tokens)| Turn { sequence, tokens });
    let step = prop::collection::vec(turn, 1..4).prop_map(|mut turns| {
        turns.sort_by_key(|turn| turn.sequence);
        turns.dedup_by_key(|turn| turn.sequence);
        turns
    });
    prop::collection::vec(step, 1..6)
}

/// The scores of every sequence of every step.
fn scores(executor: &Executor, steps: &[Vec<Turn>]) -> Vec<Vec<f32>> {
    let mut caches: Vec<Cache> = (0..4).map(|_| executor.cache_in(KvType::F32).unwrap()).collect();
    let mut all = Vec::new();
    for step in steps {
        let tokens: Vec<Vec<u32>> = step
            .iter()
            .map(|turn| {
                let known = caches[turn.sequence].tokens();
                ids(known + turn.tokens, turn.sequence as u32)[known..].to_vec()
            })
            .collect();
        let mut segments = Vec::new();
        for (at, cache) in caches.iter_mut().enumerate() {
            if let Some(place) = step.iter().position(|turn| turn.sequence == at) {
                segments.push(Segment { tokens: &tokens[place], cache, scores: true });
            }
        }
        let last = vec![2; segments.len()];
        all.extend(executor.forward_last(&mut segments, &last).unwrap());
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn ragged_steps_give_what_the_kernels_give(steps in steps(), fixture in 0usize..4) {
        let fixture = ["gemma3", "qwen3moe-mixed", "gpt-oss", "phi3-long"][fixture];
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/models").join(fixture);
        let [ours, library] = [crate::Device::Cpu, crate::Device::Library]
            .map(|device| scores(&load(&path, Precision::Float32, device), &steps));
        prop_assert_eq!(ours.len(), library.len());
        for (ours, library) in ours.iter().zip(&library) {
            prop_assert!(error(library, ours) < 1e-3, "{}", error(library, ours));
        }
    }
}

#[test]
fn types_in_blocks_are_near_the_kernels_and_only_chosen_experts_are_computed() {
    let tiny = Tiny { hidden: 256, feed_forward: 256, heads: 8, ..Tiny::moe() };
    for kind in [GgmlDType::Q4K, GgmlDType::Q6K, GgmlDType::Q8_0, GgmlDType::Q4_0, GgmlDType::F16] {
        let folder = tempfile::tempdir().unwrap();
        let path = tiny.gguf(folder.path(), kind);
        let tokens = ids(50, 3);
        let [ours, library] = [crate::Device::Cpu, crate::Device::Library].map(|device| {
            let executor = load(&path, Precision::File, device);
            let mut cache = executor.cache_in(KvType::F16).unwrap();
            let mut choices = Vec::new();
            let segment = Segment { tokens: &tokens, cache: &mut cache, scores: true };
            let scores = executor.forward_telling(&mut [segment], &mut choices).unwrap();
            (scores, choices, executor.expert_load().rows())
        });
        assert!(error(&library.0[0], &ours.0[0]) < 0.03, "{kind:?}: {}", error(&library.0[0], &ours.0[0]));
        assert_eq!(library.1.len(), tiny.layers);
        let rows: u64 = library.2.iter().sum();
        assert_eq!(rows, (tokens.len() * tiny.top_k * tiny.layers) as u64, "rows × experts × layers");
        let told: usize = library.1.iter().flatten().map(Vec::len).sum();
        assert_eq!(told as u64, rows);
        assert_eq!(library.1[0], ours.1[0], "{kind:?}: the first router sees what both computed in floats");
    }
}

#[test]
fn a_beginning_is_taken_over_and_who_writes_to_a_shared_block_writes_to_a_copy() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/models/gemma3");
    let executor = load(&folder, Precision::Float32, crate::Device::Library);
    let ours = load(&folder, Precision::Float32, crate::Device::Cpu);
    let of = |executor: &Executor, cache: &mut Cache, tokens: &[u32]| {
        executor.forward(&mut [Segment { tokens, cache, scores: true }]).unwrap().remove(0)
    };
    let alone = |tokens: &[u32]| of(&ours, &mut ours.cache_in(KvType::F32).unwrap(), tokens);
    for kind in [KvType::F32, KvType::F16] {
        let pool = executor.pool(executor.layout(16), kind, 40).unwrap();
        let root = Link::root(&[7; 32], "");
        let first = ids(90, 1);
        let mut cache = pool.cache(Some(root));
        of(&executor, &mut cache, &first[..60]);
        of(&executor, &mut cache, &first[60..]);
        drop(cache);
        // Two go on in the middle of the sixth block, which both hold; each writes to its own.
        let seconds = [5, 6].map(|seed| [&first[..85], &ids(20, seed)].concat());
        let mut others = [(); 2].map(|()| pool.cache(Some(root)));
        for (other, tokens) in others.iter_mut().zip(&seconds) {
            assert_eq!(other.adopt(&tokens[..tokens.len() - 1]), 85);
        }
        for (other, tokens) in others.iter_mut().zip(&seconds) {
            let found = of(&executor, other, &tokens[85..]);
            assert!(error(&found, &alone(tokens)) < 2e-3, "{kind:?}");
        }
        let mut third = pool.cache(Some(root));
        assert_eq!(third.adopt(&first[..89]), 89, "what was there is as it was");
        assert!(error(&of(&executor, &mut third, &first[89..]), &alone(&first)) < 2e-3, "{kind:?}");
        third.truncate(40);
        let tokens = [&first[..40], &ids(30, 9)].concat();
        assert!(error(&of(&executor, &mut third, &tokens[40..]), &alone(&tokens)) < 2e-3, "{kind:?}");
        drop((others, third));
        assert_eq!(pool.fill().held, 0);
    }
}

#[test]
fn a_pool_ends_at_its_bound_and_grows_where_it_has_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = Tiny::dense().gguf(folder.path(), GgmlDType::Q8_0);
    let executor = load(&path, Precision::File, crate::Device::Library);
    let pool = executor.pool(executor.layout(16), KvType::F16, 3).unwrap();
    let tokens = ids(49, 2);
    let mut cache = pool.cache(None);
    let full = executor.forward(&mut [Segment { tokens: &tokens, cache: &mut cache, scores: true }]);
    assert_eq!(full, Err(Error::CacheFull { tokens_max: 48 }));
    let mut loose = executor.cache_in(KvType::F32).unwrap();
    let long = ids(1500, 4);
    for tokens in long.chunks(400) {
        executor.forward(&mut [Segment { tokens, cache: &mut loose, scores: false }]).unwrap();
    }
    let ours = load(&path, Precision::Float32, crate::Device::Cpu);
    let exact = load(&path, Precision::Float32, crate::Device::Library);
    let [ours, exact] = [ours, exact].map(|executor| {
        let mut cache = executor.cache_in(KvType::F32).unwrap();
        let mut last = Vec::new();
        for tokens in long.chunks(400) {
            last = executor.forward(&mut [Segment { tokens, cache: &mut cache, scores: true }]).unwrap();
        }
        last.remove(0)
    });
    assert!(error(&exact, &ours) < 1e-3, "what was there when it grew is as it was");
}

#[test]
fn what_a_device_does_not_compute_is_refused_by_name() {
    let check = |options: Options, part: &str| {
        let error = options.build().map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    let device = crate::Device::Library;
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/models");
    let file = ModelFile::open(&fixtures.join("deepseek2")).unwrap();
    let config = Config::read(&file).unwrap();
    let refused = Executor::load(&file, &config, Precision::File, device).map(|_| ()).unwrap_err();
    assert!(refused.to_string().contains("deepseek2: keeps keys and values compressed"), "{refused}");
    check(
        Options { device, kv_type: KvType::Q8, ..Options::default() },
        "`kv_type` is `q8`, which `library`",
    );
    let bounded = Options { device, experts_resident_bytes_max: Some(1), ..Options::default() };
    check(bounded, "`experts_resident_bytes_max` is set");
    #[cfg(not(feature = "cuda"))]
    {
        let folder = tempfile::tempdir().unwrap();
        let model = Tiny::dense().folder(folder.path(), safetensors::Dtype::F32);
        let card = Options { model, device: crate::Device::Cuda(0), ..Options::default() };
        check(card, "`device` is `cuda:0`, but this program was built without the feature `cuda`");
    }
}
