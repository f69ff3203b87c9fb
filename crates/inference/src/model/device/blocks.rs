//! Keys and values on a device: two tensors per layer, in which each block of a pool has its place.

use std::sync::{PoisonError, RwLock};

use candle_core::{DType, Device, Result, Tensor};

use crate::{Error, KvType, kernels::KeyShape};

/// The numbers of a pool's blocks.
#[derive(Debug)]
pub(crate) struct Blocks {
    device: Device,
    kind: DType,
    /// What every layer keeps of a position.
    shape: KeyShape,
    /// Positions of a block.
    block: usize,
    room: RwLock<Room>,
}

/// Keys and values of every layer: `[head, position of a block, number]`.
#[derive(Debug)]
struct Room {
    layers: Vec<[Tensor; 2]>,
    blocks: usize,
}

/// Where the rows of a step are written to: for each number of a key and of a value the slot of its row.
#[derive(Debug)]
pub(super) struct Places([Tensor; 2]);

impl Blocks {
    /// Room for `blocks` blocks, and for more when they are asked for.
    pub(super) fn new(
        (device, kind): (&Device, KvType),
        (layers, shape): (usize, KeyShape),
        (blocks, block): (usize, usize),
    ) -> Result<Self> {
        let kind = match kind {
            KvType::F32 => DType::F32,
            KvType::F16 | KvType::Q8 => DType::F16,
        };
        let new = Self {
            device: device.clone(),
            kind,
            shape,
            block,
            room: RwLock::new(Room { layers: Vec::new(), blocks }),
        };
        let layers = (0..layers).map(|_| new.tensors(blocks)).collect::<Result<_>>()?;
        new.room.write().unwrap_or_else(PoisonError::into_inner).layers = layers;
        Ok(new)
    }

    fn tensors(&self, blocks: usize) -> Result<[Tensor; 2]> {
        let KeyShape { heads, key_width, value_width } = self.shape;
        let tensor = |width| Tensor::zeros((heads, blocks * self.block, width), self.kind, &self.device);
        Ok([tensor(key_width)?, tensor(value_width)?])
    }

    /// Whether there is room for so many blocks, or could be made.
    pub(crate) fn reaches(&self, blocks: usize) -> bool {
        let mut room = self.room.write().unwrap_or_else(PoisonError::into_inner);
        if blocks <= room.blocks {
            return true;
        }
        // At least twice as much, so that what is copied stays in proportion.
        let more = blocks.max(2 * room.blocks) - room.blocks;
        let wider = |layer: &[Tensor; 2]| -> Result<[Tensor; 2]> {
            let [keys, values] = self.tensors(more)?;
            Ok([Tensor::cat(&[&layer[0], &keys], 1)?, Tensor::cat(&[&layer[1], &values], 1)?])
        };
        match room.layers.iter().map(wider).collect::<Result<Vec<_>>>() {
            Ok(layers) => {
                *room = Room { layers, blocks: room.blocks + more };
                true
            }
            Err(_) => false,
        }
    }

    /// Copies what one block holds to another.
    pub(crate) fn copy(&self, from: usize, to: usize) -> std::result::Result<(), Error> {
        for tensor in self.layers().iter().flatten() {
            let held = tensor.narrow(1, from * self.block, self.block)?.force_contiguous()?;
            tensor.slice_set(&held, 1, to * self.block)?;
        }
        Ok(())
    }

    /// The tensors of every layer; clones share the numbers.
    fn layers(&self) -> Vec<[Tensor; 2]> {
        self.room.read().unwrap_or_else(PoisonError::into_inner).layers.clone()
    }

    fn layer(&self, layer: usize) -> Result<[Tensor; 2]> {
        let room = self.room.read().unwrap_or_else(PoisonError::into_inner);
        let tensors = room.layers.get(layer).cloned();
        tensors.ok_or_else(|| candle_core::Error::Msg(format!("no layer {layer} in the cache")))
    }

    /// Where rows go whose slots these are.
    pub(super) fn places(&self, slots: Vec<u32>) -> Result<Places> {
        let KeyShape { heads, key_width, value_width } = self.shape;
        let rows = slots.len();
        let slots = Tensor::from_vec(slots, (1, rows, 1), &self.device)?;
        let wide = |width| slots.broadcast_as((heads, rows, width))?.contiguous();
        let keys = wide(key_width)?;
        let values = if value_width == key_width { keys.clone() } else { wide(value_width)? };
        Ok(Places([keys, values]))
    }

    /// Writes rows of keys and values, `[row, head · number]`, to one layer.
    pub(super) fn write(&self, layer: usize, places: &Places, rows: [&Tensor; 2]) -> Result<()> {
        for ((tensor, places), rows) in self.layer(layer)?.iter().zip(&places.0).zip(rows) {
            let (heads, count, width) = places.dims3()?;
            let rows = rows.reshape((count, heads, width))?.transpose(0, 1)?.to_dtype(self.kind)?;
            tensor.scatter_set(places, &rows.contiguous()?, 1)?;
        }
        Ok(())
    }

    /// The keys and values in these slots of one layer, in f32: `[head, slot, number]`.
    pub(super) fn read(&self, layer: usize, slots: &Tensor) -> Result<[Tensor; 2]> {
        let [keys, values] = self.layer(layer)?;
        let read = |tensor: &Tensor| tensor.index_select(slots, 1)?.to_dtype(DType::F32);
        Ok([read(&keys)?, read(&values)?])
    }
}
