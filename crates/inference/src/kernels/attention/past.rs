//! Keys and values in blocks of positions: what a block holds, and one layer's view of many.
//!
//! A block holds the positions of every layer. Within a layer it is cut into strips of at most 64 positions, one span of
//! attention, and a strip holds, head after head, the keys with positions side by side (`[number][position]`) and then
//! the values with numbers side by side (`[position][number]`, filled up to whole registers), so that neither a score
//! nor a weighted sum ever adds across the lanes of a register. A block of several spans is several strips; a block of
//! a part of a span is one narrower strip, which costs shorter products but no other bits.

use std::sync::Arc;

use half::f16;

use super::{super::team, panel::Element};
use crate::KvType;

/// Positions that attention takes together.
pub(crate) const SPAN: usize = 64;
/// Numbers that the values of a position are filled up to a multiple of; the least positions of a block as well.
pub(crate) const WHOLE: usize = 16;

/// As many rows of one sequence are worth sharing among threads.
const ROWS_SHARED_MIN: usize = 16;

/// What is kept of each position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyShape {
    /// Heads of keys and values.
    pub(crate) heads: usize,
    /// Numbers of a head's key.
    pub(crate) key_width: usize,
    /// Numbers of a head's values.
    pub(crate) value_width: usize,
}

/// Where in a block each layer's numbers are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    layers: Vec<Place>,
    /// Positions of a block, and of a strip.
    block: usize,
    strip: usize,
    numbers: usize,
    scales: usize,
}

/// One layer's part of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    shape: KeyShape,
    /// Its first number, and its first scale.
    numbers: usize,
    scales: usize,
}

/// Positions of all layers.
#[derive(Debug)]
pub(crate) struct Block {
    numbers: Numbers,
    /// Among the blocks of its pool, where their numbers are kept elsewhere.
    #[cfg(any(test, feature = "cuda"))]
    place: usize,
}

/// As which numbers they are kept. An 8-bit number stands for itself times the scale of its position and head.
#[derive(Debug)]
pub(super) enum Numbers {
    F32(Vec<f32>),
    F16(Vec<f16>),
    Q8(Vec<i8>, Vec<f32>),
}

/// All positions of a layer so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Past<'a> {
    pub(crate) layout: &'a Layout,
    pub(crate) blocks: &'a [Arc<Block>],
    pub(crate) layer: usize,
    pub(crate) positions: usize,
}

/// Neighbouring positions of one head.
#[derive(Debug, Clone, Copy)]
pub(super) struct Strip<'a, E> {
    /// `[number][position]`, as many positions as a strip of the layout has.
    pub(super) keys: &'a [E],
    /// `[position][number]`.
    pub(super) values: &'a [E],
    /// One per position, of keys and of values; empty where numbers stand for themselves.
    pub(super) scales: [&'a [f32]; 2],
}

impl<E> Default for Strip<'_, E> {
    fn default() -> Self {
        Self { keys: &[], values: &[], scales: [&[]; 2] }
    }
}

impl KeyShape {
    /// Numbers from one position's values to the next position's.
    pub(super) fn value_stride(self) -> usize {
        self.value_width.next_multiple_of(WHOLE)
    }

    /// Numbers of one head in a strip.
    fn strip(self, positions: usize) -> usize {
        (self.key_width + self.value_stride()) * positions
    }
}

impl Layout {
    /// Blocks of `block` positions, a power of two from 16 on, for layers of these shapes.
    pub(crate) fn new(shapes: impl IntoIterator<Item = KeyShape>, block: usize) -> Self {
        let (mut numbers, mut scales) = (0, 0);
        let place = |shape: KeyShape| {
            let place = Place { shape, numbers, scales };
            numbers += shape.heads * shape.strip(block);
            scales += shape.heads * 2 * block;
            place
        };
        let layers = shapes.into_iter().map(place).collect();
        Self { layers, block, strip: block.min(SPAN), numbers, scales }
    }

    /// Positions of a block.
    pub(crate) fn block(&self) -> usize {
        self.block
    }

    /// Positions of a strip.
    pub(super) fn strip(&self) -> usize {
        self.strip
    }

    /// Bytes of a block's numbers and scales.
    pub(crate) fn bytes(&self, kind: KvType) -> usize {
        match kind {
            KvType::F32 => self.numbers * 4,
            KvType::F16 => self.numbers * 2,
            KvType::Q8 => self.numbers + self.scales * 4,
        }
    }

    /// Where one head's strip begins that holds position `at` of a block: numbers, and scales.
    fn strip_at(&self, layer: usize, head: usize, at: usize) -> (usize, usize) {
        let Place { shape, numbers, scales } = self.layers[layer];
        let index = at / self.strip * shape.heads + head;
        (numbers + index * shape.strip(self.strip), scales + index * 2 * self.strip)
    }
}

impl Block {
    /// A block without content; none where there is no memory for it.
    pub(crate) fn new(layout: &Layout, kind: KvType) -> Option<Self> {
        let numbers = match kind {
            KvType::F32 => Numbers::F32(zeros(layout.numbers)?),
            KvType::F16 => Numbers::F16(zeros(layout.numbers)?),
            KvType::Q8 => Numbers::Q8(zeros(layout.numbers)?, zeros(layout.scales)?),
        };
        Some(Self {
            numbers,
            #[cfg(any(test, feature = "cuda"))]
            place: 0,
        })
    }

    /// A block whose numbers are kept elsewhere, in this place.
    #[cfg(any(test, feature = "cuda"))]
    pub(crate) fn elsewhere(place: usize) -> Self {
        Self { numbers: Numbers::F32(Vec::new()), place }
    }

    /// Its place, where its numbers are kept elsewhere.
    #[cfg(any(test, feature = "cuda"))]
    pub(crate) fn place(&self) -> usize {
        self.place
    }

    /// Takes over what another block of the same pool holds.
    pub(crate) fn copy(&mut self, from: &Self) {
        match (&mut self.numbers, &from.numbers) {
            (Numbers::F32(to), Numbers::F32(from)) => to.copy_from_slice(from),
            (Numbers::F16(to), Numbers::F16(from)) => to.copy_from_slice(from),
            (Numbers::Q8(to, to_scales), Numbers::Q8(from, scales)) => {
                to.copy_from_slice(from);
                to_scales.copy_from_slice(scales);
            }
            _ => {}
        }
    }

    /// Writes positions of one layer from position `first` of the block on: rows of all heads' keys and values.
    pub(crate) fn write(&mut self, layout: &Layout, (layer, first): (usize, usize), rows: [&[f32]; 2]) {
        match &mut self.numbers {
            Numbers::F32(to) => write(to, layout, (layer, first), rows),
            Numbers::F16(to) => write(to, layout, (layer, first), rows),
            Numbers::Q8(to, scales) => write_scaled((to, scales), layout, (layer, first), rows),
        }
    }

    pub(super) fn numbers(&self) -> &Numbers {
        &self.numbers
    }
}

fn zeros<T: Copy + Default>(count: usize) -> Option<Vec<T>> {
    let mut numbers = Vec::new();
    numbers.try_reserve_exact(count).ok()?;
    numbers.resize(count, T::default());
    Some(numbers)
}

impl<'a> Past<'a> {
    pub(super) fn shape(&self) -> KeyShape {
        self.layout.layers[self.layer].shape
    }

    /// As which numbers it is kept; nothing where it holds no position.
    pub(super) fn numbers(&self) -> Option<&'a Numbers> {
        self.blocks.first().map(|block| &block.numbers)
    }

    /// The strip of one head that holds a position.
    pub(super) fn strip<E: Element>(&self, head: usize, position: usize) -> Strip<'a, E> {
        let (layout, shape) = (self.layout, self.shape());
        let (first, first_scale) = layout.strip_at(self.layer, head, position % layout.block);
        let (numbers, scales) = E::of(self.blocks[position / layout.block].numbers());
        let (keys, values) =
            numbers[first..first + shape.strip(layout.strip)].split_at(shape.key_width * layout.strip);
        let scales = scales.get(first_scale..first_scale + 2 * layout.strip);
        let scales = scales.map_or([&[][..]; 2], |both| both.split_at(layout.strip).into());
        Strip { keys, values, scales }
    }
}

/// Writes strip by strip, and within one head by head.
fn write<E: Element>(
    to: &mut [E],
    layout: &Layout,
    (layer, first): (usize, usize),
    [keys, values]: [&[f32]; 2],
) {
    let shape @ KeyShape { heads, key_width, value_width } = layout.layers[layer].shape;
    let (count, each) = (keys.len() / (heads * key_width), shape.strip(layout.strip));
    let mut row = 0;
    while row < count {
        let at = (first + row) % layout.strip;
        let rows = row..count.min(row + layout.strip - at);
        let (start, _) = layout.strip_at(layer, 0, first + row);
        let one = |head: usize, to: &mut [E]| {
            let mut strip = StripMut { to, shape, positions: layout.strip };
            for (at, row) in (at..).zip(rows.clone()) {
                let key = &keys[(row * heads + head) * key_width..][..key_width];
                let value = &values[(row * heads + head) * value_width..][..value_width];
                strip.put(at, key, value);
            }
        };
        let strips = &mut to[start..start + heads * each];
        if rows.len() < ROWS_SHARED_MIN {
            strips.chunks_exact_mut(each).enumerate().for_each(|(head, to)| one(head, to));
        } else {
            team::share_runs(strips, each, one);
        }
        row = rows.end;
    }
}

/// One head's strip, for writing.
struct StripMut<'a, E> {
    to: &'a mut [E],
    shape: KeyShape,
    positions: usize,
}

impl<E: Element> StripMut<'_, E> {
    /// Writes the key and the value of position `at` of the strip.
    fn put(&mut self, at: usize, key: &[f32], value: &[f32]) {
        let (keys, values) = self.to.split_at_mut(self.shape.key_width * self.positions);
        let values = &mut values[at * self.shape.value_stride()..][..value.len()];
        if is_sound::<E>(key) && is_sound::<E>(value) {
            let mut narrow = [E::default(); SPAN];
            let places = keys.chunks_mut(SPAN * self.positions);
            for (key, keys) in key.chunks(SPAN).zip(places) {
                E::narrow_all(key, &mut narrow[..key.len()]);
                for (keys, number) in keys.chunks_exact_mut(self.positions).zip(narrow) {
                    keys[at] = number;
                }
            }
            E::narrow_all(value, values);
        } else {
            // A key that is not a number spoils whoever sees the position; a value would spoil its neighbours as well.
            keys.chunks_exact_mut(self.positions).for_each(|keys| keys[at] = E::narrow(f32::NAN));
            values.fill(E::default());
        }
    }
}

/// Whether these are numbers that can be kept.
fn is_sound<E: Element>(row: &[f32]) -> bool {
    row.iter().fold(true, |sound, number| sound & (number.abs() <= E::GREATEST))
}

/// Writes one head's key and value in 8 bits; `narrow` is told which of the two a number is of.
fn put(
    to: &mut [i8],
    layout: &Layout,
    (layer, head, at): (usize, usize, usize),
    [key, value]: [&[f32]; 2],
    narrow: impl Fn(usize, f32) -> i8,
) {
    let (start, _) = layout.strip_at(layer, head, at);
    let (shape, strip) = (layout.layers[layer].shape, layout.strip);
    let at = at % strip;
    let (keys, values) = to[start..start + shape.strip(strip)].split_at_mut(shape.key_width * strip);
    for (to, number) in keys.chunks_exact_mut(strip).zip(key) {
        to[at] = narrow(0, *number);
    }
    for (to, number) in values[at * shape.value_stride()..].iter_mut().zip(value) {
        *to = narrow(1, *number);
    }
}

/// The same in 8 bits: the greatest of a head's numbers becomes 127.
fn write_scaled(
    (to, scales): (&mut [i8], &mut [f32]),
    layout: &Layout,
    (layer, first): (usize, usize),
    [keys, values]: [&[f32]; 2],
) {
    let KeyShape { heads, key_width, value_width } = layout.layers[layer].shape;
    let rows = keys.chunks_exact(heads * key_width).zip(values.chunks_exact(heads * value_width));
    for (at, (keys, values)) in (first..).zip(rows) {
        let heads = keys.chunks_exact(key_width).zip(values.chunks_exact(value_width));
        for (head, (key, value)) in heads.enumerate() {
            let (_, first_scale) = layout.strip_at(layer, head, at);
            let place = first_scale + at % layout.strip;
            let sound = is_sound::<i8>(key) && is_sound::<i8>(value);
            let both = if sound { [scale(key), scale(value)] } else { [f32::NAN, 0.0] };
            [scales[place], scales[place + layout.strip]] = both;
            let over = both.map(|scale| if scale > 0.0 { 1.0 / scale } else { 0.0 });
            let narrow = |part: usize, number: f32| {
                i8::narrow((number * over[part]).round_ties_even().clamp(-127.0, 127.0))
            };
            put(to, layout, (layer, head, at), [key, value], narrow);
        }
    }
}

/// What whole numbers up to 127 are to be multiplied with to give a row's numbers.
fn scale(row: &[f32]) -> f32 {
    row.iter().fold(0f32, |most, number| most.max(number.abs())) / 127.0
}
