//! Files of packed tiles beside the models: found by what was packed and how, checked, mapped, or written anew.

mod table;
mod writer;
#[cfg(test)]
mod tests;

use std::{
    cell::RefCell,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use candle_core::quantized::GgmlDType;

use crate::{
    formats::{Bytes, RawTensor},
    kernels::{Linear, Tiles},
    report::Packed,
};
use table::Table;
use writer::Writer;
pub(crate) use writer::write_whole;

/// What packed files are called after the dot.
const ENDING: &str = "tiles";

/// A folder of packed files.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    path: PathBuf,
    /// All packed files in it together.
    bytes_max: u64,
}

/// Where the matrices of a model that is being loaded get their tiles from.
#[derive(Debug)]
pub(crate) enum Packing {
    /// Each is packed into memory.
    Memory,
    /// They lie in a file.
    File { map: Bytes, table: Table },
    /// They are packed into a file.
    Writing(RefCell<Writer>),
}

impl Folder {
    pub(crate) fn new(path: &Path, bytes_max: u64) -> Self {
        Self { path: path.to_owned(), bytes_max }
    }

    /// The packed file of the model with this hash, or a new one, for which about `bytes` are needed. One process
    /// writes it while others wait; where there is no room or no right to write, tiles stay in memory.
    pub(crate) fn packing(&self, hash: [u8; 32], bytes: u64) -> Packing {
        let path = self.path.join(format!("{}.{ENDING}", table::name(hash)));
        if let Some(found) = find(&path, hash) {
            return found;
        }
        if bytes > self.bytes_max {
            return Packing::Memory;
        }
        let begun = fs::create_dir_all(&self.path).and_then(|()| {
            let lock = File::create(path.with_extension("lock"))?;
            lock.lock()?;
            Ok(lock)
        });
        let Ok(lock) = begun else { return Packing::Memory };
        // Another process may have written it meanwhile.
        if let Some(found) = find(&path, hash) {
            return found;
        }
        self.make_room(bytes);
        Writer::new(path, hash, lock).map_or(Packing::Memory, |writer| Packing::Writing(RefCell::new(writer)))
    }

    /// Removes the files that were used longest ago until `bytes` more are within the bound. A process that has one
    /// mapped keeps it.
    fn make_room(&self, bytes: u64) {
        let Ok(entries) = fs::read_dir(&self.path) else { return };
        let packed = |path: &Path| path.extension().is_some_and(|ending| ending == ENDING);
        let about = |path: PathBuf| {
            let about = fs::metadata(&path).ok()?;
            Some((about.modified().unwrap_or(SystemTime::UNIX_EPOCH), about.len(), path))
        };
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| packed(path));
        let mut files: Vec<_> = paths.filter_map(about).collect();
        files.sort();
        let mut used: u64 = files.iter().map(|(_, length, _)| length).sum();
        for (_, length, path) in files {
            if used.saturating_add(bytes) <= self.bytes_max {
                return;
            }
            if fs::remove_file(path).is_ok() {
                used -= length;
            }
        }
    }
}

/// The packed file, where it is there and whole.
fn find(path: &Path, hash: [u8; 32]) -> Option<Packing> {
    let file = File::open(path).ok()?;
    if file.metadata().ok()?.len() < table::HEADER as u64 {
        return None;
    }
    let map = Bytes::of(&file).ok()?;
    let table = Table::read(map.as_slice(), hash)?;
    // The time of the last use, for the choice of what to remove; where it cannot be set, the file looks older.
    let touched =
        File::options().append(true).open(path).and_then(|file| file.set_modified(SystemTime::now()));
    let _looks_older = touched;
    Some(Packing::File { map, table })
}

impl Packing {
    /// The matrix in `tensor`, packed where its type has a packed form. `name` is the tensor's, or that of the one that
    /// it is a part of.
    pub(crate) fn linear(&self, name: &str, tensor: RawTensor) -> Result<Linear, String> {
        let &[outputs, inputs] = tensor.shape.as_slice() else { return Linear::new(tensor) };
        let id = table::id(name, tensor.bytes.start(), tensor.kind, [outputs, inputs]);
        match self {
            Self::Memory => Linear::new(tensor),
            Self::File { map, table } => {
                let part = table.part(id).and_then(|range| map.part(range.start, range.len()));
                let tiles = part.and_then(|part| Tiles::packed_before(tensor.kind, part, outputs, inputs));
                tiles.map_or_else(|| Linear::new(tensor), |tiles| Ok(Linear::of_tiles(tiles)))
            }
            Self::Writing(writer) => {
                let Some(tiles) = Tiles::pack(tensor.kind, tensor.bytes.as_slice(), outputs, inputs) else {
                    return Linear::new(tensor);
                };
                tensor.bytes.release();
                Ok(Linear::of_tiles(written(&mut writer.borrow_mut(), id, tiles, tensor.kind)))
            }
        }
    }

    /// Whether every number of the model was found finite before.
    pub(crate) fn is_checked(&self) -> bool {
        matches!(self, Self::File { .. })
    }

    /// Makes what was written a file that others find, after every matrix was taken.
    ///
    /// # Errors
    ///
    /// The system's, where it does not let the tiles be read back.
    pub(crate) fn finish(self) -> io::Result<(Packed, u64)> {
        match self {
            Self::Memory => Ok((Packed::InMemory, 0)),
            Self::File { map, .. } => Ok((Packed::Cached, map.len() as u64)),
            Self::Writing(writer) => writer.into_inner().finish(),
        }
    }
}

/// The tiles in the file, or as they are where the file takes no more.
fn written(writer: &mut Writer, id: table::Id, tiles: Tiles, kind: GgmlDType) -> Tiles {
    let shape = (tiles.outputs(), tiles.inputs());
    match writer.append(id, tiles.bytes()) {
        Some(part) => Tiles::packed_before(kind, part, shape.0, shape.1).unwrap_or(tiles),
        None => tiles,
    }
}
