//! The one product that attention is made of: a few rows of numbers times a matrix of at most 64 columns.

use half::{f16, slice::HalfFloatSliceExt};

use super::{
    super::{Form, floats::Widen},
    past::{Numbers, SPAN},
};

/// Rows of the largest panel; with 64 columns each they fill the registers.
pub(super) const ROWS_MAX: usize = 6;
/// Columns of one register, the widest.
const LANES: usize = 16;

/// A number that keys and values are kept as.
pub(super) trait Element: Widen + Default + std::fmt::Debug {
    fn narrow(value: f32) -> Self;

    /// The same of as many numbers as `to` has.
    fn narrow_all(from: &[f32], to: &mut [Self]) {
        to.iter_mut().zip(from).for_each(|(to, from)| *to = Self::narrow(*from));
    }

    /// The greatest number that it can be.
    const GREATEST: f32;

    /// A block's numbers, which are of this kind, and what they are to be multiplied with.
    fn of(numbers: &Numbers) -> (&[Self], &[f32]);
}

impl Element for f32 {
    const GREATEST: f32 = f32::MAX;

    fn narrow(value: f32) -> Self {
        value
    }

    fn of(numbers: &Numbers) -> (&[Self], &[f32]) {
        if let Numbers::F32(numbers) = numbers { (numbers, &[]) } else { (&[], &[]) }
    }
}

impl Element for f16 {
    const GREATEST: f32 = 65_504.0;

    fn narrow(value: f32) -> Self {
        Self::from_f32(value)
    }

    fn narrow_all(from: &[f32], to: &mut [Self]) {
        to.convert_from_f32_slice(from);
    }

    fn of(numbers: &Numbers) -> (&[Self], &[f32]) {
        if let Numbers::F16(numbers) = numbers { (numbers, &[]) } else { (&[], &[]) }
    }
}

impl Element for i8 {
    const GREATEST: f32 = f32::MAX;

    fn narrow(value: f32) -> Self {
        value as Self
    }

    fn of(numbers: &Numbers) -> (&[Self], &[f32]) {
        if let Numbers::Q8(numbers, scales) = numbers { (numbers, scales) } else { (&[], &[]) }
    }
}

/// A matrix of at most 64 columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matrix<'a, E> {
    pub(super) numbers: &'a [E],
    /// Numbers from one row to the next.
    pub(super) stride: usize,
    /// A multiple of 16.
    pub(super) columns: usize,
    /// How many bytes after this matrix the one lies that is needed next, which is brought near meanwhile; 0 for none.
    pub(super) ahead: usize,
}

/// Adds to each row of `sums` the products of that row's numbers with the matrix's rows, one after another, fused, in
/// each of the first `columns` columns, a multiple of 16. Row `i`'s numbers are `panel[i]`, `panel[i + rows]`, …; the
/// matrix's rows are `stride` numbers apart. Every form gives the same bits.
pub(super) fn add_products<E: Element>(
    form: Form,
    panel: &[f32],
    Matrix { numbers: matrix, stride, columns, ahead }: Matrix<'_, E>,
    sums: &mut [[f32; SPAN]],
) {
    let rows = sums.len();
    let depth = panel.len() / rows.max(1);
    if depth == 0 || rows == 0 {
        return;
    }
    let whole = columns.is_multiple_of(LANES)
        && columns <= SPAN
        && matrix.len() >= (depth - 1) * stride + columns
        && panel.len() == depth * rows;
    assert!(whole, "a panel, a matrix and their products must be of one shape");
    #[cfg(target_arch = "x86_64")]
    {
        let shape = Shape { depth, stride, columns, ahead };
        let (panel, matrix) = (panel.as_ptr(), matrix.as_ptr());
        /// Calls `$form` for the number of rows.
        macro_rules! by_rows {
            ($form:ident) => {
                // SAFETY: the form is given only where the processor has its features, and the lengths are as checked.
                unsafe {
                    match rows {
                        1 => return $form::<E, 1>(panel, matrix, shape, sums),
                        2 => return $form::<E, 2>(panel, matrix, shape, sums),
                        3 => return $form::<E, 3>(panel, matrix, shape, sums),
                        4 => return $form::<E, 4>(panel, matrix, shape, sums),
                        6 => return $form::<E, 6>(panel, matrix, shape, sums),
                        _ => {}
                    }
                }
            };
        }
        match form {
            Form::Avx512 => by_rows!(avx512),
            Form::Avx2 => by_rows!(avx2),
            Form::Plain => {}
        }
    }
    let _only_plain = (form, ahead);
    plain(panel, (matrix, stride), columns, sums);
}

/// The reference of the other forms; where fused sums are the target's own, the compiler widens it.
fn plain<E: Element>(
    panel: &[f32],
    (matrix, stride): (&[E], usize),
    columns: usize,
    sums: &mut [[f32; SPAN]],
) {
    let rows = sums.len();
    for (at, factors) in panel.chunks_exact(rows).enumerate() {
        let matrix = &matrix[at * stride..at * stride + columns];
        for (sums, factor) in sums.iter_mut().zip(factors) {
            for (sum, value) in sums.iter_mut().zip(matrix) {
                *sum = factor.mul_add(value.widen(), *sum);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct Shape {
    depth: usize,
    stride: usize,
    columns: usize,
    ahead: usize,
}

/// Asks for the lines that are as far into the next matrix as these 16 × `wide` numbers are in this one.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn ask<E>(from: *const E, wide: usize, ahead: usize) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    for byte in (0..wide * LANES * size_of::<E>()).step_by(64) {
        // SAFETY: a prefetch may ask for any address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast::<i8>().wrapping_add(ahead.wrapping_add(byte))) };
    }
}

/// # Safety
///
/// The processor has AVX-512F; `panel` points at `depth × ROWS` numbers, `matrix` at `depth` rows of `columns` numbers
/// `stride` apart, and `sums` has `ROWS` rows; `columns` is a multiple of 16 and at most 64.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn avx512<E: Element, const ROWS: usize>(
    panel: *const f32,
    matrix: *const E,
    shape: Shape,
    sums: &mut [[f32; SPAN]],
) {
    // SAFETY: the caller's promise, with the registers that `columns` fills.
    unsafe {
        match shape.columns / LANES {
            1 => avx512_of::<E, ROWS, 1>(panel, matrix, shape, sums),
            2 => avx512_of::<E, ROWS, 2>(panel, matrix, shape, sums),
            3 => avx512_of::<E, ROWS, 3>(panel, matrix, shape, sums),
            _ => avx512_of::<E, ROWS, 4>(panel, matrix, shape, sums),
        }
    }
}

/// # Safety
///
/// As for [`avx512`], where `columns` fill `WIDE` registers.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn avx512_of<E: Element, const ROWS: usize, const WIDE: usize>(
    panel: *const f32,
    matrix: *const E,
    shape: Shape,
    sums: &mut [[f32; SPAN]],
) {
    use std::arch::x86_64::{
        _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps,
    };
    let mut all = [[_mm512_setzero_ps(); WIDE]; ROWS];
    for (all, sums) in all.iter_mut().zip(sums.iter()) {
        for (wide, sum) in all.iter_mut().enumerate() {
            // SAFETY: a row of sums has 64 numbers, of which these are 16.
            *sum = unsafe { _mm512_loadu_ps(sums.as_ptr().add(wide * LANES)) };
        }
    }
    for at in 0..shape.depth {
        let mut values = [_mm512_setzero_ps(); WIDE];
        if shape.ahead > 0 {
            ask(matrix.wrapping_add(at * shape.stride), WIDE, shape.ahead);
        }
        for (wide, value) in values.iter_mut().enumerate() {
            // SAFETY: row `at` of the matrix has `16 × WIDE` numbers.
            *value = unsafe { E::load_avx512(matrix.add(at * shape.stride + wide * LANES)) };
        }
        for (row, all) in all.iter_mut().enumerate() {
            // SAFETY: the panel has `ROWS` numbers for each row of the matrix.
            let factor = _mm512_set1_ps(unsafe { *panel.add(at * ROWS + row) });
            for (sum, value) in all.iter_mut().zip(values) {
                *sum = _mm512_fmadd_ps(factor, value, *sum);
            }
        }
    }
    for (all, sums) in all.iter().zip(sums) {
        for (wide, sum) in all.iter().enumerate() {
            // SAFETY: as for the loads.
            unsafe { _mm512_storeu_ps(sums.as_mut_ptr().add(wide * LANES), *sum) };
        }
    }
}

/// # Safety
///
/// The processor has AVX2, FMA and F16C; the rest as for [`avx512`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn avx2<E: Element, const ROWS: usize>(
    panel: *const f32,
    matrix: *const E,
    shape: Shape,
    sums: &mut [[f32; SPAN]],
) {
    use std::arch::x86_64::{
        _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps,
    };
    const HALF: usize = LANES / 2;
    for column in (0..shape.columns).step_by(LANES) {
        let mut all = [[_mm256_setzero_ps(); 2]; ROWS];
        for (all, sums) in all.iter_mut().zip(sums.iter()) {
            for (half, sum) in all.iter_mut().enumerate() {
                // SAFETY: a row of sums has 64 numbers, of which these are 8.
                *sum = unsafe { _mm256_loadu_ps(sums.as_ptr().add(column + half * HALF)) };
            }
        }
        for at in 0..shape.depth {
            if shape.ahead > 0 && column == 0 {
                ask(matrix.wrapping_add(at * shape.stride), shape.columns / LANES, shape.ahead);
            }
            // SAFETY: row `at` of the matrix has `columns` numbers, of which these are 16.
            let values = unsafe {
                let from = matrix.add(at * shape.stride + column);
                [E::load_avx2(from), E::load_avx2(from.add(HALF))]
            };
            for (row, all) in all.iter_mut().enumerate() {
                // SAFETY: the panel has `ROWS` numbers for each row of the matrix.
                let factor = _mm256_set1_ps(unsafe { *panel.add(at * ROWS + row) });
                for (sum, value) in all.iter_mut().zip(values) {
                    *sum = _mm256_fmadd_ps(factor, value, *sum);
                }
            }
        }
        for (all, sums) in all.iter().zip(sums.iter_mut()) {
            for (half, sum) in all.iter().enumerate() {
                // SAFETY: as for the loads.
                unsafe { _mm256_storeu_ps(sums.as_mut_ptr().add(column + half * HALF), *sum) };
            }
        }
    }
}
