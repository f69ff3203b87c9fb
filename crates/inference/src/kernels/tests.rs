//! Products of every type against their dequantised weights, and the small row operations.

use candle_core::{
    Device, Tensor,
    quantized::{GgmlDType, QTensor},
};

use half::bf16;

use super::{
    Linear, Rotation,
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
        for (product, expected) in product.iter().zip(&expected) {
            assert!(
                (product - expected).abs() < tolerance * 16.0,
                "{kind:?}: {product} instead of {expected}"
            );
        }
        for (row, alone) in input.chunks(columns).zip(product.chunks(outputs)) {
            assert_eq!(linear.product(row), alone, "{kind:?}: a row alone has the same bits");
        }
        let looked_up = linear.lookup([36, 0].into_iter()).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(looked_up[0], plain.get(36).unwrap().to_vec1::<f32>().unwrap());
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
    let input = Tensor::new(&[[3f32, 4.0], [0.0, 0.0]], &Device::Cpu).unwrap();
    let out = rms_norm(&input, &[1.0, 2.0], 1e-6).unwrap().to_vec2::<f32>().unwrap();
    let root = 12.5f32.sqrt();
    assert!((out[0][0] - 3.0 / root).abs() < 1e-6 && (out[0][1] - 8.0 / root).abs() < 1e-6);
    assert_eq!(out[1], [0.0, 0.0]);
}

#[test]
fn a_rotation_turns_halves_or_neighbours() {
    let input = Tensor::new(&[[1f32, 2.0, 3.0, 4.0]], &Device::Cpu).unwrap();
    let check = |interleaved: bool, expected: [f32; 4]| {
        let rotation = Rotation { interleaved, frequencies: vec![std::f32::consts::FRAC_PI_2, 0.0] };
        let out = rotate(&input, None, &rotation.angles(&[1])).unwrap().to_vec2::<f32>().unwrap();
        let near = out[0].iter().zip(expected).all(|(out, expected)| (out - expected).abs() < 1e-6);
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
