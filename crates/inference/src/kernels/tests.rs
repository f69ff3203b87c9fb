//! Products of every type against their dequantised weights, and the small row operations.

use candle_core::{
    Device, Tensor,
    quantized::{GgmlDType, QTensor},
};

use half::bf16;

use super::{
    Buffer, Linear, Rotation, Rows, add, add_then_norm,
    floats::{dots, lanes, lanes_plain},
    rms_norm, rotate, softmax,
};
use crate::formats::{Bytes, RawTensor};

fn wave(count: usize, step: f32) -> Vec<f32> {
    (0..count).map(|n| (n as f32 * step).sin() + 0.3 * (n as f32 * 0.77).cos()).collect()
}

/// The matrix in a file, at `offset`, so that reading it in place may or may not be aligned.
fn mapped(tensor: &QTensor, offset: usize) -> RawTensor {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tensor");
    let data = tensor.data().unwrap();
    let mut bytes = vec![0u8; offset];
    bytes.extend_from_slice(&data);
    std::fs::write(&path, bytes).unwrap();
    let bytes = Bytes::map(&path).unwrap().part(offset, data.len()).unwrap();
    RawTensor { kind: tensor.dtype(), shape: tensor.shape().dims().to_vec(), bytes }
}

fn check_product(kind: GgmlDType, tolerance: f32) {
    // An odd number of blocks of 32 too.
    for columns in if kind.block_size() > 32 { vec![256] } else { vec![256, 96] } {
        check_product_of(kind, columns, tolerance);
    }
}

fn check_product_of(kind: GgmlDType, columns: usize, tolerance: f32) {
    let (rows, outputs) = (7, 37);
    let weight = Tensor::from_vec(wave(outputs * columns, 0.013), (outputs, columns), &Device::Cpu).unwrap();
    let weight = QTensor::quantize(&weight, kind).unwrap();
    let plain = weight.dequantize(&Device::Cpu).unwrap();
    let input = wave(rows * columns, 0.031);
    let expected = Tensor::from_vec(input.clone(), (rows, columns), &Device::Cpu).unwrap();
    let expected =
        expected.matmul(&plain.t().unwrap()).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    for offset in [0, 1] {
        let linear = Linear::new(mapped(&weight, offset)).unwrap();
        let product = linear.product(&input);
        for (product, expected) in product.values().iter().zip(&expected) {
            assert!(
                (product - expected).abs() < tolerance * 16.0,
                "{kind:?}: {product} instead of {expected}"
            );
        }
        for (row, alone) in input.chunks(columns).zip(product.each()) {
            assert_eq!(linear.product(row).values(), alone, "{kind:?}: a row alone has the same bits");
        }
        let looked_up = linear.lookup([36, 0].into_iter());
        assert_eq!(looked_up.values()[..columns], plain.get(36).unwrap().to_vec1::<f32>().unwrap());
    }
}

#[test]
fn products_are_those_of_the_dequantised_weights() {
    for kind in [GgmlDType::F32, GgmlDType::F16, GgmlDType::BF16] {
        check_product(kind, 1e-4);
    }
    use GgmlDType::{Q2K, Q3K, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0};
    for kind in [Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2K, Q3K, Q4K, Q5K, Q6K] {
        check_product(kind, 0.05);
    }
}

#[test]
fn a_norm_divides_by_the_root_mean_square_of_each_row() {
    let input = Rows::new(vec![3f32, 4.0, 0.0, 0.0], 2);
    let normed = rms_norm(&input, &[1.0, 2.0], 1e-6);
    let out = normed.values();
    let root = 12.5f32.sqrt();
    assert!((out[0] - 3.0 / root).abs() < 1e-6 && (out[1] - 8.0 / root).abs() < 1e-6);
    assert_eq!(out[2..], [0.0, 0.0]);
}

#[test]
fn a_sum_and_its_norm_in_one_pass_are_those_of_two() {
    for (count, width) in [(1, 48), (3, 48), (700, 48), (5, 20_000)] {
        let (weight, given) = (wave(width, 0.3), Rows::new(wave(count * width, 0.11), width));
        let mut sums = Rows::new(wave(count * width, 0.07), width);
        let mut fused = sums.clone();
        add(&mut sums, &given);
        let expected = rms_norm(&sums, &weight, 1e-6);
        let normed = add_then_norm(&mut fused, &given, &weight, 1e-6);
        assert_eq!((fused.values(), normed.values()), (sums.values(), expected.values()), "{count}");
    }
}

#[test]
fn what_is_dropped_is_used_again_and_nothing_much_greater() {
    let place = |buffer: &Buffer<f32>| buffer.as_ptr();
    let (small, large) = (Buffer::<f32>::stale(5_000), Buffer::<f32>::stale(90_000));
    let places = [place(&small), place(&large)];
    drop((small, large));
    let again = [Buffer::<f32>::stale(89_000), Buffer::<f32>::stale(4_900)];
    assert_eq!([place(&again[1]), place(&again[0])], places);
    drop(again);
    let other = Buffer::<f32>::zeroed(10_000);
    assert!(!places.contains(&place(&other)) && other.len() == 10_000);
    let again = Buffer::<f32>::zeroed(80_000);
    assert!(place(&again) == places[1] && again.iter().all(|number| *number == 0.0));
}

#[test]
fn a_rotation_turns_halves_or_neighbours() {
    let check = |interleaved: bool, expected: [f32; 4]| {
        let rotation = Rotation { interleaved, frequencies: vec![std::f32::consts::FRAC_PI_2, 0.0] };
        let mut out = Rows::new(vec![1f32, 2.0, 3.0, 4.0], 4);
        rotate(&mut out, None, &rotation.angles(&[1]));
        let near = out.values().iter().zip(expected).all(|(out, expected)| (out - expected).abs() < 1e-6);
        assert!(near, "{out:?} instead of {expected:?}");
    };
    check(false, [-3.0, 2.0, 1.0, 4.0]);
    check(true, [-2.0, 1.0, 3.0, 4.0]);
}

#[test]
fn a_softmax_of_large_scores_sums_to_one() {
    let mut scores = [1e30, 1e30, -1e30];
    softmax(&mut scores);
    assert_eq!(scores, [0.5, 0.5, 0.0]);
}

#[test]
fn every_form_agrees_with_the_plain_one_at_every_length() {
    let wave = |seed: f32| -> Vec<f32> { (0..70).map(|n| (n as f32 * seed).sin()).collect() };
    let (a, b, x, y) = (wave(0.3), wave(0.7), wave(1.1), wave(1.9));
    let halves: Vec<bf16> = a.iter().map(|v| bf16::from_f32(*v)).collect();
    for whole in (0..=64).step_by(16) {
        let fast = lanes([a.as_slice(), &b], [x.as_slice(), &y], whole);
        let plain = lanes_plain([a.as_slice(), &b], [x.as_slice(), &y], whole);
        let near = |l: &f32, r: &f32| (l - r).abs() < 1e-5;
        let flat = fast.as_flattened().as_flattened().iter().zip(plain.as_flattened().as_flattened());
        assert!(flat.clone().all(|(l, r)| near(l, r)), "{whole}");
    }
    for length in 0..a.len() {
        let expected: f64 = (0..length).map(|n| f64::from(halves[n].to_f32()) * f64::from(x[n])).sum();
        let sum = dots([&halves[..length]], [&x[..length]])[0][0];
        assert!((f64::from(sum) - expected).abs() < 1e-5);
        let many = dots([&a[..length], &b[..length]], [&x[..length], &y[..length]]);
        assert_eq!(many[1][0], dots([&b[..length]], [&x[..length]])[0][0], "grouping does not show");
    }
    assert_eq!(dots([&a[..20]], [&x[..7]]), dots([&a[..7]], [&x[..20]]), "the shortest decides");
}
