//! The products in AVX-512 VNNI: an output in each lane, so that nothing is summed across lanes.
//!
//! The instruction multiplies bytes: weights as they are less their least, so that they have no sign, and each input in
//! two halves with one, `input = 64 · high + low`. So a sum of products is `64 · Σ weight · high + Σ weight · low`, less
//! what the weights' shift added, which is the sum of the inputs times it. Sums on the way may go round 32 bits; the last
//! does not, and is exact.

use std::arch::x86_64::{
    __m512i, _mm512_add_epi32, _mm512_dpbusd_epi32, _mm512_loadu_si512, _mm512_set1_epi32,
    _mm512_setzero_si512, _mm512_slli_epi32, _mm512_storeu_si512,
};

use crate::wide::wide;

/// Outputs of a panel.
const LANES: usize = 16;
/// Inputs that are multiplied together.
const QUAD: usize = 4;
/// Bits of the low half of an input.
const LOW_BITS: u32 = 6;
/// What is added to a weight so that it has no sign.
const SHIFT: i32 = 128;
/// Inputs that are multiplied with one panel at a time: their sums fit the registers.
const PLACES: usize = 8;
/// Panels that are multiplied with one input at a time, so that their sums need not wait for each other.
const ABREAST: usize = 4;

/// The weights of sixteen outputs and four inputs: four of each output side by side.
type Block = [u8; LANES * QUAD];

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Panels {
    /// As many for each panel as an input has quads.
    blocks: Vec<Block>,
    quads: usize,
    panels: usize,
}

/// The two halves of an input.
struct Halves {
    high: Vec<u8>,
    low: Vec<u8>,
    /// What has to be added to its sums for the shift of the weights.
    mend: i32,
}

// === impl Panels ===

impl Panels {
    /// The weights of `inputs` side by side for each output, where the processor has the instruction.
    pub(super) fn of(rows: &[i8], inputs: usize) -> Option<Self> {
        let has = std::arch::is_x86_feature_detected!("avx512f")
            && std::arch::is_x86_feature_detected!("avx512vnni");
        if !has || inputs == 0 || rows.is_empty() {
            return None;
        }
        let (quads, panels) = (inputs.div_ceil(QUAD), (rows.len() / inputs).div_ceil(LANES));
        // What is beyond the inputs is multiplied with zeros, and what is beyond the outputs is not read.
        let mut blocks = vec![[0; LANES * QUAD]; quads * panels];
        for (output, row) in rows.chunks_exact(inputs).enumerate() {
            for (input, weight) in row.iter().enumerate() {
                let block = &mut blocks[output / LANES * quads + input / QUAD];
                block[output % LANES * QUAD + input % QUAD] = (i32::from(*weight) + SHIFT) as u8;
            }
        }
        Some(Self { blocks, quads, panels })
    }

    /// From one input's sums to the next's.
    pub(super) fn stride(&self) -> usize {
        self.panels * LANES
    }

    /// The sums of all panels for each input.
    pub(super) fn products(&self, inputs: &[&[i16]]) -> Vec<i32> {
        let halves: Vec<Halves> = inputs.iter().map(|input| Halves::of(input, self.quads * QUAD)).collect();
        let mut sums = vec![0; self.stride() * inputs.len()];
        let several = halves.len() - halves.len() % PLACES;
        let (whole, rest) = sums.split_at_mut(several * self.stride());
        // SAFETY: panels are made only where the processor has the features that the functions ask for.
        unsafe {
            for (halves, sums) in
                halves.chunks_exact(PLACES).zip(whole.chunks_exact_mut(PLACES * self.stride()))
            {
                self.of_several(halves, sums);
            }
            for (halves, sums) in halves[several..].iter().zip(rest.chunks_exact_mut(self.stride())) {
                self.of_one(halves, sums);
            }
        }
        sums
    }

    /// The sums of so many inputs, one panel after the other.
    #[target_feature(enable = "avx512f,avx512vnni")]
    fn of_several(&self, halves: &[Halves], sums: &mut [i32]) {
        let Some(inputs) = halves.first_chunk::<PLACES>() else { return };
        for (panel, blocks) in self.blocks.chunks_exact(self.quads).enumerate() {
            let told = tile::<1, PLACES>([blocks], inputs.each_ref());
            for (place, [told]) in told.iter().enumerate() {
                if let Some(to) = sums[place * self.stride()..].as_chunks_mut::<LANES>().0.get_mut(panel) {
                    store(to, *told);
                }
            }
        }
    }

    /// The sums of one input, several panels side by side.
    #[target_feature(enable = "avx512f,avx512vnni")]
    fn of_one(&self, halves: &Halves, sums: &mut [i32]) {
        let (lanes, _) = sums.as_chunks_mut::<LANES>();
        let (abreast, alone) = lanes.as_chunks_mut::<ABREAST>();
        let mut panels = self.blocks.chunks_exact(self.quads);
        for sums in abreast {
            let mut blocks: [&[Block]; ABREAST] = [&[]; ABREAST];
            for blocks in &mut blocks {
                *blocks = panels.next().unwrap_or_default();
            }
            let [told] = tile::<ABREAST, 1>(blocks, [halves]);
            for (sums, told) in sums.iter_mut().zip(told) {
                store(sums, told);
            }
        }
        for (sums, blocks) in alone.iter_mut().zip(panels) {
            let [[told]] = tile::<1, 1>([blocks], [halves]);
            store(sums, told);
        }
    }
}

/// The sums of several panels for several inputs.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn tile<const PANELS: usize, const INPUTS: usize>(
    panels: [&[Block]; PANELS],
    inputs: [&Halves; INPUTS],
) -> [[__m512i; PANELS]; INPUTS] {
    let mut highs = [[_mm512_setzero_si512(); PANELS]; INPUTS];
    let mut lows = highs;
    // No adapters, for the reason given beside the products in AVX2; and one length for all, so that it is checked once.
    let quads = panels[0].len();
    let mut blocks: [&[Block]; PANELS] = [&[]; PANELS];
    for (blocks, panel) in blocks.iter_mut().zip(panels) {
        *blocks = &panel[..quads];
    }
    let mut high: [&[[u8; QUAD]]; INPUTS] = [&[]; INPUTS];
    let mut low = high;
    for input in 0..INPUTS {
        high[input] = &inputs[input].high.as_chunks().0[..quads];
        low[input] = &inputs[input].low.as_chunks().0[..quads];
    }
    for at in 0..quads {
        for panel in 0..PANELS {
            // SAFETY: a block is 64 bytes, and the load needs no alignment.
            let weights = unsafe { _mm512_loadu_si512(blocks[panel][at].as_ptr().cast()) };
            for input in 0..INPUTS {
                let (high, low) = (word(high[input][at]), word(low[input][at]));
                highs[input][panel] = _mm512_dpbusd_epi32(highs[input][panel], weights, high);
                lows[input][panel] = _mm512_dpbusd_epi32(lows[input][panel], weights, low);
            }
        }
    }
    let mut sums = highs;
    for input in 0..INPUTS {
        let mend = _mm512_set1_epi32(inputs[input].mend);
        for panel in 0..PANELS {
            let high = _mm512_slli_epi32::<LOW_BITS>(highs[input][panel]);
            sums[input][panel] = _mm512_add_epi32(_mm512_add_epi32(high, lows[input][panel]), mend);
        }
    }
    sums
}

/// Four bytes in every lane.
#[inline]
#[target_feature(enable = "avx512f")]
fn word(bytes: [u8; QUAD]) -> __m512i {
    _mm512_set1_epi32(i32::from_le_bytes(bytes))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(to: &mut [i32; LANES], sums: __m512i) {
    // SAFETY: the array is as long as what is stored, and the store needs no alignment.
    unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), sums) };
}

// === impl Halves ===

impl Halves {
    /// An input in halves, with zeros up to `length`.
    fn of(input: &[i16], length: usize) -> Self {
        let (mut high, mut low) = (vec![0; length], vec![0; length]);
        let sum = halve(input, &mut high, &mut low);
        Self { high, low, mend: sum.wrapping_mul(-SHIFT) }
    }
}

wide! {
    /// Writes both halves of every number, and gives the sum of the numbers.
    fn halve(input: &[i16], high: &mut [u8], low: &mut [u8]) -> i32 {
        let mut sum = 0;
        for ((value, high), low) in input.iter().zip(high).zip(low) {
            // An input has thirteen bits with its sign, of which the upper seven fit a byte.
            *high = (value >> LOW_BITS) as u8;
            *low = (value & ((1 << LOW_BITS) - 1)) as u8;
            sum += i32::from(*value);
        }
        sum
    }
}
