//! The header and the table of a packed file: what it holds, and where.

use std::{collections::HashMap, ops::Range};

use candle_core::quantized::GgmlDType;

use crate::kernels::TILES_VERSION;

const MAGIC: &[u8; 8] = b"CWTILES\0";
/// Of the header and the table, and of what a loaded model was checked for.
const VERSION: u32 = 1;
/// Bytes of the header.
pub(super) const HEADER: usize = 104;
/// Bytes of an entry: id, start, length.
pub(super) const ENTRY: usize = 32;
/// What matrices start on, so that each can be fetched and given back by itself: a page.
pub(super) const ALIGNMENT: usize = 4096;

/// Which matrix: of which tensor, cut from where, in which shape.
pub(super) type Id = [u8; 16];

pub(super) fn id(name: &str, start: usize, kind: GgmlDType, shape: [usize; 2]) -> Id {
    let [outputs, inputs] = shape;
    let text = format!("{name}\0{start} {kind:?} {outputs} {inputs}");
    let mut id = Id::default();
    id.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..16]);
    id
}

/// What the file of a model is called: another for each way of packing.
pub(super) fn name(hash: [u8; 32]) -> String {
    let text = [&hash[..], &VERSION.to_le_bytes(), &TILES_VERSION.to_le_bytes()].concat();
    blake3::hash(&text).to_hex()[..32].to_owned()
}

/// Where each matrix lies.
#[derive(Debug, Default)]
pub(crate) struct Table {
    parts: HashMap<Id, Range<usize>>,
}

impl Table {
    pub(super) fn add(&mut self, id: Id, range: Range<usize>) {
        self.parts.insert(id, range);
    }

    pub(super) fn part(&self, id: Id) -> Option<Range<usize>> {
        self.parts.get(&id).cloned()
    }

    /// The table's bytes, which stand from `start` to the file's end, and the header's.
    pub(super) fn written(&self, start: usize, hash: [u8; 32]) -> (Vec<u8>, Vec<u8>) {
        let mut parts: Vec<(&Id, &Range<usize>)> = self.parts.iter().collect();
        parts.sort_by_key(|(_, range)| range.start);
        let mut table = Vec::with_capacity(parts.len() * ENTRY);
        for (id, range) in parts {
            table.extend(id);
            table.extend((range.start as u64).to_le_bytes());
            table.extend((range.len() as u64).to_le_bytes());
        }
        let mut header = Vec::with_capacity(HEADER);
        header.extend(MAGIC);
        header.extend(VERSION.to_le_bytes());
        header.extend(TILES_VERSION.to_le_bytes());
        header.extend(hash);
        header.extend((self.parts.len() as u64).to_le_bytes());
        header.extend((start as u64).to_le_bytes());
        header.extend(((start + table.len()) as u64).to_le_bytes());
        let sum = checksum(&header, &table);
        header.extend(sum);
        (header, table)
    }

    /// The table of a whole file, or nothing where anything about it is not as it was written.
    pub(super) fn read(file: &[u8], hash: [u8; 32]) -> Option<Self> {
        let header = file.get(..HEADER)?;
        let number = |at: usize| {
            let bytes = header.get(at..at + 8)?.try_into().ok()?;
            usize::try_from(u64::from_le_bytes(bytes)).ok()
        };
        let versions = [VERSION.to_le_bytes(), TILES_VERSION.to_le_bytes()].concat();
        if header[..8] != *MAGIC || header[8..16] != versions || header[16..48] != hash {
            return None;
        }
        let (count, start, length) = (number(48)?, number(56)?, number(64)?);
        let table = file.get(start..)?;
        if length != file.len() || table.len() != count.checked_mul(ENTRY)? {
            return None;
        }
        if header[72..] != checksum(&header[..72], table) {
            return None;
        }
        let mut parts = HashMap::with_capacity(count);
        for entry in table.as_chunks::<ENTRY>().0 {
            let (id, rest) = entry.split_first_chunk::<16>()?;
            let number = |bytes: &[u8]| usize::try_from(u64::from_le_bytes(bytes.try_into().ok()?)).ok();
            let (first, length) = (number(&rest[..8])?, number(&rest[8..])?);
            let end = first.checked_add(length)?;
            if !first.is_multiple_of(ALIGNMENT) || end > start {
                return None;
            }
            parts.insert(*id, first..end);
        }
        Some(Self { parts })
    }
}

fn checksum(header: &[u8], table: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    *hasher.update(header).update(table).finalize().as_bytes()
}
