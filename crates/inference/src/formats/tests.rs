//! Broken files: cut anywhere, changed anywhere, or lying about their sizes; each an error that says where.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use candle_core::quantized::GgmlDType;
use safetensors::Dtype;
use serde_json::{Value, json};

use crate::{
    Error, Options,
    formats::ModelFile,
    tiny::{Tiny, write_folder},
};

/// The error's part and problem; building must fail without a panic.
fn refused(path: &Path) -> (String, String) {
    let options = Options { model: path.to_owned(), threads: 1, ..Options::default() };
    match options.build() {
        Err(Error::Model { file, part, problem }) => {
            assert!(file.starts_with(path), "{file:?} is not in {path:?}");
            (part, problem)
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("{path:?} was accepted"),
    }
}

/// A tiny GGUF file's bytes, changed, written and refused.
fn check_gguf(change: impl FnOnce(&mut Vec<u8>), part: &str, problem: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = Tiny::moe().gguf(folder.path(), GgmlDType::Q4_0);
    let mut bytes = std::fs::read(&path).unwrap();
    change(&mut bytes);
    std::fs::write(&path, bytes).unwrap();
    let (found_part, found) = refused(&path);
    assert!(found_part.contains(part) && found.contains(problem), "{found_part}: {found}");
}

/// Where `text` ends in the file.
fn after(bytes: &[u8], text: &str) -> usize {
    bytes.windows(text.len()).position(|window| window == text.as_bytes()).unwrap() + text.len()
}

/// Overwrites the file's bytes from `skip` after `text`, or from its start where `text` is empty.
fn put(text: &'static str, skip: isize, value: impl AsRef<[u8]>) -> impl FnOnce(&mut Vec<u8>) {
    move |bytes| {
        let value = value.as_ref();
        let start = if text.is_empty() { 0 } else { after(bytes, text) };
        let start = start.checked_add_signed(skip).unwrap();
        bytes[start..start + value.len()].copy_from_slice(value);
    }
}

#[test]
fn a_gguf_file_with_a_broken_header_is_refused_by_field() {
    let huge = u64::MAX.to_le_bytes();
    check_gguf(put("", 0, b"X"), "magic", "starts with");
    check_gguf(put("", 4, [9]), "version", "is 9; 2 and 3");
    check_gguf(put("", 8, huge), "header", "do not fit");
    check_gguf(put("", 16, huge), "header", "do not fit");
    check_gguf(put("", 24, huge), "metadata key", "the file ends");
    check_gguf(|bytes| bytes.truncate(2), "magic", "the file ends");
    check_gguf(|bytes| bytes.truncate(bytes.len() - 4_000), "token_embd.weight", "past the end");
    check_gguf(Vec::clear, "file", "is empty");
    let tokens = "tokenizer.ggml.tokens";
    check_gguf(put(tokens, 8, huge), tokens, "bytes of the file are left");
    check_gguf(put(tokens, 4, [9]), tokens, "arrays of arrays");
    check_gguf(put(tokens, 0, [77]), tokens, "value type 77");
    check_gguf(put(tokens, 24, [0xff]), tokens, "UTF-8");
}

#[test]
fn a_gguf_file_with_a_broken_tensor_is_refused_by_its_name() {
    let name = "blk.0.attn_q.weight";
    check_gguf(put(name, 0, [0]), name, "0 dimensions");
    check_gguf(put(name, 0, [5]), name, "5 dimensions");
    check_gguf(put(name, 4, u64::MAX.to_le_bytes()), name, "more elements than");
    check_gguf(put(name, 4, 0u64.to_le_bytes()), name, "is empty");
    check_gguf(put(name, 4, 48u64.to_le_bytes()), name, "blocks of 32");
    check_gguf(put(name, 12, 96u64.to_le_bytes()), name, "has shape [96, 64]");
    check_gguf(put(name, 20, [16]), name, "type IQ2_XXS, which is not");
    check_gguf(put(name, 20, [77]), name, "type number 77, which is not");
    check_gguf(put(name, 24, (1u64 << 62).to_le_bytes()), name, "past the end");
    check_gguf(put(name, -1, b"X"), name, "missing");
    check_gguf(put("blk.2.ffn_up_exps.weight", -1, b"X"), "blk.2.ffn_up_exps.weight", "missing");
}

#[test]
fn metadata_that_cannot_be_computed_is_refused_by_key() {
    let set = |key: &'static str, value: u32| put(key, 4, value.to_le_bytes());
    check_gguf(set("qwen3moe.block_count", u32::MAX), "block_count", "is 4294967295");
    check_gguf(set("qwen3moe.embedding_length", 0), "embedding_length", "is 0");
    check_gguf(set("qwen3moe.embedding_length", 128), "", "asks for [");
    check_gguf(set("qwen3moe.attention.head_count", 5), "heads", "do not share");
    check_gguf(set("qwen3moe.attention.key_length", 31), "head width", "even");
    check_gguf(set("qwen3moe.expert_used_count", 6), "experts per token", "6 of 5");
    check_gguf(set("qwen3moe.expert_count", 4_000), "ffn_gate_inp", "asks for [4000, 64]");
    check_gguf(set("tokenizer.ggml.eos_token_id", 70_000), "eos_token_id", "beyond the vocabulary");
    let architecture = "general.architecture";
    check_gguf(put(architecture, 12, b"mamba222"), architecture, "mamba222 is not supported; llama");
    check_gguf(put("tokenizer.ggml.model", 12, b"bert"), "tokenizer.ggml.model", "is bert; gpt2");
    check_gguf(put("tokenizer.ggml.pre", 12, b"bloom"), "tokenizer.ggml.pre", "is bloom; gpt-2, default");
    check_gguf(put("<|im_start|>", -3, b"X"), "<|im_start|>", "ChatML needs it");
}

#[test]
fn a_gguf_file_cut_or_flipped_anywhere_never_panics() {
    let folder = tempfile::tempdir().unwrap();
    let path = Tiny { layers: 1, ..Tiny::dense() }.gguf(folder.path(), GgmlDType::Q4_0);
    let whole = std::fs::read(&path).unwrap();
    let cut = folder.path().join("cut.gguf");
    // The last tensor is followed by up to 31 bytes that nothing needs.
    for length in (0..whole.len() - 32).step_by(whole.len() / 61) {
        std::fs::write(&cut, &whole[..length]).unwrap();
        refused(&cut);
    }
    let header = after(&whole, "output_norm.weight");
    let mut state = 1u64;
    for _ in 0..300 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut flipped = whole.clone();
        flipped[(state >> 33) as usize % header] ^= 1 << (state % 8);
        std::fs::write(&cut, flipped).unwrap();
        // A flip in a name or a number may leave a file that is whole; only a panic is wrong.
        let _ = Options { model: cut.clone(), threads: 1, ..Options::default() }.build();
    }
}

/// A tiny folder, changed and refused.
fn check_folder(change: impl FnOnce(&Path), file: &str, part: &str, problem: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = Tiny::moe().folder(folder.path(), Dtype::BF16);
    change(&path);
    match ModelFile::open(&path).map(|_| refused(&path)) {
        Ok((found_part, found)) => {
            assert!(found_part.contains(part) && found.contains(problem), "{found_part}: {found}");
        }
        Err(Error::Model { file: found_file, part: found_part, problem: found }) => {
            assert!(found_file.ends_with(file), "{found_file:?}");
            assert!(found_part.contains(part) && found.contains(problem), "{found_part}: {found}");
        }
        Err(other) => panic!("{other}"),
    }
}

fn set_config(key: &'static str, value: Value) -> impl FnOnce(&Path) {
    move |folder| {
        let mut config = Tiny::moe().config();
        config[key] = value;
        std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    }
}

fn change_weights(change: impl FnOnce(&mut BTreeMap<String, (Vec<usize>, Vec<f32>)>)) -> impl FnOnce(&Path) {
    move |folder| {
        let mut weights = Tiny::moe().weights();
        change(&mut weights);
        write_folder(folder, &Tiny::moe().config(), &weights, Dtype::BF16);
    }
}

fn change_bytes(file: &'static str, change: impl FnOnce(&mut Vec<u8>)) -> impl FnOnce(&Path) {
    move |folder| {
        let mut bytes = std::fs::read(folder.join(file)).unwrap();
        change(&mut bytes);
        std::fs::write(folder.join(file), bytes).unwrap();
    }
}

#[test]
fn a_broken_folder_is_refused_by_file_and_field() {
    let weights = "model.safetensors";
    check_folder(
        |f| std::fs::remove_file(f.join("config.json")).unwrap(),
        "config.json",
        "JSON",
        "cannot be opened",
    );
    check_folder(|f| std::fs::remove_file(f.join(weights)).unwrap(), weights, "file", "cannot be read");
    check_folder(
        change_bytes("tokenizer.json", |b| b.truncate(99)),
        "tokenizer.json",
        "JSON",
        "cannot be parsed",
    );
    check_folder(
        change_bytes("tokenizer.json", |b| *b = b"{}".into()),
        "tokenizer.json",
        "decoder",
        "is missing",
    );
    check_folder(change_bytes(weights, |b| b.truncate(b.len() - 1)), weights, "header", "");
    check_folder(change_bytes(weights, |b| b.truncate(7)), weights, "header", "");
    check_folder(change_bytes(weights, |b| b[7] = 0xff), weights, "header", "");
    check_folder(change_bytes(weights, |b| b[8] = b'!'), weights, "header", "");
}

#[test]
fn a_folder_with_a_wrong_tensor_or_number_is_refused_by_its_name() {
    let weights = "model.safetensors";
    let gate = "model.layers.1.mlp.gate.weight";
    check_folder(change_weights(|w| drop(w.remove(gate))), weights, gate, "missing");
    check_folder(
        change_weights(|w| w.get_mut(gate).unwrap().0 = vec![64, 5]),
        weights,
        gate,
        "has shape [64, 5]",
    );
    check_folder(
        change_weights(|w| w.get_mut(gate).unwrap().1[70] = f32::NAN),
        "",
        gate,
        "not finite in row 1",
    );
    check_folder(
        change_weights(|w| w.get_mut("model.norm.weight").unwrap().1[7] = f32::INFINITY),
        "",
        "model.norm.weight",
        "not finite",
    );
}

#[test]
fn a_configuration_that_cannot_be_computed_is_refused_by_field() {
    check_folder(
        set_config("model_type", json!("mamba")),
        "config.json",
        "model_type",
        "mamba is not supported; llama, qwen2,",
    );
    check_folder(set_config("hidden_act", json!("gelu")), "config.json", "hidden_act", "gelu");
    check_folder(
        set_config("rope_scaling", json!({ "rope_type": "spiral" })),
        "config.json",
        "rope_type",
        "spiral is not supported; linear,",
    );
    check_folder(set_config("attention_bias", json!(true)), "", "self_attn.q_proj.bias", "missing");
    check_folder(
        set_config("rope_scaling", json!({ "rope_type": "yarn", "factor": -1.0 })),
        "",
        "rotation scaling",
        "does not suit",
    );
    check_folder(
        set_config(
            "rope_scaling",
            json!({ "rope_type": "longrope", "short_factor": [1], "long_factor": [1] }),
        ),
        "",
        "rotation scaling",
        "does not suit 16 pairs",
    );
    check_folder(
        set_config("num_hidden_layers", json!(-3)),
        "config.json",
        "num_hidden_layers",
        "missing or not",
    );
    check_folder(set_config("num_experts_per_tok", json!(9)), "", "experts per token", "9 of 5");
    check_folder(set_config("rms_norm_eps", json!(-1.0)), "", "norm epsilon", "positive");
    check_folder(
        set_config("vocab_size", json!(1_000_000_000_000u64)),
        "config.json",
        "vocab_size",
        "is 1000000000000",
    );
}

#[test]
fn shards_are_read_and_must_lie_in_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let tiny = Tiny::dense();
    let path = tiny.folder(folder.path(), Dtype::F32);
    std::fs::rename(path.join("model.safetensors"), path.join("model-1.safetensors")).unwrap();
    let index = |file: &str| {
        let map: BTreeMap<String, &str> = tiny.weights().into_keys().map(|name| (name, file)).collect();
        let index = json!({ "weight_map": map });
        std::fs::write(path.join("model.safetensors.index.json"), index.to_string()).unwrap();
    };
    index("model-1.safetensors");
    assert_eq!(ModelFile::open(&path).unwrap().tensors.len(), tiny.weights().len());
    index("../model-1.safetensors");
    let Err(Error::Model { problem, .. }) = ModelFile::open(&path) else { panic!("accepted") };
    assert!(problem.contains("not a file name"), "{problem}");
    index("model-2.safetensors");
    assert!(
        matches!(ModelFile::open(&path), Err(Error::Model { file, .. }) if file.ends_with("model-2.safetensors"))
    );
}

#[test]
fn the_hash_is_that_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = Tiny::dense().gguf(folder.path(), GgmlDType::Q8_0);
    let hash = ModelFile::open(&path).unwrap().hash;
    assert_eq!(hash, *blake3::hash(&std::fs::read(&path).unwrap()).as_bytes());
}

#[test]
fn a_quantised_tensor_with_a_broken_scale_is_refused_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = Tiny::moe().gguf(folder.path(), GgmlDType::Q4_0);
    let tensor = ModelFile::open(&path).unwrap().tensors["blk.1.ffn_up_exps.weight"].clone();
    let block = tensor.bytes.part(18 * 5, 18).unwrap().as_slice().to_vec();
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(18).rposition(|window| window == block).unwrap();
    bytes[at..at + 2].copy_from_slice(&half::f16::INFINITY.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    let (part, problem) = refused(&path);
    assert!(
        part == "blk.1.ffn_up_exps.weight" && problem.contains("not finite in row 2"),
        "{part}: {problem}"
    );
}

#[test]
fn every_type_of_a_gguf_file_has_the_numbers_of_the_reference() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let file = ModelFile::open(&folder.join("quants.gguf")).unwrap();
    let expected = std::fs::read(folder.join("quants.safetensors")).unwrap();
    let expected = safetensors::SafeTensors::deserialize(&expected).unwrap();
    assert_eq!(file.tensors.len(), expected.len());
    for (name, tensor) in &file.tensors {
        let view = expected.tensor(name).unwrap();
        let numbers = tensor.floats(&file.path, name).unwrap();
        let wanted: Vec<f32> =
            view.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        assert_eq!(tensor.shape, view.shape(), "{name}");
        assert_eq!(numbers, wanted, "{name}");
        assert_eq!(tensor.first_broken(), None, "{name}");
    }
}

#[test]
fn a_safetensors_header_cut_or_flipped_anywhere_never_panics() {
    let folder = tempfile::tempdir().unwrap();
    let path = Tiny { layers: 1, ..Tiny::dense() }.folder(folder.path(), Dtype::BF16);
    let weights = path.join("model.safetensors");
    let whole = std::fs::read(&weights).unwrap();
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    for length in (0..whole.len()).step_by(whole.len() / 41) {
        std::fs::write(&weights, &whole[..length]).unwrap();
        refused(&path);
    }
    for at in (0..header).step_by(5) {
        for bit in [at % 7, 7] {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << bit;
            std::fs::write(&weights, flipped).unwrap();
            // A flip in a name or a number may leave a file that is whole; only a panic is wrong.
            let _ = ModelFile::open(&path).and_then(|file| crate::model::Config::read(&file).map(|_| file));
        }
    }
}

#[test]
fn a_gguf_header_flipped_at_every_byte_never_panics() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let whole = std::fs::read(fixtures.join("quants.gguf")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flipped.gguf");
    let header = after(&whole, "MXFP4.near") + 40;
    for at in 0..header {
        for bit in [at % 7, 7] {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << bit;
            std::fs::write(&path, flipped).unwrap();
            let _ = ModelFile::open(&path);
        }
    }
}
