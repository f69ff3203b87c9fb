//! Writing a packed file, so that it is found whole or not at all.

use std::{
    fs::{self, File},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use super::table::{ALIGNMENT, HEADER, Id, Table};
use crate::{
    formats::{Bytes, Later},
    report::Packed,
};

/// A packed file that is being written under a name that nobody looks for.
#[derive(Debug)]
pub(crate) struct Writer {
    path: PathBuf,
    /// Where it is written. The lock sees to it that no other process writes there.
    aside: Aside,
    file: File,
    hash: [u8; 32],
    table: Table,
    map: Later,
    end: usize,
    /// Whether everything was written so far.
    whole: bool,
    _lock: File,
}

/// A file that is removed unless it gets its name.
#[derive(Debug)]
struct Aside(PathBuf);

impl Drop for Aside {
    fn drop(&mut self) {
        // It is gone where it got its name.
        let _gone = fs::remove_file(&self.0);
    }
}

impl Writer {
    pub(super) fn new(path: PathBuf, hash: [u8; 32], lock: File) -> io::Result<Self> {
        let aside = Aside(path.with_extension("part"));
        let mut file = File::options().read(true).write(true).create(true).truncate(true).open(&aside.0)?;
        file.write_all(&[0; ALIGNMENT])?;
        let (table, map) = (Table::default(), Later::new());
        Ok(Self { path, aside, file, hash, table, map, end: ALIGNMENT, whole: true, _lock: lock })
    }

    /// Writes a matrix's tiles and gives the part of the file that they will be read from; nothing where the system
    /// takes no more.
    pub(super) fn append(&mut self, id: Id, tiles: &[u8]) -> Option<Bytes> {
        let range = self.end..self.end + tiles.len();
        let padding = tiles.len().next_multiple_of(ALIGNMENT) - tiles.len();
        let written =
            self.file.write_all(tiles).and_then(|()| self.file.write_all(&[0; ALIGNMENT][..padding]));
        if !self.whole || written.is_err() {
            self.whole = false;
            return None;
        }
        self.end = range.end + padding;
        self.table.add(id, range.clone());
        Some(self.map.part(range))
    }

    /// Maps the file and, where all of it was written, gives it the name that others look for.
    pub(super) fn finish(mut self) -> io::Result<(Packed, u64)> {
        let published = if self.whole { self.publish() } else { Err(io::ErrorKind::Other.into()) };
        self.map.come(&self.file)?;
        let packed = if published.is_ok() { Packed::Fresh } else { Packed::InMemory };
        Ok((packed, self.end as u64))
    }

    /// Makes the file take no more, as a full disk does.
    #[cfg(test)]
    pub(super) fn refuse(&mut self) {
        self.file = File::open(&self.aside.0).unwrap();
    }

    fn publish(&mut self) -> io::Result<()> {
        let (header, table) = self.table.written(self.end, self.hash);
        debug_assert_eq!(header.len(), HEADER);
        self.file.write_all(&table)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&header)?;
        self.end += table.len();
        // The name must not reach the disk before what it names.
        self.file.sync_all()?;
        fs::rename(&self.aside.0, &self.path)?;
        sync_folder(&self.path)
    }
}

/// Writes a small file whole or not at all.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::NotFound)?;
    fs::create_dir_all(folder)?;
    // Each process writes beside the others; the last one's name stays.
    let aside = Aside(path.with_extension(format!("{}.part", std::process::id())));
    let mut file = File::create(&aside.0)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&aside.0, path)?;
    sync_folder(path)
}

/// Makes a change of a name last. Where folders cannot be opened, the system sees to it.
fn sync_folder(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|_| cfg!(unix)) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}
