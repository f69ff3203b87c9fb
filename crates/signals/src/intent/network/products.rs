//! Sums of products of whole numbers, by the processor's widest instruction for them where it has it: exact every way.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod panels;

/// The weights of a layer, laid out for the instructions that this processor has.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Weights {
    outputs: usize,
    laid: Laid,
}

#[derive(Clone, Debug, PartialEq)]
enum Laid {
    /// The weights of each output side by side.
    Rows(Vec<i8>),
    /// Those of sixteen outputs together, for AVX-512 VNNI.
    #[cfg(target_arch = "x86_64")]
    Panels(panels::Panels),
}

/// The sums of every output, input by input.
#[derive(Debug)]
pub(super) struct Sums {
    values: Vec<i32>,
    /// From one input's sums to the next's; what is beyond the outputs means nothing.
    stride: usize,
}

// === impl Weights ===

impl Weights {
    /// Takes weights whose `inputs` stand side by side for each output.
    pub(super) fn new(rows: Vec<i8>, inputs: usize) -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(panels) = panels::Panels::of(&rows, inputs) {
            return Self { outputs: rows.len() / inputs.max(1), laid: Laid::Panels(panels) };
        }
        Self::in_rows(rows, inputs)
    }

    fn in_rows(rows: Vec<i8>, inputs: usize) -> Self {
        Self { outputs: rows.len() / inputs.max(1), laid: Laid::Rows(rows) }
    }

    /// For each input the sum of its products with every output's weights. All inputs are as long as an output's
    /// weights are, and none of their numbers is beyond [`super::INPUT_MOST`].
    pub(super) fn products(&self, inputs: &[&[i16]]) -> Sums {
        match &self.laid {
            Laid::Rows(rows) => {
                let mut values = vec![0; self.outputs * inputs.len()];
                in_rows(rows, inputs, &mut values);
                Sums { values, stride: self.outputs }
            }
            #[cfg(target_arch = "x86_64")]
            Laid::Panels(panels) => Sums { values: panels.products(inputs), stride: panels.stride() },
        }
    }
}

// === impl Sums ===

impl Sums {
    /// The sums of each input: at least as many as there are outputs.
    pub(super) fn each(&self) -> impl Iterator<Item = &[i32]> {
        self.values.chunks_exact(self.stride.max(1))
    }
}

fn in_rows(rows: &[i8], inputs: &[&[i16]], sums: &mut [i32]) {
    let width = inputs.first().map_or(0, |input| input.len());
    if width == 0 || rows.is_empty() {
        return;
    }
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has the feature that the function asks for, as was just seen.
        return unsafe { avx2::products(rows, inputs, sums) };
    }
    plain(rows, inputs, sums);
}

fn plain(rows: &[i8], inputs: &[&[i16]], sums: &mut [i32]) {
    for (input, sums) in inputs.iter().zip(sums.chunks_exact_mut(rows.len() / inputs[0].len())) {
        let rows = rows.chunks_exact(input.len());
        sums.iter_mut().zip(rows).for_each(|(sum, row)| *sum = product(row, input));
    }
}

fn product(row: &[i8], input: &[i16]) -> i32 {
    row.iter().zip(input).map(|(weight, value)| i32::from(*weight) * i32::from(*value)).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The sums of every form that this processor has, cut to the outputs.
    fn all(rows: &[i8], inputs: &[&[i16]]) -> Vec<(&'static str, Vec<i32>)> {
        let width = inputs[0].len();
        let outputs = rows.len() / width;
        let cut = |sums: &Sums| sums.each().flat_map(|own| own[..outputs].to_vec()).collect::<Vec<i32>>();
        let mut narrow = vec![0; outputs * inputs.len()];
        plain(rows, inputs, &mut narrow);
        let in_rows = Weights::in_rows(rows.to_vec(), width);
        let best = Weights::new(rows.to_vec(), width);
        vec![
            ("plain", narrow),
            ("in rows", cut(&in_rows.products(inputs))),
            ("as it is laid here", cut(&best.products(inputs))),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_form_gives_the_same_sums(
            (width, outputs, count) in (1..70_usize, 1..90_usize, 1..27_usize),
            (seed, extreme) in (any::<u32>(), any::<bool>()),
        ) {
            let mut state = seed;
            let mut next = |ends: [i32; 2]| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let drawn = (state >> 8) as i32;
                if extreme { ends[drawn as usize % 2] } else { ends[0] + drawn % (ends[1] - ends[0] + 1) }
            };
            let rows: Vec<i8> = (0..width * outputs).map(|_| next([-128, 127]) as i8).collect();
            let values: Vec<i16> = (0..width * count).map(|_| next([-4095, 4095]) as i16).collect();
            let inputs: Vec<&[i16]> = values.chunks_exact(width).collect();
            let all = all(&rows, &inputs);
            for (form, sums) in &all {
                prop_assert_eq!(sums, &all[0].1, "{}", form);
            }
        }
    }

    #[test]
    fn the_greatest_sums_are_exact_in_every_form() {
        let width = crate::intent::network::FAN_MAX;
        for (weight, value) in [(-128, 4095), (-128, -4095), (127, 4095), (127, -4095)] {
            let (rows, input) = (vec![weight as i8; width * 3], vec![value as i16; width]);
            for (form, sums) in all(&rows, &[&input, &input]) {
                assert_eq!(sums, [weight * value * width as i32; 6], "{form}");
            }
        }
    }

    #[test]
    fn no_inputs_and_no_outputs_have_no_sums() {
        assert_eq!(Weights::new(vec![1, 2], 2).products(&[]).each().count(), 0);
        assert!(Weights::new(Vec::new(), 2).products(&[&[1, 2]]).each().all(<[i32]>::is_empty));
    }
}
