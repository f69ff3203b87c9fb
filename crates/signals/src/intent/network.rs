//! Tables and layers of the network: small whole numbers in the file, floats of fixed order in use.

use crate::container::Reader;
use crate::error::Error;

/// Outputs that are summed side by side: enough to fill the registers, few enough to stay in them.
const LANES: usize = 16;

/// Rows of small whole numbers with one scale.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Table {
    values: Vec<i8>,
    scale: f32,
    width: usize,
}

// === impl Table ===

impl Table {
    pub(super) fn read(reader: &mut Reader<'_>, rows: usize, width: usize) -> Result<Self, Error> {
        let scale = reader.floats("scale", 1)?[0];
        Ok(Self { values: reader.small("table", rows * width)?, scale, width })
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn rows(&self) -> usize {
        self.values.len() / self.width.max(1)
    }

    /// Adds a row times `share`.
    pub(super) fn add(&self, row: usize, share: f32, to: &mut [f32]) {
        let scale = self.scale * share;
        for (sum, value) in to.iter_mut().zip(&self.values[row * self.width..]) {
            *sum += f32::from(*value) * scale;
        }
    }
}

/// A layer that multiplies and adds. Its weights stand in blocks of [`LANES`] outputs, input by input.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Layer {
    blocks: Vec<[f32; LANES]>,
    biases: Vec<f32>,
    inputs: usize,
}

// === impl Layer ===

impl Layer {
    /// Reads a scale and a bias for each output, then the weights, output by output.
    pub(super) fn read(reader: &mut Reader<'_>, inputs: usize, outputs: usize) -> Result<Self, Error> {
        let scales = reader.floats("scales", outputs)?;
        let biases = reader.floats("biases", outputs)?;
        let weights = reader.small("weights", inputs * outputs)?;
        let mut blocks = vec![[0.0; LANES]; outputs.div_ceil(LANES) * inputs];
        for (output, scale) in scales.iter().enumerate() {
            for input in 0..inputs {
                let block = &mut blocks[output / LANES * inputs + input];
                block[output % LANES] = f32::from(weights[output * inputs + input]) * scale;
            }
        }
        Ok(Self { blocks, biases, inputs })
    }

    pub(super) fn outputs(&self) -> usize {
        self.biases.len()
    }

    /// Every output is its bias plus its products in the order of the inputs.
    pub(super) fn apply(&self, input: &[f32], output: &mut [f32]) {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has the feature that the function asks for, as was just seen.
            return unsafe { self.apply_wide(input, output) };
        }
        self.sum(input, output);
    }

    /// The same sums eight at a time. A product is rounded before it is added here too, and each output adds in the same
    /// order, so that the bits are the same.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn apply_wide(&self, input: &[f32], output: &mut [f32]) {
        self.sum(input, output);
    }

    #[inline(always)]
    fn sum(&self, input: &[f32], output: &mut [f32]) {
        let blocks = self.blocks.chunks_exact(self.inputs);
        for ((weights, output), biases) in blocks.zip(output.chunks_mut(LANES)).zip(self.biases.chunks(LANES))
        {
            let mut sums = [0.0_f32; LANES];
            sums[..biases.len()].copy_from_slice(biases);
            for (value, block) in input.iter().zip(weights) {
                for (sum, weight) in sums.iter_mut().zip(block) {
                    *sum += value * weight;
                }
            }
            output.copy_from_slice(&sums[..output.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_and_narrow_sums_have_the_same_bits() {
        let (inputs, outputs) = (37_usize, 21_usize);
        let value = |at: usize| ((at * 7919 % 1009) as f32 - 504.0) / 97.0;
        let blocks = (0..outputs.div_ceil(LANES) * inputs)
            .map(|block| std::array::from_fn(|lane| value(block * LANES + lane)))
            .collect();
        let layer = Layer { blocks, biases: (0..outputs).map(value).collect(), inputs };
        let input: Vec<f32> = (0..inputs).map(|at| value(at * 31 + 5)).collect();
        let (mut one, mut other) = (vec![0.0; outputs], vec![0.0; outputs]);
        layer.apply(&input, &mut one);
        layer.sum(&input, &mut other);
        assert_eq!(one, other);
        let expected =
            (0..inputs).fold(value(20), |sum, at| sum + input[at] * value((inputs + at) * LANES + 4));
        assert_eq!(one[20].to_bits(), expected.to_bits());
    }
}
