//! Tables and layers of the network. Weights and what they are multiplied with are whole numbers, so that sums are exact
//! in every order and on every target.

use crate::container::Reader;
use crate::error::Error;
use crate::wide::wide;

mod products;

use products::Weights;

/// The greatest whole number that an input is told by: with [`FAN_MAX`] inputs a sum stays within 32 bits.
const INPUT_MOST: f32 = 4095.0;

/// Most inputs of a layer.
pub(super) const FAN_MAX: usize = 4096;

/// A word's vector in finer steps than the table's own, so that the mean of several pieces is told well.
const FINER: i16 = 16;

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

    /// What one step of a vector counts that [`Table::copy`] gave.
    pub(super) fn unit(&self) -> f32 {
        self.scale / f32::from(FINER)
    }

    /// A row as it is.
    pub(super) fn copy(&self, row: usize, to: &mut [i16]) {
        for (to, value) in to.iter_mut().zip(&self.values[row * self.width..]) {
            *to = i16::from(*value) * FINER;
        }
    }

    /// The mean of several rows, in steps of `unit`.
    pub(super) fn mean(&self, rows: &[usize], unit: f32, to: &mut [i16]) {
        let factor = self.scale / unit / rows.len().max(1) as f32;
        for (at, to) in to.iter_mut().enumerate() {
            let sum: i32 = rows.iter().map(|row| i32::from(self.values[row * self.width + at])).sum();
            *to = whole(sum as f32 * factor);
        }
    }
}

/// The nearest whole number that an input may have; of two, the one further from zero.
fn whole(value: f32) -> i16 {
    // The cast cuts off what is behind the point.
    (value.clamp(-INPUT_MOST, INPUT_MOST) + 0.5_f32.copysign(value)) as i16
}

/// Values in steps of `unit`.
pub(super) fn in_steps(values: &[f32], unit: f32) -> Vec<i16> {
    values.iter().map(|value| whole(value / unit)).collect()
}

/// Values in steps that reach to the greatest of them, and what a step counts.
pub(super) fn fitted(values: &[f32]) -> (Vec<i16>, f32) {
    let most = values.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    let unit = if most > 0.0 { most / INPUT_MOST } else { 1.0 };
    (in_steps(values, unit), unit)
}

/// A layer that multiplies and adds: the weights of each output side by side, with a scale and a bias for each.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Layer {
    weights: Weights,
    scales: Vec<f32>,
    biases: Vec<f32>,
    inputs: usize,
}

// === impl Layer ===

impl Layer {
    /// Reads a scale and a bias for each output, then the weights, output by output.
    pub(super) fn read(reader: &mut Reader<'_>, inputs: usize, outputs: usize) -> Result<Self, Error> {
        if inputs > FAN_MAX {
            return reader.refuse("inputs");
        }
        let scales = reader.floats("scales", outputs)?;
        let biases = reader.floats("biases", outputs)?;
        let weights = Weights::new(reader.small("weights", inputs * outputs)?, inputs);
        Ok(Self { weights, scales, biases, inputs })
    }

    pub(super) fn outputs(&self) -> usize {
        self.biases.len()
    }

    /// Every output for one input.
    pub(super) fn apply(&self, (input, unit): (&[i16], f32)) -> Vec<f32> {
        let mut told = vec![0.0; self.outputs()];
        if let Some(sums) = self.weights.products(&[input]).each().next() {
            tell(sums, (&self.in_units(unit), &self.biases), &mut told);
        }
        told
    }

    /// What every output comes to over the places of a longer input, each a window that begins `step` after the last:
    /// first the greatest of each output, where it is above zero, then the sums of those above zero.
    pub(super) fn pooled(&self, (input, unit): (&[i16], f32), step: usize) -> Vec<f32> {
        let windows: Vec<&[i16]> = input.windows(self.inputs).step_by(step).collect();
        let sums = self.weights.products(&windows);
        let scales = self.in_units(unit);
        let mut pooled = vec![0.0_f32; 2 * self.outputs()];
        let (most, total) = pooled.split_at_mut(self.outputs());
        for own in sums.each() {
            pool(own, (&scales, &self.biases), (most, total));
        }
        pooled
    }

    /// What a sum counts of every output, where a step of the input counts `unit`.
    fn in_units(&self, unit: f32) -> Vec<f32> {
        self.scales.iter().map(|scale| scale * unit).collect()
    }
}

wide! {
    /// What the sums of one input come to.
    fn tell(sums: &[i32], weighed: (&[f32], &[f32]), told: &mut [f32]) -> () {
        let each = sums.iter().zip(weighed.0).zip(weighed.1);
        for (told, ((sum, scale), bias)) in told.iter_mut().zip(each) {
            *told = *sum as f32 * scale + bias;
        }
    }
}

wide! {
    /// Takes the sums of one place into the greatest of each output and into the sums of those above zero.
    fn pool(sums: &[i32], weighed: (&[f32], &[f32]), pooled: (&mut [f32], &mut [f32])) -> () {
        let each = sums.iter().zip(weighed.0).zip(weighed.1);
        for ((most, total), ((sum, scale), bias)) in pooled.0.iter_mut().zip(pooled.1).zip(each) {
            let value = (*sum as f32 * scale + bias).max(0.0);
            *most = most.max(value);
            *total += value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weight(at: usize) -> i8 {
        ((at * 7919 % 255) as i32 - 127) as i8
    }

    fn layer(inputs: usize, outputs: usize) -> Layer {
        let weights = (0..inputs * outputs).map(weight).collect();
        Layer {
            weights: Weights::new(weights, inputs),
            scales: (0..outputs).map(|at| 0.01 + at as f32 / 97.0).collect(),
            biases: (0..outputs).map(|at| at as f32 / 31.0 - 0.3).collect(),
            inputs,
        }
    }

    #[test]
    fn an_output_is_the_exact_sum_of_products_scaled() {
        let (inputs, outputs) = (37_usize, 21_usize);
        let layer = layer(inputs, outputs);
        let input: Vec<i16> = (0..inputs).map(|at| (at * 4001 % 8191) as i16 - 4095).collect();
        for (output, told) in layer.apply((&input, 0.25)).into_iter().enumerate() {
            let sum: i64 =
                (0..inputs).map(|at| i64::from(input[at]) * i64::from(weight(output * inputs + at))).sum();
            let expected = sum as f32 * (layer.scales[output] * 0.25) + layer.biases[output];
            assert_eq!(told.to_bits(), expected.to_bits());
        }
    }

    #[test]
    fn pooling_is_applying_at_every_place() {
        let (step, outputs) = (8_usize, 5_usize);
        let layer = layer(3 * step, outputs);
        let input: Vec<i16> = (0..7 * step).map(|at| (at * 331 % 801) as i16 - 400).collect();
        let (mut most, mut sums) = (vec![0.0_f32; outputs], vec![0.0_f32; outputs]);
        for place in 0..5 {
            let window = &input[place * step..(place + 3) * step];
            for (at, value) in layer.apply((window, 0.5)).into_iter().enumerate() {
                most[at] = most[at].max(value.max(0.0));
                sums[at] += value.max(0.0);
            }
        }
        most.extend(sums);
        assert_eq!(layer.pooled((&input, 0.5), step), most);
    }

    #[test]
    fn the_greatest_sum_fits() {
        let most = FAN_MAX as f64 * f64::from(INPUT_MOST) * 128.0;
        assert!(most < f64::from(i32::MAX), "{most}");
    }

    #[test]
    fn the_mean_of_rows_is_told_in_the_steps_asked_for() {
        let table = Table { values: vec![10, -20, 30, 40], scale: 0.5, width: 2 };
        let mut to = [0_i16; 2];
        table.mean(&[0, 1], 0.25, &mut to);
        assert_eq!(to, [40, 20]);
        table.copy(1, &mut to);
        assert_eq!((to, table.unit()), ([480, 640], 0.03125));
        assert_eq!(fitted(&[0.0, -2.0, 0.5]), (vec![0, -4095, 1024], 2.0 / 4095.0));
        assert_eq!(fitted(&[]), (vec![], 1.0));
    }
}
