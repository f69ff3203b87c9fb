//! Attention against its plain definition, in every form, and any company.

use proptest::prelude::*;

use super::{
    Asking, Attend, BLOCK, Form, KeyShape, Past,
    panel::{ROWS_MAX, add_products},
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

fn past(attend: &Attend, kind: KvType, keys: &[f32], values: &[f32]) -> Past {
    let mut past = Past::new(attend.shape, kind);
    past.extend(keys, values);
    past
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn attention_is_its_definition_and_has_the_same_bits_in_any_chunk(
        (groups, shared) in (1usize..4, 1usize..9), key_width in 1usize..40, value_width in 1usize..90,
        positions in 1usize..200, chunk in 1usize..70, window in prop::option::of(1usize..150),
        sink: bool, seed: u64,
    ) {
        let heads = groups * shared;
        let shape = KeyShape { heads: groups, key_width, value_width };
        let sinks = sink.then(|| noise(heads, seed ^ 9));
        let attend = Attend { heads, shape, scale: 0.4, window, sinks };
        let keys = noise(positions * groups * key_width, seed);
        let values = noise(positions * groups * value_width, seed ^ 1);
        let query = noise(positions * heads * key_width, seed ^ 2);
        let all = past(&attend, KvType::F32, &keys, &values);
        let whole = attend.attend(&[Asking { past: &all, first: 0, rows: positions }], &query);
        for (value, expected) in whole.iter().zip(plain(&attend, &keys, &values, &query, 0)) {
            prop_assert!((f64::from(*value) - expected).abs() < 2e-5, "{value} instead of {expected}");
        }
        // The same rows in chunks, beside a sequence that has nothing to do with them.
        for kind in [KvType::F32, KvType::F16] {
            let all = past(&attend, kind, &keys, &values);
            let whole = attend.attend(&[Asking { past: &all, first: 0, rows: positions }], &query);
            let mut growing = Past::new(shape, kind);
            for start in (0..positions).step_by(chunk) {
                let rows = chunk.min(positions - start);
                let of = |all: &[f32], width: usize| all[start * width..(start + rows) * width].to_vec();
                growing.extend(&of(&keys, groups * key_width), &of(&values, groups * value_width));
                let mut asked = query[..heads * key_width].to_vec();
                asked.extend(of(&query, heads * key_width));
                let one = past(&attend, kind, &keys[..groups * key_width], &values[..groups * value_width]);
                let both = [Asking { past: &one, first: 0, rows: 1 }, Asking { past: &growing, first: 1, rows }];
                let out = attend.attend(&both, &asked);
                let width = heads * value_width;
                prop_assert_eq!(&out[width..], &whole[start * width..(start + rows) * width]);
            }
        }
    }

    #[test]
    fn every_form_of_the_product_has_the_same_bits(
        rows in 1usize..=ROWS_MAX, depth in 1usize..70, registers in 1usize..=4, more in 0usize..40, seed: u64,
    ) {
        let columns = registers * 16;
        let stride = columns + more;
        let (panel, matrix) = (noise(rows * depth, seed), noise(depth * stride, seed ^ 1));
        let halves: Vec<half::f16> = matrix.iter().map(|value| half::f16::from_f32(*value)).collect();
        let of = |form: Form| {
            let mut sums = vec![[0.5f32; BLOCK]; rows];
            add_products(form, &panel, (&matrix, stride), columns, &mut sums);
            add_products(form, &panel, (&halves, stride), columns, &mut sums);
            sums
        };
        for form in Form::all() {
            prop_assert!(of(form) == of(Form::Plain), "{form:?}");
        }
    }
}

#[test]
fn a_key_that_is_not_finite_spoils_only_the_rows_that_see_it() {
    let shape = KeyShape { heads: 1, key_width: 8, value_width: 8 };
    let attend = Attend { heads: 2, shape, scale: 1.0, window: None, sinks: None };
    let mut keys = noise(100 * 8, 1);
    keys[80 * 8] = f32::NAN;
    let past = past(&attend, KvType::F32, &keys, &noise(100 * 8, 2));
    let out = attend.attend(&[Asking { past: &past, first: 0, rows: 100 }], &noise(100 * 16, 3));
    assert!(out[..80 * 16].iter().all(|value| value.is_finite()));
    assert!(out[80 * 16..].iter().all(|value| value.is_nan()));
}
