//! A step's scores: against a plain computation, in both formats, and in any company.

use std::path::Path;

use candle_core::{D, DType, Device, Result, Tensor, quantized::GgmlDType};
use safetensors::Dtype;

use super::{Config, Decoder, Segment};
use crate::{formats::ModelFile, kernels::Team, tiny::Tiny};

fn load(path: &Path) -> Decoder {
    let file = ModelFile::open(path).unwrap();
    let config = Config::read(&file).unwrap();
    Decoder::load(&file, &config).unwrap()
}

fn ids(count: usize, seed: u32) -> Vec<u32> {
    (0..count as u32).map(|n| (n * 37 + seed * 101) % 250).collect()
}

/// Scores after the last of `tokens`, computed in pieces of `chunk`.
fn scores(decoder: &Decoder, tokens: &[u32], chunk: usize) -> Vec<f32> {
    let mut cache = decoder.cache();
    let mut last = Vec::new();
    for tokens in tokens.chunks(chunk) {
        last = decoder.forward(&mut [Segment { tokens, cache: &mut cache, scores: true }]).unwrap();
    }
    last.remove(0)
}

/// The whole model written down plainly over candle's own operations, every expert computed for every row.
fn plain(tiny: &Tiny, tokens: &[u32]) -> Result<Vec<f32>> {
    let weights = tiny.weights();
    let get = |name: &str| -> Result<Tensor> {
        let (shape, values) = &weights[name];
        Tensor::from_vec(values.clone(), shape.clone(), &Device::Cpu)
    };
    let norm = |x: &Tensor, name: &str| -> Result<Tensor> {
        let mean = (x.sqr()?.mean_keepdim(D::Minus1)? + 1e-6)?;
        x.broadcast_div(&mean.sqrt()?)?.broadcast_mul(&get(name)?)
    };
    let linear = |x: &Tensor, name: &str| x.matmul(&get(name)?.t()?);
    let gated = |x: &Tensor, at: &str| -> Result<Tensor> {
        let gate = linear(x, &format!("{at}.gate_proj.weight"))?.silu()?;
        linear(&(gate * linear(x, &format!("{at}.up_proj.weight"))?)?, &format!("{at}.down_proj.weight"))
    };
    let count = tokens.len();
    let ids = Tensor::new(tokens, &Device::Cpu)?;
    let embedding = get("model.embed_tokens.weight")?;
    let mut x = embedding.index_select(&ids, 0)?;
    for layer in 0..tiny.layers {
        let at = format!("model.layers.{layer}");
        let h = norm(&x, &format!("{at}.input_layernorm.weight"))?;
        let heads = |part: &str, heads: usize, normed: bool| -> Result<Tensor> {
            let x = linear(&h, &format!("{at}.self_attn.{part}_proj.weight"))?;
            let x = x.reshape((count, heads, tiny.head_width))?;
            let normed = normed && tiny.architecture != "llama";
            let x = if normed { norm(&x, &format!("{at}.self_attn.{part}_norm.weight"))? } else { x };
            x.transpose(0, 1)?.contiguous()
        };
        let query = turned(&heads("q", tiny.heads, true)?)?;
        let repeat = |x: Tensor| -> Result<Tensor> {
            let group = tiny.heads / tiny.key_heads;
            let index: Vec<u32> = (0..tiny.heads as u32).map(|head| head / group as u32).collect();
            x.index_select(&Tensor::new(index, &Device::Cpu)?, 0)
        };
        let key = repeat(turned(&heads("k", tiny.key_heads, true)?)?)?;
        let value = repeat(heads("v", tiny.key_heads, false)?)?;
        let scores = (query.matmul(&key.t()?)? / (tiny.head_width as f64).sqrt())?;
        let weights = scores.broadcast_add(&causal(count)?)?;
        let weights = weights.broadcast_sub(&weights.max_keepdim(D::Minus1)?)?.exp()?;
        let weights = weights.broadcast_div(&weights.sum_keepdim(D::Minus1)?)?;
        let out = weights.matmul(&value)?.transpose(0, 1)?.contiguous()?.reshape((count, ()))?;
        x = (&x + linear(&out, &format!("{at}.self_attn.o_proj.weight"))?)?;
        let h = norm(&x, &format!("{at}.post_attention_layernorm.weight"))?;
        let mixed = if tiny.experts == 0 {
            gated(&h, &format!("{at}.mlp"))?
        } else {
            let parts = (0..tiny.experts).map(|e| gated(&h, &format!("{at}.mlp.experts.{e}")));
            let parts = Tensor::stack(&parts.collect::<Result<Vec<_>>>()?, 1)?;
            let shares = shares(&linear(&h, &format!("{at}.mlp.gate.weight"))?, tiny.top_k)?;
            parts.broadcast_mul(&shares.unsqueeze(2)?)?.sum(1)?
        };
        x = (&x + mixed)?;
    }
    let last = norm(&x.narrow(0, count - 1, 1)?, "model.norm.weight")?;
    let head = if tiny.tied { embedding } else { get("lm_head.weight")? };
    last.matmul(&head.t()?)?.flatten_all()?.to_dtype(DType::F32)?.to_vec1()
}

/// Added to scores: minus infinity where a position is later than the one that asks.
fn causal(count: usize) -> Result<Tensor> {
    let mask = (0..count * count).map(|at| if at % count > at / count { f32::NEG_INFINITY } else { 0.0 });
    Tensor::from_vec(mask.collect::<Vec<f32>>(), (1, count, count), &Device::Cpu)
}

/// Each row's shares of its best experts, 0 for the others.
fn shares(scores: &Tensor, top_k: usize) -> Result<Tensor> {
    let rows = scores.exp()?.to_vec2::<f32>()?;
    let kept = rows.into_iter().flat_map(|row| {
        let mut sorted = row.clone();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let sum: f32 = sorted[..top_k].iter().sum();
        let least = sorted[top_k - 1];
        row.into_iter().map(move |v| if v >= least { v / sum } else { 0.0 })
    });
    Tensor::from_vec(kept.collect::<Vec<_>>(), scores.shape(), &Device::Cpu)
}

/// Rotates `[head, position, width]`, pairs half a head apart.
fn turned(x: &Tensor) -> Result<Tensor> {
    let (_, count, width) = x.dims3()?;
    let angle =
        |position: usize, pair: usize| position as f64 * 10_000f64.powf(-2.0 * pair as f64 / width as f64);
    let table = |f: fn(f64) -> f64| {
        let values = (0..count).flat_map(|p| (0..width / 2).map(move |pair| f(angle(p, pair)) as f32));
        Tensor::from_vec(values.collect::<Vec<_>>(), (1, count, width / 2), &Device::Cpu)
    };
    let (cos, sin) = (table(f64::cos)?, table(f64::sin)?);
    let (a, b) = (x.narrow(2, 0, width / 2)?, x.narrow(2, width / 2, width / 2)?);
    let first = (a.broadcast_mul(&cos)? - b.broadcast_mul(&sin)?)?;
    let second = (b.broadcast_mul(&cos)? + a.broadcast_mul(&sin)?)?;
    Tensor::cat(&[first, second], 2)
}

fn largest_difference(left: &[f32], right: &[f32]) -> f32 {
    assert_eq!(left.len(), right.len());
    left.iter().zip(right).map(|(l, r)| (l - r).abs()).fold(0.0, f32::max)
}

fn check_against_plain(tiny: &Tiny) {
    let tokens = ids(19, 1);
    let expected = plain(tiny, &tokens).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let from_folder = scores(&load(&tiny.folder(folder.path(), Dtype::F32)), &tokens, 7);
    assert!(largest_difference(&from_folder, &expected) < 2e-4, "{tiny:?}");
    let from_gguf = scores(&load(&tiny.gguf(folder.path(), GgmlDType::F32)), &tokens, 19);
    if tiny.architecture == "llama" {
        // Its rows are permuted in GGUF, which changes the order of the sums.
        assert!(largest_difference(&from_gguf, &expected) < 2e-4);
    } else {
        assert_eq!(from_gguf, from_folder, "both formats hold the same numbers");
    }
}

#[test]
fn scores_are_those_of_the_plain_computation() {
    check_against_plain(&Tiny::dense());
    check_against_plain(&Tiny::moe());
    check_against_plain(&Tiny::llama());
    check_against_plain(&Tiny { key_heads: 6, tied: true, ..Tiny::moe() });
}

#[test]
fn four_bit_scores_stay_near_the_float_ones() {
    let tiny = Tiny::moe();
    let folder = tempfile::tempdir().unwrap();
    let tokens = ids(12, 3);
    let float = scores(&load(&tiny.folder(folder.path(), Dtype::F32)), &tokens, 12);
    let spread = float.iter().copied().fold(0.0, f32::max);
    for (kind, part) in [(GgmlDType::Q8_0, 0.05), (GgmlDType::F16, 0.01), (GgmlDType::BF16, 0.05)] {
        let other = scores(&load(&tiny.gguf(folder.path(), kind)), &tokens, 12);
        assert!(largest_difference(&other, &float) < part * spread, "{kind:?}");
    }
}

/// Every sequence alone, then all of them in one ragged step, must give the same bits.
fn check_company(decoder: &Decoder) {
    let prompts: Vec<Vec<u32>> =
        [3, 17, 1, 40].iter().zip(1..).map(|(count, seed)| ids(*count, seed)).collect();
    let alone: Vec<Vec<f32>> = prompts.iter().map(|tokens| scores(decoder, tokens, tokens.len())).collect();
    for chunk in [1, 2, 5, 16] {
        for (tokens, alone) in prompts.iter().zip(&alone) {
            assert_eq!(&scores(decoder, tokens, chunk), alone, "in chunks of {chunk}");
        }
    }
    let mut caches: Vec<_> = prompts.iter().map(|_| decoder.cache()).collect();
    let mut segments: Vec<Segment<'_>> = prompts
        .iter()
        .zip(&mut caches)
        .map(|(tokens, cache)| Segment { tokens, cache, scores: true })
        .collect();
    assert_eq!(decoder.forward(&mut segments).unwrap(), alone, "together");
}

#[test]
fn a_row_has_the_same_bits_in_any_company_chunk_and_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    for threads in [1, 3] {
        let pool = Team::new(threads).unwrap();
        for kind in [GgmlDType::Q4_0, GgmlDType::Q8_0, GgmlDType::BF16] {
            let decoder = load(&Tiny::moe().gguf(folder.path(), kind));
            pool.install(|| check_company(&decoder));
        }
    }
    let path = Tiny { hidden: 256, heads: 8, feed_forward: 512, ..Tiny::dense() }
        .gguf(folder.path(), GgmlDType::Q4K);
    let one = Team::new(1).unwrap();
    let four = Team::new(4).unwrap();
    let decoder = load(&path);
    let tokens = ids(30, 9);
    assert_eq!(one.install(|| scores(&decoder, &tokens, 30)), four.install(|| scores(&decoder, &tokens, 11)));
}

#[test]
fn only_chosen_experts_are_computed() {
    let tiny = Tiny::moe();
    let folder = tempfile::tempdir().unwrap();
    let decoder = load(&tiny.folder(folder.path(), Dtype::F32));
    scores(&decoder, &ids(23, 2), 10);
    let rows = decoder.expert_load().rows();
    assert_eq!(rows.len(), tiny.experts);
    assert_eq!(rows.iter().sum::<u64>(), (23 * tiny.top_k * tiny.layers) as u64);
}
