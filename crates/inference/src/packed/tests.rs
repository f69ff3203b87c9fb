//! Packed files: the same numbers from memory, a new file and an old one; never a broken one; never more than the bound.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use candle_core::quantized::GgmlDType;

use super::{Folder, Packing, table, writer::Writer};
use crate::{
    LoadReport, Options, Packed,
    kernels::Team,
    model::{Config, Decoder, Segment},
    tiny::Tiny,
};

fn options(model: &Path, folder: &Path) -> Options {
    Options { model: model.to_owned(), packed_cache: Some(folder.to_owned()), ..Options::default() }
}

fn load(options: &Options) -> (Decoder, LoadReport) {
    let file = options.open_model().unwrap();
    let config = Config::read(&file).unwrap();
    Team::new(2).unwrap().install(|| options.load(&file, &config)).unwrap()
}

fn scores(decoder: &Decoder) -> Vec<f32> {
    let tokens: Vec<u32> = (0..23).map(|n| n * 37 % 250).collect();
    let mut cache = decoder.cache();
    decoder.forward(&mut [Segment { tokens: &tokens, cache: &mut cache, scores: true }]).unwrap().remove(0)
}

/// How the weights came in, and what the model says.
fn loaded(options: &Options) -> (Packed, Vec<f32>) {
    let (decoder, report) = load(options);
    (report.packed, scores(&decoder))
}

/// The files in the folder with this ending.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|found| found == ending)).collect()
}

#[test]
fn weights_from_memory_and_from_a_new_and_an_old_file_give_the_same_bits() {
    for kind in [GgmlDType::Q4_0, GgmlDType::Q8_0, GgmlDType::Q5_0, GgmlDType::BF16] {
        for tiny in [Tiny::dense(), Tiny::moe(), Tiny::llama()] {
            let folder = tempfile::tempdir().unwrap();
            let model = tiny.gguf(folder.path(), kind);
            let packed = folder.path().join("packed");
            let memory = loaded(&Options { packed_cache: None, ..options(&model, &packed) });
            let options = options(&model, &packed);
            assert_eq!(loaded(&options), (Packed::Fresh, memory.1.clone()), "{kind:?}");
            assert_eq!(loaded(&options), (Packed::Cached, memory.1), "{kind:?}");
            assert_eq!(files(&packed, "tiles").len(), 1);
            assert_eq!(files(&packed, "part"), Vec::<PathBuf>::new());
        }
    }
}

#[test]
fn a_broken_file_is_packed_anew() {
    let folder = tempfile::tempdir().unwrap();
    let model = Tiny::moe().gguf(folder.path(), GgmlDType::Q4_0);
    let packed = folder.path().join("packed");
    let options = options(&model, &packed);
    let right = loaded(&options).1;
    let path = files(&packed, "tiles").remove(0);
    let whole = fs::read(&path).unwrap();
    let start = u64::from_le_bytes(whole[56..64].try_into().unwrap()) as usize;
    let hash = options.open_model().unwrap().hash;
    let is_found = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        super::find(&path, hash).is_some()
    };
    assert!(is_found(&whole));
    for at in (0..table::HEADER).chain(start..whole.len()) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(!is_found(&flipped), "byte {at}");
    }
    for length in (0..whole.len()).step_by(whole.len() / 97).chain([1, table::HEADER, whole.len() - 1]) {
        assert!(!is_found(&whole[..length]), "{length} bytes");
    }
    let mut longer = whole.clone();
    longer.push(0);
    assert!(!is_found(&longer));
    assert_eq!(loaded(&options), (Packed::Fresh, right.clone()));
    assert_eq!(loaded(&options), (Packed::Cached, right));
    assert_eq!(fs::read(&path).unwrap(), whole);
}

#[test]
fn numbers_that_changed_in_a_packed_file_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    let model = Tiny { layers: 1, ..Tiny::moe() }.gguf(folder.path(), GgmlDType::Q4_0);
    let packed = folder.path().join("packed");
    let options = options(&model, &packed);
    let _fresh = loaded(&options);
    let path = files(&packed, "tiles").remove(0);
    let mut bytes = fs::read(&path).unwrap();
    let start = u64::from_le_bytes(bytes[56..64].try_into().unwrap()) as usize;
    for at in (table::ALIGNMENT..start).step_by(3) {
        bytes[at] = 0xff;
    }
    fs::write(&path, bytes).unwrap();
    assert_eq!(loaded(&options).0, Packed::Cached);
}

#[test]
fn another_models_file_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let model = Tiny::moe().gguf(folder.path(), GgmlDType::Q4_0);
    let packed = folder.path().join("packed");
    let right = loaded(&options(&model, &packed)).1;
    let own = files(&packed, "tiles").remove(0);
    fs::create_dir(folder.path().join("other")).unwrap();
    let other = Tiny { seed: 8, ..Tiny::moe() }.gguf(&folder.path().join("other"), GgmlDType::Q4_0);
    let _other = loaded(&options(&other, &packed));
    let others = files(&packed, "tiles").into_iter().find(|path| *path != own).unwrap();
    fs::rename(others, own).unwrap();
    assert_eq!(loaded(&options(&model, &packed)), (Packed::Fresh, right));
}

#[test]
fn files_together_stay_within_the_bound() {
    let folder = tempfile::tempdir().unwrap();
    let packed = folder.path().join("packed");
    let mut models = Vec::new();
    for seed in 0..3 {
        let own = folder.path().join(seed.to_string());
        fs::create_dir(&own).unwrap();
        models.push(Tiny { seed, ..Tiny::moe() }.gguf(&own, GgmlDType::Q4_0));
    }
    let _first = loaded(&options(&models[0], &packed));
    let one = fs::metadata(files(&packed, "tiles").remove(0)).unwrap().len();
    let bounded = |model: &Path, bytes_max: u64| {
        loaded(&Options { packed_cache_bytes_max: bytes_max, ..options(model, &packed) }).0
    };
    assert_eq!(bounded(&models[1], 1_000), Packed::InMemory);
    assert_eq!(files(&packed, "tiles").len(), 1);
    for (model, expected) in [
        (&models[0], Packed::Cached),
        (&models[1], Packed::Fresh),
        (&models[0], Packed::Cached),
        // The second was used longest ago and makes room.
        (&models[2], Packed::Fresh),
        (&models[0], Packed::Cached),
        (&models[1], Packed::Fresh),
    ] {
        assert_eq!(bounded(model, 2 * one + one / 2), expected);
        let used: u64 = files(&packed, "tiles").iter().map(|path| fs::metadata(path).unwrap().len()).sum();
        assert!(used <= 2 * one + one / 2, "{used}");
    }
}

#[test]
fn where_nothing_can_be_written_weights_stay_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let model = Tiny::dense().gguf(folder.path(), GgmlDType::Q4_0);
    assert_eq!(loaded(&options(&model, &model.join("packed"))).0, Packed::InMemory);
}

#[test]
fn what_was_written_before_the_disk_was_full_is_used_and_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tiles");
    let lock = File::create(folder.path().join("lock")).unwrap();
    let mut writer = Writer::new(path.clone(), [7; 32], lock).unwrap();
    let first = writer.append([1; 16], &[5; 5_000]).unwrap();
    writer.refuse();
    assert!(writer.append([2; 16], &[6; 5_000]).is_none());
    assert!(first.as_slice().is_empty());
    let (packed, _) = writer.finish().unwrap();
    assert_eq!(packed, Packed::InMemory);
    assert_eq!(first.as_slice(), [5; 5_000]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "only the lock is left");
}

#[test]
fn one_process_packs_and_the_others_wait_for_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let model = Tiny::moe().gguf(folder.path(), GgmlDType::Q4_0);
    let packed = folder.path().join("packed");
    let found: Vec<Packed> = std::thread::scope(|scope| {
        let one = || scope.spawn(|| loaded(&options(&model, &packed)).0);
        let all: Vec<_> = (0..4).map(|_| one()).collect();
        all.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(found.iter().filter(|packed| **packed == Packed::Fresh).count(), 1, "{found:?}");
    assert_eq!(found.iter().filter(|packed| **packed == Packed::Cached).count(), 3, "{found:?}");
}

#[test]
fn a_model_with_a_number_that_is_not_finite_is_refused_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let model = Tiny::moe().gguf(folder.path(), GgmlDType::Q4_0);
    let packed = folder.path().join("packed");
    let options = options(&model, &packed);
    let tensor = options.open_model().unwrap().tensors["blk.1.ffn_up_exps.weight"].clone();
    let mut bytes = fs::read(&model).unwrap();
    let at = tensor.bytes.start();
    bytes[at..at + 2].copy_from_slice(&half::f16::NAN.to_le_bytes());
    fs::write(&model, bytes).unwrap();
    let problem = options.build().map(drop).unwrap_err().to_string();
    assert!(problem.contains("blk.1.ffn_up_exps.weight") && problem.contains("not finite"), "{problem}");
    assert_eq!((files(&packed, "tiles").len(), files(&packed, "part").len()), (0, 0));
}

#[test]
fn a_model_that_is_refused_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let packed = folder.path().join("packed");
    let hash = [3; 32];
    let packing = Folder::new(&packed, 1 << 30).packing(hash, 1_000);
    assert!(matches!(packing, Packing::Writing(_)));
    drop(packing);
    assert_eq!((files(&packed, "tiles").len(), files(&packed, "part").len()), (0, 0));
}
