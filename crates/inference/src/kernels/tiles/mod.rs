//! Packed 4-, 5-, 6- and 8-bit matrices and their products with rows of 8-bit activations.
//!
//! Every form computes the same bits: sums of integers are exact, and the few float operations of an output are done in
//! one lane, segment after segment, fused where fused. So neither the processor, nor the rows beside a row, nor the
//! split among threads shows in a result.

mod layout;
mod lines;
mod pack;
mod input;
mod plain;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "aarch64")]
mod neon;
mod product;
#[cfg(test)]
mod tests;

use candle_core::quantized::GgmlDType;

pub(crate) use input::Input;
pub(crate) use layout::{Format, LANES, VERSION};
pub(crate) use product::{Job, products};

use super::{Form, team};
use crate::formats::Bytes;
use input::Panel;
use lines::{Line, Lines, bytes_of_mut};

/// A packed matrix of `outputs × inputs` weights.
#[derive(Debug)]
pub(crate) struct Tiles {
    format: Format,
    inputs: usize,
    outputs: usize,
    lines: Lines,
}

impl Tiles {
    /// Packs rows of blocks, or nothing where the type has no packed form or the bytes are not a matrix of this shape.
    pub(crate) fn pack(kind: GgmlDType, bytes: &[u8], outputs: usize, inputs: usize) -> Option<Self> {
        let format = format_of(kind, inputs)?;
        let segments = inputs / format.segment();
        let row = segments * pack::block_bytes(format);
        if outputs == 0 || bytes.len() != outputs.checked_mul(row)? {
            return None;
        }
        let tile = format.tile(segments) / layout::LINE;
        let mut lines = vec![Line([0; layout::LINE]); outputs.div_ceil(LANES) * tile];
        team::share_runs(&mut lines, tile, |at, lines| {
            let rows = &bytes[at * LANES * row..outputs.min((at + 1) * LANES) * row];
            pack::pack_tile(format, rows, segments, bytes_of_mut(lines));
        });
        Some(Self { format, inputs, outputs, lines: Lines::Own(lines) })
    }

    /// Tiles that were packed before, or nothing where the bytes are not as many as such a matrix takes.
    pub(crate) fn packed_before(
        kind: GgmlDType,
        bytes: Bytes,
        outputs: usize,
        inputs: usize,
    ) -> Option<Self> {
        let format = format_of(kind, inputs)?;
        let length = outputs.div_ceil(LANES).checked_mul(format.tile(inputs / format.segment()))?;
        (outputs > 0 && bytes.len() == length).then_some(Self {
            format,
            inputs,
            outputs,
            lines: Lines::File(bytes),
        })
    }

    /// All tiles, one after another, as [`Self::packed_before`] takes them.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.lines.bytes()
    }

    /// The part of a file that the tiles lie in, if they do.
    pub(crate) fn file_part(&self) -> Option<&Bytes> {
        match &self.lines {
            Lines::Own(_) => None,
            Lines::File(bytes) => Some(bytes),
        }
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    pub(crate) fn inputs(&self) -> usize {
        self.inputs
    }

    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Weight row `row` in f32; it is below `outputs`.
    pub(crate) fn row(&self, row: usize, out: &mut [f32]) {
        pack::unpack_row(self.format, self.tile(row / LANES), row % LANES, out);
    }

    /// The matrix, and one of the same shape that is multiplied along with it, as what comes soon.
    pub(crate) fn coming(&self, second: Option<&Self>) -> team::Coming {
        let starts = [Some(self), second].map(|tiles| tiles.map(|tiles| tiles.lines.bytes().as_ptr().addr()));
        team::Coming { starts, runs: self.tiles(), length: self.tile_bytes() }
    }

    fn tiles(&self) -> usize {
        self.outputs.div_ceil(LANES)
    }

    /// Bytes of one tile.
    fn tile_bytes(&self) -> usize {
        self.format.tile(self.inputs / self.format.segment())
    }

    fn tile(&self, index: usize) -> &[u8] {
        let length = self.tile_bytes();
        &self.lines.bytes()[index * length..(index + 1) * length]
    }
}

/// How a type is packed, or nothing where it has no packed form or rows of this length have none.
fn format_of(kind: GgmlDType, inputs: usize) -> Option<Format> {
    let format = match kind {
        GgmlDType::Q4_0 => Format::Q4_0,
        GgmlDType::Q4_1 => Format::Q4_1,
        GgmlDType::Q5_0 => Format::Q5_0,
        GgmlDType::Q5_1 => Format::Q5_1,
        GgmlDType::Q8_0 => Format::Q8_0,
        GgmlDType::Q4K => Format::Q4K,
        GgmlDType::Q5K => Format::Q5K,
        GgmlDType::Q6K => Format::Q6K,
        _ => return None,
    };
    (inputs > 0 && inputs.is_multiple_of(format.segment())).then_some(format)
}

/// The products of a tile's outputs with a panel's rows, by the form given.
fn tile_product(form: Form, format: Format, tile: &[u8], panel: Panel<'_>, out: &mut [[f32; LANES]]) {
    let segments = panel.scales.len() / panel.rows;
    let whole = panel.scales.len() == segments * panel.rows
        && panel.values.len() == segments * format.segment() / 4 * panel.rows
        && panel.sums.len() == segments * format.sums() * panel.rows
        && tile.len() == format.tile(segments)
        && out.len() == panel.rows;
    assert!(whole, "a tile, a panel and their products must be of one shape");
    #[cfg(target_arch = "x86_64")]
    {
        /// Calls `$form::product` for the panel's number of rows.
        macro_rules! by_rows {
            ($form:ident) => {
                // SAFETY: the form is given only where the processor has its features, and the lengths are as checked.
                unsafe {
                    match panel.rows {
                        1 => $form::product::<1>(format, tile, panel, out),
                        2 => $form::product::<2>(format, tile, panel, out),
                        4 => $form::product::<4>(format, tile, panel, out),
                        8 => $form::product::<8>(format, tile, panel, out),
                        12 => $form::product::<12>(format, tile, panel, out),
                        16 => $form::product::<16>(format, tile, panel, out),
                        _ => plain::product(format, tile, panel, out),
                    }
                }
            };
        }
        match form {
            Form::Avx512 => return by_rows!(avx512),
            Form::Avx2 => return by_rows!(avx2),
            Form::Plain => {}
        }
    }
    #[cfg(target_arch = "aarch64")]
    {
        if form == Form::Neon {
            // SAFETY: the form is given only where the processor has its features, and the lengths are as checked.
            return unsafe { neon::product(format, tile, panel, out) };
        }
    }
    let _only_plain = form;
    plain::product(format, tile, panel, out);
}
