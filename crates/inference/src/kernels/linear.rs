//! A weight matrix and its product with rows of activations.

use candle_core::quantized::{GgmlDType, GgmlType, k_quants};
use half::{bf16, f16};

use super::{
    Rows,
    floats::{Widen, dots},
    team,
    tiles::{Input, Job, Tiles, products},
};
use crate::formats::{Blocks, Bytes, Plain, RawTensor};

/// Below so many multiplications a product is not worth sharing among threads.
const PARALLEL_WORK_MIN: usize = 1 << 17;
/// Outputs that one weight pass computes together; tasks are whole multiples, so that the split never shows.
const QUAD: usize = 4;

/// `outputs × inputs` weights.
#[derive(Debug)]
pub(crate) struct Linear {
    inputs: usize,
    outputs: usize,
    weights: Weights,
}

/// How the weights are kept.
#[derive(Debug)]
enum Weights {
    Packed(Tiles),
    /// As they are in the file.
    Rows(Box<dyn Weight>),
}

/// Rows of weights of one type.
trait Weight: std::fmt::Debug + Send + Sync {
    /// Writes the products of `input`'s rows with weight rows `first..` as `out[output][row]`.
    fn products(&self, first: usize, inputs: &Inputs<'_>, out: &mut [f32]);
    /// `input` in the form that `products` reads.
    fn prepare<'a>(&self, input: &'a [f32], columns: usize) -> Inputs<'a>;
    /// Weight row `row` in f32.
    fn row(&self, row: usize, out: &mut [f32]);
    /// The part of a file that the rows are read from, if they are.
    fn file_part(&self) -> Option<&Bytes>;
}

/// Rows of activations, quantised in the way the weight's type needs.
struct Inputs<'a> {
    floats: &'a [f32],
    quantised: Option<Box<dyn std::any::Any + Send + Sync>>,
    rows: usize,
    columns: usize,
}

impl Linear {
    /// The matrix in `tensor`, packed where its type has a packed form.
    pub(crate) fn new(tensor: RawTensor) -> Result<Self, String> {
        let &[outputs, inputs] = tensor.shape.as_slice() else {
            return Err(format!("has shape {:?}; a matrix is needed", tensor.shape));
        };
        match Tiles::pack(tensor.kind, tensor.bytes.as_slice(), outputs, inputs) {
            Some(tiles) => {
                tensor.bytes.release();
                Ok(Self { inputs, outputs, weights: Weights::Packed(tiles) })
            }
            None => Self::table(tensor),
        }
    }

    /// A matrix that was packed before.
    pub(crate) fn of_tiles(tiles: Tiles) -> Self {
        Self { inputs: tiles.inputs(), outputs: tiles.outputs(), weights: Weights::Packed(tiles) }
    }

    /// The matrix in `tensor` as it is: for rows that are looked up and hardly ever multiplied.
    pub(crate) fn table(tensor: RawTensor) -> Result<Self, String> {
        let &[outputs, inputs] = tensor.shape.as_slice() else {
            return Err(format!("has shape {:?}; a matrix is needed", tensor.shape));
        };
        let bytes = tensor.bytes;
        let weight: Box<dyn Weight> = match tensor.kind {
            GgmlDType::F32 => Box::new(Floats(Blocks::<f32>::new(bytes))),
            GgmlDType::BF16 => Box::new(Floats(Blocks::<bf16>::new(bytes))),
            // No processor here multiplies F16 as it is, and widening it in every product costs more than memory.
            GgmlDType::F16 => {
                let values =
                    Blocks::<f16>::new(bytes.clone()).as_slice().iter().map(|v| v.to_f32()).collect();
                bytes.release();
                Box::new(Floats(Blocks::Owned(values)))
            }
            GgmlDType::Q4_0 => Box::new(Quantised(Blocks::<k_quants::BlockQ4_0>::new(bytes))),
            GgmlDType::Q4_1 => Box::new(Quantised(Blocks::<k_quants::BlockQ4_1>::new(bytes))),
            GgmlDType::Q5_0 => Box::new(Quantised(Blocks::<k_quants::BlockQ5_0>::new(bytes))),
            GgmlDType::Q5_1 => Box::new(Quantised(Blocks::<k_quants::BlockQ5_1>::new(bytes))),
            GgmlDType::Q8_0 => Box::new(Quantised(Blocks::<k_quants::BlockQ8_0>::new(bytes))),
            GgmlDType::Q2K => Box::new(Quantised(Blocks::<k_quants::BlockQ2K>::new(bytes))),
            GgmlDType::Q3K => Box::new(Quantised(Blocks::<k_quants::BlockQ3K>::new(bytes))),
            GgmlDType::Q4K => Box::new(Quantised(Blocks::<k_quants::BlockQ4K>::new(bytes))),
            GgmlDType::Q5K => Box::new(Quantised(Blocks::<k_quants::BlockQ5K>::new(bytes))),
            GgmlDType::Q6K => Box::new(Quantised(Blocks::<k_quants::BlockQ6K>::new(bytes))),
            other => return Err(format!("has type {other:?}, which is not supported")),
        };
        Ok(Self { inputs, outputs, weights: Weights::Rows(weight) })
    }

    /// `input · weightᵀ` for rows one after another.
    pub(crate) fn product(&self, input: &[f32]) -> Rows {
        let [out] = Self::products_of([self], input);
        out
    }

    /// The products of several matrices with the same rows, quantised once and shared out together where the matrices
    /// are packed.
    pub(crate) fn products_of<const N: usize>(matrices: [&Self; N], input: &[f32]) -> [Rows; N] {
        let mut inputs: [Option<Input>; N] = [const { None }; N];
        for (at, matrix) in matrices.iter().enumerate() {
            let made = |input: &Option<Input>, tiles: &Tiles| {
                input.as_ref().is_some_and(|input| input.format() == tiles.format())
            };
            if let Some(tiles) = matrix.packed()
                && !inputs.iter().any(|input| made(input, tiles))
            {
                inputs[at] = Some(Input::new(tiles.format(), tiles.inputs(), input));
            }
        }
        let mut all = matrices.map(|matrix| match &matrix.weights {
            Weights::Packed(_) => Rows::stale(input.len() / matrix.inputs, matrix.outputs),
            Weights::Rows(weight) => matrix.rows_product(weight.as_ref(), input),
        });
        let jobs = matrices.each_ref().map(|matrix| {
            let weights = matrix.packed()?;
            let input = inputs.iter().flatten().find(|input| input.format() == weights.format())?;
            Some(Job { input, weights, second: None, rows: (0, input.rows()) })
        });
        let mut outs = all.iter_mut();
        products(jobs.iter().filter_map(|job| {
            let out = outs.next()?;
            Some((*job.as_ref()?, team::Pieces::new(out.values_mut())))
        }));
        all
    }

    /// `silu(gate · row) × (up · row)` of every row, in one pass over both where they are packed alike.
    pub(crate) fn gated_silu(gate: &Self, up: &Self, input: &[f32]) -> Rows {
        if let (Some(weights), Some(second)) = (gate.packed(), up.packed())
            && weights.format() == second.format()
        {
            let input = Input::new(weights.format(), gate.inputs, input);
            let mut out = Rows::stale(input.rows(), gate.outputs);
            let job = Job { input: &input, weights, second: Some(second), rows: (0, input.rows()) };
            products([(job, team::Pieces::new(out.values_mut()))]);
            return out;
        }
        let [mut gates, ups] = Self::products_of([gate, up], input);
        super::silu_product(&mut gates, &ups);
        gates
    }

    /// Tells threads that wait which matrices are multiplied next, up to three, with the same rows.
    pub(crate) fn soon<const N: usize>(matrices: [&Self; N]) {
        let mut coming = matrices.iter().filter_map(|matrix| Some(matrix.packed()?.coming(None)));
        team::soon(std::array::from_fn(|_| coming.next()));
    }

    /// The same of two that are multiplied together.
    pub(crate) fn soon_gated(gate: &Self, up: &Self) {
        let coming = gate.packed().map(|tiles| tiles.coming(up.packed()));
        team::soon([coming, None, None]);
    }

    /// The tiles, where the matrix is packed.
    pub(super) fn packed(&self) -> Option<&Tiles> {
        match &self.weights {
            Weights::Packed(tiles) => Some(tiles),
            Weights::Rows(_) => None,
        }
    }

    /// The part of a file that the weights are read from; nothing where they are in memory of their own.
    pub(crate) fn file_part(&self) -> Option<&Bytes> {
        match &self.weights {
            Weights::Packed(tiles) => tiles.file_part(),
            Weights::Rows(weight) => weight.file_part(),
        }
    }

    fn rows_product(&self, weight: &dyn Weight, input: &[f32]) -> Rows {
        let inputs = weight.prepare(input, self.inputs);
        let rows = inputs.rows;
        let mut products = Rows::stale(rows, self.outputs);
        let out = products.values_mut();
        let threads = team::size();
        if threads == 1 || rows * self.inputs * self.outputs < PARALLEL_WORK_MIN {
            weight.products(0, &inputs, out);
        } else {
            // Several tasks per thread let a fast thread take over from one whose core was taken away.
            let task = self.outputs.div_ceil(threads * 8).next_multiple_of(QUAD);
            team::share_runs(out, task * rows.max(1), |at, out| {
                weight.products(at * task, &inputs, out);
            });
        }
        if rows == 1 { products } else { transposed(products.values(), self.outputs, rows) }
    }

    /// Weight rows `ids` in f32: the lookup of an embedding. Ids beyond the last row give zeros.
    pub(crate) fn lookup(&self, ids: impl ExactSizeIterator<Item = u32>) -> Rows {
        let mut rows = Rows::zeroed(ids.len(), self.inputs);
        for (id, out) in ids.zip(rows.values_mut().chunks_exact_mut(self.inputs)) {
            if (id as usize) < self.outputs {
                match &self.weights {
                    Weights::Packed(tiles) => tiles.row(id as usize, out),
                    Weights::Rows(weight) => weight.row(id as usize, out),
                }
            }
        }
        rows
    }
}

/// Columns of `rows` numbers as rows.
fn transposed(from: &[f32], columns: usize, rows: usize) -> Rows {
    let mut to = Rows::stale(rows, columns);
    let out = to.values_mut();
    for (column, from) in from.chunks_exact(rows).enumerate() {
        for (row, value) in from.iter().enumerate() {
            out[row * columns + column] = *value;
        }
    }
    to
}

/// Float weights; activations stay f32.
#[derive(Debug)]
struct Floats<T>(Blocks<T>);

impl<T: Plain + Widen> Weight for Floats<T> {
    fn prepare<'a>(&self, input: &'a [f32], columns: usize) -> Inputs<'a> {
        Inputs { floats: input, quantised: None, rows: input.len() / columns, columns }
    }

    fn products(&self, first: usize, inputs: &Inputs<'_>, out: &mut [f32]) {
        let (columns, rows) = (inputs.columns, inputs.rows);
        let weights = &self.0.as_slice()[first * columns..];
        if rows == 1 {
            return one_row(weights, inputs.floats, out);
        }
        for (weight, out) in weights.chunks_exact(columns).zip(out.chunks_exact_mut(rows)) {
            let mut quads = inputs.floats.chunks_exact(QUAD * columns);
            let mut outs = out.chunks_exact_mut(QUAD);
            for (quad, out) in (&mut quads).zip(&mut outs) {
                let inputs: [&[f32]; QUAD] =
                    std::array::from_fn(|row| &quad[row * columns..(row + 1) * columns]);
                out.copy_from_slice(&dots([weight], inputs)[0]);
            }
            let rest = quads.remainder().chunks_exact(columns);
            for (row, out) in rest.zip(outs.into_remainder()) {
                *out = dots([weight], [row])[0][0];
            }
        }
    }

    fn row(&self, row: usize, out: &mut [f32]) {
        let weights = &self.0.as_slice()[row * out.len()..];
        for (out, weight) in out.iter_mut().zip(weights) {
            *out = weight.widen();
        }
    }

    fn file_part(&self) -> Option<&Bytes> {
        self.0.file_part()
    }
}

/// The products of weight rows with a single input.
fn one_row<W: Widen>(weights: &[W], input: &[f32], out: &mut [f32]) {
    let columns = input.len();
    let mut quads = weights[..out.len() * columns].chunks_exact(QUAD * columns);
    let mut outs = out.chunks_exact_mut(QUAD);
    for (quad, out) in (&mut quads).zip(&mut outs) {
        let weights: [&[W]; QUAD] = std::array::from_fn(|row| &quad[row * columns..(row + 1) * columns]);
        out.copy_from_slice(dots(weights, [input]).as_flattened());
    }
    let rest = quads.remainder().chunks_exact(columns);
    for (weight, out) in rest.zip(outs.into_remainder()) {
        *out = dots([weight], [input])[0][0];
    }
}

/// Weights in blocks; activations are quantised to the type that candle pairs with theirs.
#[derive(Debug)]
struct Quantised<T>(Blocks<T>);

impl<T> Weight for Quantised<T>
where
    T: GgmlType + Plain,
    T::VecDotType: Send + Sync + 'static,
{
    fn prepare<'a>(&self, input: &'a [f32], columns: usize) -> Inputs<'a> {
        let blocks = columns / T::BLCK_SIZE;
        let rows = input.len() / columns;
        let mut quantised = vec![T::VecDotType::zeros(); rows * blocks];
        for (input, quantised) in input.chunks_exact(columns).zip(quantised.chunks_exact_mut(blocks)) {
            T::VecDotType::from_float(input, quantised);
        }
        Inputs { floats: input, quantised: Some(Box::new(quantised)), rows, columns }
    }

    fn products(&self, first: usize, inputs: &Inputs<'_>, out: &mut [f32]) {
        let columns = inputs.columns;
        let blocks = columns / T::BLCK_SIZE;
        let Some(quantised) =
            inputs.quantised.as_deref().and_then(|q| q.downcast_ref::<Vec<T::VecDotType>>())
        else {
            return;
        };
        let weights = &self.0.as_slice()[first * blocks..];
        for (quad, out) in out.chunks_mut(QUAD * inputs.rows).enumerate() {
            let weight = |n: usize| &weights[(quad * QUAD + n) * blocks..(quad * QUAD + n + 1) * blocks];
            let count = out.len() / inputs.rows;
            for (row, input) in quantised.chunks_exact(blocks).enumerate() {
                if count == QUAD {
                    let (a, b, c, d) =
                        T::vec_dot_4(columns, weight(0), weight(1), weight(2), weight(3), input);
                    for (n, value) in [a, b, c, d].into_iter().enumerate() {
                        out[n * inputs.rows + row] = value;
                    }
                } else {
                    for n in 0..count {
                        out[n * inputs.rows + row] = T::vec_dot(columns, weight(n), input);
                    }
                }
            }
        }
    }

    fn row(&self, row: usize, out: &mut [f32]) {
        let blocks = out.len() / T::BLCK_SIZE;
        T::to_float(&self.0.as_slice()[row * blocks..(row + 1) * blocks], out);
    }

    fn file_part(&self) -> Option<&Bytes> {
        self.0.file_part()
    }
}
