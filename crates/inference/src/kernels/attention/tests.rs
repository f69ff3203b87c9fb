//! Attention against its plain definition, in every form, and any company.

use std::sync::Arc;

use proptest::prelude::*;

use super::{
    Asking, Attend, Block, Form, KeyShape, Layout, Past, SPAN,
    panel::{Matrix, ROWS_MAX, add_products},
};
use crate::KvType;

fn noise(count: usize, mut seed: u64) -> Vec<f32> {
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// The definition: scores, softmax with the sink, weighted values; in f64.
fn plain(attend: &Attend, keys: &[f32], values: &[f32], query: &[f32], before: usize) -> Vec<f64> {
    let KeyShape { heads: groups, key_width, value_width } = attend.shape;
    let rows = query.len() / (attend.heads * key_width);
    let mut out = Vec::new();
    for (row, head) in (0..rows).flat_map(|row| (0..attend.heads).map(move |head| (row, head))) {
        let group = head / (attend.heads / groups);
        let query = &query[(row * attend.heads + head) * key_width..][..key_width];
        let end = before + row + 1;
        let start = attend.window.map_or(0, |window| end.saturating_sub(window));
        let score = |at: usize| {
            let key = &keys[(at * groups + group) * key_width..][..key_width];
            let sum: f64 = key.iter().zip(query).map(|(k, q)| f64::from(*k) * f64::from(*q)).sum();
            (sum * f64::from(attend.scale)).exp()
        };
        let shares: Vec<f64> = (start..end).map(score).collect();
        let sink = attend.sinks.as_ref().map_or(0.0, |sinks| f64::from(sinks[head]).exp());
        let sum: f64 = shares.iter().sum::<f64>() + sink;
        for number in 0..value_width {
            let value = |at: usize| f64::from(values[(at * groups + group) * value_width + number]);
            let taken: f64 = (start..end).zip(&shares).map(|(at, share)| share * value(at)).sum();
            out.push(taken / sum);
        }
    }
    out
}

/// Positions of one layer, which is the second of its blocks.
struct Growing {
    layout: Layout,
    kind: KvType,
    blocks: Vec<Arc<Block>>,
    positions: usize,
}

impl Growing {
    fn new(shape: KeyShape, kind: KvType, block: usize) -> Self {
        let other = KeyShape { heads: 1, key_width: 3, value_width: 5 };
        Self { layout: Layout::new([other, shape, other], block), kind, blocks: Vec::new(), positions: 0 }
    }

    fn extend(&mut self, shape: KeyShape, keys: &[f32], values: &[f32]) {
        let of =
            |width: usize, all| -> Vec<&[f32]> { <[f32]>::chunks_exact(all, shape.heads * width).collect() };
        for (key, value) in of(shape.key_width, keys).into_iter().zip(of(shape.value_width, values)) {
            let at = self.positions % self.layout.block();
            if at == 0 {
                let mut block = Block::new(&self.layout, self.kind).unwrap();
                // What a block held before must not matter.
                let (key, value) = (vec![f32::NAN; 3 * key.len()], vec![f32::NAN; 3 * value.len()]);
                for at in (0..self.layout.block()).step_by(3).filter(|at| at + 3 <= self.layout.block()) {
                    block.write(&self.layout, (1, at), [&key, &value]);
                }
                self.blocks.push(Arc::new(block));
            }
            let block = Arc::get_mut(self.blocks.last_mut().unwrap()).unwrap();
            block.write(&self.layout, (1, at), [key, value]);
            self.positions += 1;
        }
    }

    fn past(&self) -> Past<'_> {
        Past { layout: &self.layout, blocks: &self.blocks, layer: 1, positions: self.positions }
    }
}

fn past(attend: &Attend, kind: KvType, keys: &[f32], values: &[f32]) -> Growing {
    let mut past = Growing::new(attend.shape, kind, 64);
    past.extend(attend.shape, keys, values);
    past
}

fn taken(attend: &Attend, all: &[Asking<'_>], query: &[f32]) -> Vec<f32> {
    attend.attend(all, query).values().to_vec()
}

const KINDS: [KvType; 3] = [KvType::F32, KvType::F16, KvType::Q8];

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn attention_is_its_definition_and_has_the_same_bits_in_any_chunk(
        (groups, shared) in (1usize..4, 1usize..9), key_width in 1usize..40, value_width in 1usize..90,
        positions in 1usize..200, chunk in 1usize..70, window in prop::option::of(1usize..150),
        (sink, block) in (any::<bool>(), prop::sample::select(vec![16usize, 32, 64, 256])), seed: u64,
    ) {
        let heads = groups * shared;
        let shape = KeyShape { heads: groups, key_width, value_width };
        let sinks = sink.then(|| noise(heads, seed ^ 9));
        let attend = Attend { heads, shape, scale: 0.4, window, sinks };
        let keys = noise(positions * groups * key_width, seed);
        let values = noise(positions * groups * value_width, seed ^ 1);
        let query = noise(positions * heads * key_width, seed ^ 2);
        let all = past(&attend, KvType::F32, &keys, &values);
        let whole = taken(&attend, &[Asking { past: all.past(), first: 0, rows: positions }], &query);
        for (value, expected) in whole.iter().zip(plain(&attend, &keys, &values, &query, 0)) {
            prop_assert!((f64::from(*value) - expected).abs() < 2e-5, "{value} instead of {expected}");
        }
        // The same rows in chunks and other blocks, beside a sequence that has nothing to do with them.
        for kind in KINDS {
            let all = past(&attend, kind, &keys, &values);
            let whole = taken(&attend, &[Asking { past: all.past(), first: 0, rows: positions }], &query);
            let mut growing = Growing::new(shape, kind, block);
            for start in (0..positions).step_by(chunk) {
                let rows = chunk.min(positions - start);
                let of = |all: &[f32], width: usize| all[start * width..(start + rows) * width].to_vec();
                growing.extend(shape, &of(&keys, groups * key_width), &of(&values, groups * value_width));
                let mut asked = query[..heads * key_width].to_vec();
                asked.extend(of(&query, heads * key_width));
                let one = past(&attend, kind, &keys[..groups * key_width], &values[..groups * value_width]);
                let both = [Asking { past: one.past(), first: 0, rows: 1 }, Asking { past: growing.past(), first: 1, rows }];
                let out = taken(&attend, &both, &asked);
                let width = heads * value_width;
                prop_assert_eq!(&out[width..], &whole[start * width..(start + rows) * width]);
            }
        }
    }

    #[test]
    fn every_form_of_the_product_has_the_same_bits(
        rows in 1usize..=ROWS_MAX, depth in 1usize..70, registers in 1usize..=4, more in 0usize..40, ahead: usize,
        seed: u64,
    ) {
        let columns = registers * 16;
        let stride = columns + more;
        let (panel, matrix) = (noise(rows * depth, seed), noise(depth * stride, seed ^ 1));
        let halves: Vec<half::f16> = matrix.iter().map(|value| half::f16::from_f32(*value)).collect();
        let bytes: Vec<i8> = matrix.iter().map(|value| (value * 127.0) as i8).collect();
        let of = |form: Form| {
            let mut sums = vec![[0.5f32; SPAN]; rows];
            add_products(form, &panel, Matrix { numbers: &matrix, stride, columns, ahead }, &mut sums);
            add_products(form, &panel, Matrix { numbers: &halves, stride, columns, ahead }, &mut sums);
            add_products(form, &panel, Matrix { numbers: &bytes, stride, columns, ahead }, &mut sums);
            sums
        };
        for form in Form::all() {
            prop_assert!(of(form) == of(Form::Plain), "{form:?}");
        }
    }
}

#[test]
fn what_is_not_finite_spoils_only_the_rows_that_see_it() {
    let shape = KeyShape { heads: 1, key_width: 8, value_width: 8 };
    let attend = Attend { heads: 2, shape, scale: 1.0, window: None, sinks: None };
    for (kind, broken) in
        KINDS.into_iter().zip([f32::NAN, 1e5, f32::INFINITY]).chain([(KvType::F32, f32::INFINITY)])
    {
        for of_keys in [true, false] {
            let (mut keys, mut values) = (noise(100 * 8, 1), noise(100 * 8, 2));
            *(if of_keys { &mut keys[80 * 8] } else { &mut values[80 * 8] }) = broken;
            let past = past(&attend, kind, &keys, &values);
            let out =
                taken(&attend, &[Asking { past: past.past(), first: 0, rows: 100 }], &noise(100 * 16, 3));
            assert!(out[..80 * 16].iter().all(|value| value.is_finite()), "{kind:?} {broken}");
            assert!(out[80 * 16..].iter().all(|value| value.is_nan()), "{kind:?} {broken}");
        }
    }
}

#[test]
fn eight_bits_err_by_half_a_step_of_the_greatest_number() {
    let shape = KeyShape { heads: 2, key_width: 24, value_width: 40 };
    let attend = Attend { heads: 2, shape, scale: 0.0, window: Some(1), sinks: None };
    let (keys, values) = (noise(100 * 48, 1), noise(100 * 80, 2));
    let past = past(&attend, KvType::Q8, &keys, &values);
    // A window of one position gives that position's values back.
    let out = taken(&attend, &[Asking { past: past.past(), first: 0, rows: 100 }], &noise(100 * 48, 3));
    for (found, expected) in out.chunks_exact(40).zip(values.chunks_exact(40)) {
        let greatest = expected.iter().fold(0f32, |most, value| most.max(value.abs()));
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() <= greatest / 254.0 * 1.001, "{found} instead of {expected}");
        }
    }
}
