//! Every form against the plain one, bit by bit, and against the numbers that the file's blocks stand for.

use candle_core::{
    Device, Tensor,
    quantized::{GgmlDType, QTensor},
};
use proptest::prelude::*;

use super::{Form, Format, Input, Job, LANES, Tiles, products, team, tile_product};
use crate::formats::Bytes;

const KINDS: [GgmlDType; 8] = [
    GgmlDType::Q4_0,
    GgmlDType::Q4_1,
    GgmlDType::Q5_0,
    GgmlDType::Q5_1,
    GgmlDType::Q8_0,
    GgmlDType::Q4K,
    GgmlDType::Q5K,
    GgmlDType::Q6K,
];

/// Numbers that look like noise, some of them large.
fn noise(count: usize, mut seed: u64) -> Vec<f32> {
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    (0..count).map(|at| next() * if at % 97 == 0 { 9.0 } else { 1.0 }).collect()
}

/// A matrix as packed, and as the plain numbers of its blocks.
fn matrix(kind: GgmlDType, outputs: usize, inputs: usize, seed: u64) -> (Tiles, Vec<f32>) {
    let plain = Tensor::from_vec(noise(outputs * inputs, seed), (outputs, inputs), &Device::Cpu).unwrap();
    let blocks = QTensor::quantize(&plain, kind).unwrap();
    let tiles = Tiles::pack(kind, &blocks.data().unwrap(), outputs, inputs).unwrap();
    let plain = blocks.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    (tiles, plain)
}

fn product(tiles: &Tiles, floats: &[f32]) -> Vec<f32> {
    let input = Input::new(tiles.format(), tiles.inputs(), floats);
    let mut out = vec![0.0; input.rows() * tiles.outputs()];
    let rows = (0, input.rows());
    let job = Job { input: &input, weights: tiles, second: None, rows };
    products([(job, team::Pieces::new(&mut out))]);
    out
}

/// Each tile's products with each panel by one form.
fn by_form(form: Form, tiles: &Tiles, input: &Input) -> Vec<[f32; LANES]> {
    let mut all = Vec::new();
    for panel in input.panels_of(0, input.rows()) {
        let panel = input.panel(panel);
        for tile in 0..tiles.tiles() {
            let mut out = vec![[0.0; LANES]; panel.rows];
            tile_product(form, tiles.format(), tiles.tile(tile), panel, &mut out);
            all.extend(out);
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn forms_agree_bit_by_bit_and_are_near_the_true_products(
        kind in 0..KINDS.len(), outputs in 1usize..70, segments in 1usize..5, rows in 1usize..45, seed: u64,
    ) {
        let kind = KINDS[kind];
        let inputs = segments * kind.block_size();
        let (tiles, plain) = matrix(kind, outputs, inputs, seed);
        let floats = noise(rows * inputs, seed ^ 1);
        let input = Input::new(tiles.format(), inputs, &floats);
        let expected = by_form(Form::Plain, &tiles, &input);
        for form in Form::all() {
            let products = by_form(form, &tiles, &input);
            let bits = |all: &[[f32; LANES]]| all.as_flattened().iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            prop_assert!(bits(&products) == bits(&expected), "{form:?} of {kind:?}");
        }
        let out = product(&tiles, &floats);
        for row in 0..rows {
            let input = &floats[row * inputs..(row + 1) * inputs];
            prop_assert_eq!(&product(&tiles, input), &out[row * outputs..(row + 1) * outputs], "a row alone");
            for output in 0..outputs {
                let weights = &plain[output * inputs..(output + 1) * inputs];
                let sum: f64 = weights.iter().zip(input).map(|(w, i)| f64::from(*w) * f64::from(*i)).sum();
                let norm = |v: &[f32]| v.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>().sqrt();
                let error = (f64::from(out[row * outputs + output]) - sum).abs();
                prop_assert!(error <= 0.02 * norm(weights) * norm(input) + 1e-6, "{:?}: {} off", kind, error);
            }
        }
    }

    #[test]
    fn rows_are_those_of_the_blocks(kind in 0..KINDS.len(), outputs in 1usize..40, segments in 1usize..4, seed: u64) {
        let kind = KINDS[kind];
        let inputs = segments * kind.block_size();
        let (tiles, plain) = matrix(kind, outputs, inputs, seed);
        let mut row = vec![0.0; inputs];
        for output in 0..outputs {
            tiles.row(output, &mut row);
            prop_assert_eq!(&row, &plain[output * inputs..(output + 1) * inputs]);
        }
    }
}

/// Blocks of arbitrary bytes hold every weight and every integer scale there is; no sum may overflow.
#[test]
fn the_greatest_weights_and_activations_agree_in_every_form() {
    for (kind, bytes) in KINDS.into_iter().zip([18, 20, 22, 24, 34, 144, 176, 210]) {
        for fill in [0x00u8, 0x7f, 0x80, 0xff] {
            let inputs = 2 * kind.block_size();
            let mut blocks = vec![fill; 16 * 2 * bytes];
            // Scales of 1, so that sums stay finite.
            for block in blocks.chunks_exact_mut(bytes) {
                let heads = match kind {
                    GgmlDType::Q6K => 208..210,
                    GgmlDType::Q4K | GgmlDType::Q5K | GgmlDType::Q4_1 | GgmlDType::Q5_1 => 0..4,
                    _ => 0..2,
                };
                block[heads].as_chunks_mut().0.fill([0x00, 0x3c]);
            }
            let tiles = Tiles::pack(kind, &blocks, 16, inputs).unwrap();
            for value in [1.0f32, -1.0] {
                let input = Input::new(tiles.format(), inputs, &vec![value; 28 * inputs]);
                let expected = by_form(Form::Plain, &tiles, &input);
                assert!(expected.as_flattened().iter().all(|v| v.is_finite()));
                for form in Form::all() {
                    assert_eq!(by_form(form, &tiles, &input), expected, "{form:?} of {kind:?}");
                }
            }
        }
    }
}

#[test]
fn a_value_that_is_not_finite_stays_in_its_row() {
    for kind in KINDS {
        let inputs = 2 * kind.block_size();
        let (tiles, _) = matrix(kind, 20, inputs, 3);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut floats = noise(3 * inputs, 4);
            let expected = product(&tiles, &floats);
            floats[inputs + 5] = bad;
            let out = product(&tiles, &floats);
            assert!(out[20..40].iter().all(|v| !v.is_finite()), "{kind:?}");
            assert_eq!((&out[..20], &out[40..]), (&expected[..20], &expected[40..]));
        }
    }
}

#[test]
fn gathered_groups_and_gates_are_the_products_of_their_rows() {
    let (gate, _) = matrix(GgmlDType::Q4K, 37, 512, 5);
    let (up, _) = matrix(GgmlDType::Q4K, 37, 512, 6);
    let floats = noise(6 * 512, 7);
    let (order, groups) = ([3, 3, 0, 5, 1], [2, 0, 3]);
    let input = Input::gather(Format::Q4K, 512, &floats, |at| order[at], groups.into_iter());
    let mut out = vec![0.0; 5 * 37];
    let all = team::Pieces::new(&mut out);
    let job = |weights, second, rows| (Job { input: &input, weights, second, rows }, all);
    products([job(&gate, None, (0, 2)), job(&up, Some(&gate), (2, 5))]);
    let row = |at: usize| &floats[order[at] * 512..(order[at] + 1) * 512];
    for at in 0..5 {
        let (gates, ups) = (product(&gate, row(at)), product(&up, row(at)));
        let expected = if at < 2 {
            gates
        } else {
            let mut expected = ups;
            super::super::silu_times(&mut expected, &gates);
            expected
        };
        assert_eq!(&out[at * 37..(at + 1) * 37], expected, "{at}");
    }
}

#[test]
fn what_is_no_matrix_of_its_shape_is_not_packed() {
    assert!(Tiles::pack(GgmlDType::Q4_0, &[0; 18], 1, 32).is_some());
    for (outputs, inputs) in [(1, 33), (2, 32), (0, 32), (1, 0), (usize::MAX, 64)] {
        assert!(Tiles::pack(GgmlDType::Q4_0, &[0; 18], outputs, inputs).is_none());
    }
    assert!(Tiles::pack(GgmlDType::F32, &[0; 128], 1, 32).is_none());
}

#[test]
fn tiles_that_lie_in_a_file_are_the_same_matrix() {
    for (at, kind) in KINDS.into_iter().enumerate() {
        let (outputs, inputs) = (37, 512);
        let (tiles, _) = matrix(kind, outputs, inputs, at as u64);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tiles");
        std::fs::write(&path, tiles.bytes()).unwrap();
        let file = Bytes::map(&path).unwrap();
        let mapped = Tiles::packed_before(kind, file.clone(), outputs, inputs).unwrap();
        assert!(mapped.file_part().is_some() && tiles.file_part().is_none());
        let input = noise(5 * inputs, 9);
        assert_eq!(product(&tiles, &input), product(&mapped, &input), "{kind:?}");
        let short = file.part(0, file.len() - 1).unwrap();
        assert!(Tiles::packed_before(kind, short, outputs, inputs).is_none());
        assert!(Tiles::packed_before(kind, file, outputs + 16, inputs).is_none());
    }
}
